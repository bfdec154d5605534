"""A finished or interrupted run, ready to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from filterscope.core.pretrained import load_strictly, read_tensors
from filterscope.data import ImageDataset, Transform, load_dataset
from filterscope.gates import ClassGate, GatedClassifier
from filterscope.models import create_model
from filterscope.runs.folder import Row, RunFolder


@dataclass(frozen=True)
class Run:
    """A training run read from its folder.

    Attributes:
        path: The folder.
        config: Every setting by name, as in ``config.yaml``.
        model: The network: a `GatedClassifier` for gated runs, else the plain classifier; in eval
            mode, on CPU.
        classes: Class names in the order of the logits.
        layer: Name of the layer whose filters are studied, inside the plain classifier.
        activation: What rectifies that layer's output before pooling, or None.
        transform: Turns an image (file or PIL) into the network's input.
        history: One dictionary an epoch, as in ``metrics.csv``.
        evaluation: What ``evaluation.json`` holds, None before the run was evaluated.
        environment: What the run was made with.
    """

    path: Path
    config: dict[str, Any]
    model: nn.Module
    classes: tuple[str, ...]
    layer: str
    activation: Callable[[Tensor], Tensor] | None
    transform: Transform
    history: list[Row]
    evaluation: dict[str, Any] | None
    environment: dict[str, Any]

    @property
    def classifier(self) -> nn.Module:
        """The plain classifier, without its gate."""
        inner = self.model.model if isinstance(self.model, GatedClassifier) else self.model
        assert isinstance(inner, nn.Module)
        return inner

    @property
    def gate(self) -> ClassGate | None:
        """The gate of a gated run."""
        return self.model.gate if isinstance(self.model, GatedClassifier) else None

    @property
    def label(self) -> str:
        """A short name for tables and legends: the folder's."""
        return self.path.name

    @property
    def arrays(self) -> dict[str, np.ndarray] | None:
        """What ``arrays.npz`` holds, None before the run was evaluated."""
        return RunFolder(self.path).read_arrays()

    def dataset(self) -> ImageDataset:
        """Load the data that the run was trained and tested on."""
        return load_dataset(**dataset_arguments(self.config))


def dataset_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the arguments of `load_dataset` out of a run's settings."""
    return {
        "name": config["data"],
        "root": config["data_root"],
        "image_size": config["image_size"],
        "limit": config["limit"],
        "limit_test": config["limit_test"],
        "test_fraction": config["test_fraction"],
        "seed": config["data_seed"],
        "download": config["download"],
    }


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Args:
        path: The folder that ``filterscope train --out`` wrote. An interrupted run is read from
            its checkpoint.

    Returns:
        The run, its network in eval mode on CPU.

    Raises:
        FileNotFoundError: The folder is no run folder, or no epoch of it was finished.
        ValueError: A damaged file, or weights that do not fit the recorded architecture.

    Example:
        >>> import tempfile
        >>> from filterscope.training import TrainSettings, train
        >>> settings = TrainSettings(epochs=1, limit=64, limit_test=32)
        >>> run = load_run(train(settings, tempfile.mkdtemp() + "/run"))
        >>> run.model(run.dataset().test.raw(0)[None].float()).shape
        torch.Size([1, 10])
    """
    folder = RunFolder(Path(path))
    config = folder.read_config()
    described = folder.read_json(folder.classes)
    if described is None:
        raise FileNotFoundError(
            f"{folder.path} holds no finished epoch yet: classes.json is missing"
        )
    model = create_model(config["model"], len(described["classes"]))
    weights, gate_weights = _read_weights(folder)
    load_strictly(model, weights, str(folder.path))
    network: nn.Module = model
    activation = torch.relu if described["rectified"] else None
    if gate_weights is not None:
        num_classes, num_filters = gate_weights["matrix"].shape
        gate = ClassGate(num_classes, num_filters, described["density_bound"])
        gate.matrix.requires_grad_(config["fixed_gate"] is None)
        load_strictly(gate, gate_weights, str(folder.path))
        network = GatedClassifier(model, described["layer"], gate=gate, activation=activation)
    return Run(
        path=folder.path,
        config=config,
        model=network.eval(),
        classes=tuple(described["classes"]),
        layer=described["layer"],
        activation=activation,
        transform=Transform.from_dict(described["transform"]),
        history=folder.read_metrics(),
        evaluation=folder.read_json(folder.evaluation),
        environment=folder.read_json(folder.environment) or {},
    )


def _read_weights(folder: RunFolder) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Read the weights and the gate's, from the checkpoint where the run was not finished."""
    if folder.weights.is_file():
        gate = read_tensors(folder.gate) if folder.gate.is_file() else None
        return read_tensors(folder.weights), gate
    if not folder.checkpoint.is_file():
        raise FileNotFoundError(f"{folder.path} holds no finished epoch yet")
    checkpoint = read_checkpoint(folder.checkpoint)
    return checkpoint["model"], checkpoint["gate"]


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint of ours without unpickling anything but tensors and plain values.

    Raises:
        ValueError: The file is damaged, foreign, or holds more than plain values.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{file} is not readable as a checkpoint: {first}") from error
    if not isinstance(checkpoint, dict) or not {"model", "gate", "epoch"} <= checkpoint.keys():
        raise ValueError(f"{file} is not a checkpoint of filterscope")
    return checkpoint
