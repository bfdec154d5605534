"""A finished or interrupted run, ready to use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from filterscope.core.answers import TaskLoss
from filterscope.core.brief import Brief
from filterscope.core.pretrained import load_strictly, read_tensors
from filterscope.data import ImageDataset, Transform, load_dataset
from filterscope.gates import ClassGate, GatedClassifier
from filterscope.models import create_model
from filterscope.parts import PartTemplateNetwork
from filterscope.parts.settings import TemplateSettings
from filterscope.runs.checkpoint import read_checkpoint
from filterscope.runs.division import changed_images
from filterscope.runs.folder import Row, RunFolder
from filterscope.runs.hub import HUB, local_folder
from filterscope.runs.nested import gate_of, part_network, plain_classifier

Kinds = type | UnionType

_SETTINGS: dict[str, Kinds] = {
    "data": str,
    "data_root": str | None,
    "image_size": int | None,
    "limit": int | None,
    "limit_test": int | None,
    "test_fraction": float,
    "data_seed": int,
    "download": bool,
    "model": str,
    "fixed_gate": list | None,
    "workers": int,
}
_DESCRIBED: dict[str, Kinds] = {
    "classes": list,
    "layer": str,
    "rectified": bool,
    "transform": dict,
}
_EVALUATED: dict[str, Kinds] = {"settings": dict, "metrics": dict}


@dataclass(frozen=True, repr=False)
class Run(Brief):
    """A training run read from its folder.

    Attributes:
        path: The folder.
        config: Every setting by name, as in ``config.yaml``.
        model: The network: the plain classifier, the `PartTemplateNetwork` around it for runs with
            part templates, and the `GatedClassifier` around either for gated runs; in eval mode,
            on CPU.
        classes: Class names in the order of the logits.
        layer: Name of the layer whose filters are studied, inside the plain classifier.
        activation: What rectifies that layer's output before pooling, or None.
        transform: Turns an image (file or PIL) into the network's input.
        history: One dictionary an epoch, as in ``metrics.csv``.
        evaluation: What ``evaluation.json`` holds, None before the run was evaluated.
        environment: What the run was made with.
        described: What ``classes.json`` holds.
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
    described: dict[str, Any] = field(default_factory=dict)

    @property
    def classifier(self) -> nn.Module:
        """The plain classifier, without its gate; part templates mask it by hooks."""
        return plain_classifier(self.model)

    @property
    def parts(self) -> PartTemplateNetwork | None:
        """The network with part templates, without its gate; None without templates."""
        return part_network(self.model)

    @property
    def gate(self) -> ClassGate | None:
        """The gate of a gated run."""
        return gate_of(self.model)

    @property
    def task_loss(self) -> TaskLoss:
        """What the logits mean: see `filterscope.core.answers`."""
        kind: TaskLoss = self.described.get("task_loss", "softmax")
        return kind

    @property
    def label(self) -> str:
        """A short name for tables and legends: the folder's."""
        return self.path.name

    @property
    def arrays(self) -> Mapping[str, np.ndarray] | None:
        """What ``arrays.npz`` holds, read by name when needed; None before an evaluation."""
        return RunFolder(self.path).read_arrays()

    def dataset(self) -> ImageDataset:
        """Load the data that the run was trained and tested on; warn where it has changed."""
        dataset = load_dataset(**dataset_arguments(self.config))
        changed = changed_images(self.described, dataset)
        if "test" in changed:
            learned = "; images that it learned from may be among them" * ("train" in changed)
            warnings.warn(
                f"the test images of {dataset.name} are not those of the training of {self.path}"
                f"{learned}",
                stacklevel=2,
            )
        return dataset


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
        # runs made before these were settings took the defaults
        "repeat": config.get("repeat", True),
        "official_leaky_split": config.get("official_leaky_split", False),
        "max_unreadable": config.get("max_unreadable", 0.01),
    }


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Args:
        path: The folder that ``filterscope train --out`` wrote. An interrupted run is read from
            its checkpoint. ``"hub:owner/name"`` fetches a run that `push_to_hub` published.

    Returns:
        The run, its network in eval mode on CPU.

    Raises:
        FileNotFoundError: The folder is no run folder, or no epoch of it was finished.
        ValueError: A damaged file, files that do not belong together, or weights that do not fit
            the recorded architecture.
        ConnectionError: The Hub did not give it.

    Examples:
        >>> import tempfile
        >>> from filterscope.training import TrainSettings, train
        >>> settings = TrainSettings(epochs=1, limit=64, limit_test=32)
        >>> run = load_run(train(settings, tempfile.mkdtemp() + "/run"))
        >>> run.model(run.dataset().test.raw(0)[None].float()).shape
        torch.Size([1, 10])
    """
    folder = RunFolder(Path(path) if not str(path).startswith(HUB) else local_folder(path))
    config = folder.read_config()
    _check_kinds(config, _SETTINGS, folder.config)
    described = folder.read_json(folder.classes)
    if described is None:
        raise FileNotFoundError(
            f"{folder.path} holds no finished epoch yet: classes.json is missing"
        )
    _check_kinds(described, _DESCRIBED, folder.classes)
    evaluation = folder.read_json(folder.evaluation)
    if evaluation is not None:
        _check_kinds(evaluation, _EVALUATED, folder.evaluation)
    try:
        with torch.random.fork_rng(devices=[]):  # the global generator is the caller's
            network, activation = _network(folder, config, described)
        transform = Transform.from_dict(described["transform"])
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, ValueError) and str(folder.path) in str(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise ValueError(f"{folder.path} does not hold one run: {reason}") from error
    return Run(
        path=folder.path,
        config=config,
        model=network.eval(),
        classes=tuple(described["classes"]),
        layer=described["layer"],
        activation=activation,
        transform=transform,
        history=folder.read_metrics(),
        evaluation=evaluation,
        environment=folder.read_json(folder.environment) or {},
        described=described,
    )


def _check_kinds(values: Mapping[str, Any], kinds: Mapping[str, Kinds], file: Path) -> None:
    """Raise where a file lacks a value or has it of another kind."""
    for name, kind in kinds.items():
        value = values.get(name)
        is_kind = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if name not in values or not is_kind:
            came = f"{str(value)[:40]!r}" if name in values else "nothing"
            raise ValueError(f"`{name}` in {file} is {came}, which no run has")
    names = values.get("classes")
    if names is not None and not (names and all(isinstance(name, str) for name in names)):
        raise ValueError(f"`classes` in {file} must be names, got {str(names)[:40]!r}")


def _network(
    folder: RunFolder, config: dict[str, Any], described: dict[str, Any]
) -> tuple[nn.Module, Callable[[Tensor], Tensor] | None]:
    """Build a run's network, fill it, and say what rectifies the studied layer."""
    source = str(folder.path)
    num_logits = described.get("num_logits", len(described["classes"]))
    if num_logits not in (1, len(described["classes"])):
        raise ValueError(f"`num_logits` in {folder.classes} is {str(num_logits)[:40]!r}")
    model = create_model(config["model"], num_logits)
    weights = _read_weights(folder)
    load_strictly(model, weights["model"], source)
    network: nn.Module = model
    activation = torch.relu if described["rectified"] else None
    if weights["parts"] is not None:
        options = dict(described["parts"])
        templates = TemplateSettings.from_json(options.pop("templates"))
        network = masked = PartTemplateNetwork(model, **options, **templates.to_options())
        load_strictly(masked.templates, weights["parts"], source)
    if weights["gate"] is not None:
        matrix = weights["gate"].get("matrix")
        if matrix is None or matrix.ndim != 2:
            raise ValueError(f"{folder.gate} holds no matrix of a gate")
        num_classes, num_filters = matrix.shape
        gate = ClassGate(num_classes, num_filters, described["density_bound"])
        gate.matrix.requires_grad_(config["fixed_gate"] is None)
        load_strictly(gate, weights["gate"], source)
        layer = model.get_submodule(described["layer"])
        network = GatedClassifier(network, layer, gate=gate, activation=activation)
    return network, activation


def _read_weights(folder: RunFolder) -> dict[str, Any]:
    """Read the tensors of "model", "gate" and "parts", from the checkpoint of an unfinished run."""
    if folder.weights.is_file():
        files = {"model": folder.weights, "gate": folder.gate, "parts": folder.parts}
        return {name: read_tensors(f) if f.is_file() else None for name, f in files.items()}
    if not folder.checkpoint.is_file():
        raise FileNotFoundError(f"{folder.path} holds no finished epoch yet")
    checkpoint = read_checkpoint(folder.checkpoint)
    return {name: checkpoint.get(name) for name in ("model", "gate", "parts")}
