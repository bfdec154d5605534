"""Similarity of features and gate rows as a torchmetrics class."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from filterscope.metrics.functional._checks import check_matrix
from filterscope.metrics.functional.similarity import answer_sums, similarity_of_sums


class GateSimilarityScore(Metric):
    """Cosines of the mean features of recognised and of missed samples with every gate row.

    The sums of the features are accumulated in float64.

    Args:
        gate: Matrix (C, K).

    Examples:
        >>> metric = GateSimilarityScore(torch.eye(2))
        >>> labels = torch.tensor([0, 1])
        >>> metric.update(torch.eye(2), labels, labels)
        >>> metric.compute()["diagonal_share_tp"]
        1.0
    """

    full_state_update = False
    sums: Tensor
    counts: Tensor
    gate: Tensor

    def __init__(self, gate: Tensor) -> None:
        super().__init__()
        check_matrix("gate", gate)
        self.register_buffer("gate", gate.detach().clone(), persistent=False)
        zeros = torch.zeros(2, *gate.shape, dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        counts = torch.zeros(2, len(gate), dtype=torch.int64)
        self.add_state("counts", counts, dist_reduce_fx="sum")

    def update(self, features: Tensor, labels: Tensor, predictions: Tensor) -> None:
        """Add a batch: pooled features (N, K), labels and predictions of the standard path (N,)."""
        if features.dim() != 2 or features.shape[1] != self.gate.shape[1]:
            raise ValueError(
                f"`features` must be (N, {self.gate.shape[1]}), got {tuple(features.shape)}"
            )
        sums, counts = answer_sums(features, labels, predictions, len(self.gate))
        self.sums += sums
        self.counts += counts

    def compute(self) -> dict[str, Any]:
        """Give the fields of `GateSimilarity` by name; ``GateSimilarity(**fields)`` is the record.

        Torchmetrics takes no frozen record for a result.
        """
        return dict(vars(similarity_of_sums(self.sums, self.counts, self.gate)))
