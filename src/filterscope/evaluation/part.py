"""What each part of an evaluation starts from and gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset
from filterscope.evaluation.collect import Collected
from filterscope.runs import Run

AnyMetric = TypeVar("AnyMetric", bound=Metric)


@dataclass(frozen=True)
class Subject:
    """A run with what its network gave for the test images.

    Attributes:
        run: Its network is on `device`.
        dataset: With the test images.
        collected: Logits' answers and features of each of them.
        mi: Mutual information, (C, K).
        mean_features: (C, K).
        batch_size: Images at once.
        device: Where to compute.
        seed: Of every chance level.
    """

    run: Run
    dataset: ImageDataset
    collected: Collected
    mi: Tensor
    mean_features: Tensor
    batch_size: int
    device: torch.device
    seed: int

    @property
    def layer(self) -> nn.Module:
        """The studied layer."""
        return find_layer(self.run.classifier, self.run.layer)[1]

    @property
    def gate(self) -> Tensor | None:
        """The gate's matrix (C, K), on CPU; None without a gate."""
        return None if self.run.gate is None else self.run.gate.matrix.detach().cpu()

    @property
    def workers(self) -> int:
        """Processes that read images which are not in memory."""
        return int(self.run.config["workers"])


@dataclass(frozen=True)
class Part:
    """Numbers and arrays by name.

    Attributes:
        metrics: For ``evaluation.json``.
        arrays: For ``arrays.npz``.
    """

    metrics: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def __or__(self, other: Part) -> Part:
        return Part(self.metrics | other.metrics, self.arrays | other.arrays)


def alone(metric: AnyMetric) -> AnyMetric:
    """Keep a metric that sees all images in one process from asking the others for theirs.

    The first process measures while the others, which torchrun or SLURM started, are done.
    """
    metric.distributed_available_fn = bool  # always false
    return metric
