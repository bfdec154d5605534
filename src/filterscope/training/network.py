"""The network of a run, built from its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from filterscope.core.answers import TaskLoss
from filterscope.core.contexts import captured_features, evaluating
from filterscope.core.gate_points import gate_point
from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset
from filterscope.gates import ClassGate, GatedClassifier, fixed_gate
from filterscope.models import create_model, freeze
from filterscope.parts import PartTemplateNetwork
from filterscope.runs.nested import gate_of, part_network, plain_classifier
from filterscope.training.part_training import add_templates
from filterscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Network:
    """What a run trains.

    Attributes:
        module: The plain classifier, the `PartTemplateNetwork` around it, or the `GatedClassifier`
            around either.
        layer: Name of the studied layer, inside the plain classifier.
        rectified: Whether that layer's output is rectified before pooling.
        num_logits: Number of logits: that of the classes, or 1 for a category against negatives.
        task_loss: The loss of the task.
        notes: What was chosen for the user, in words.
    """

    module: nn.Module
    layer: str
    rectified: bool
    num_logits: int
    task_loss: TaskLoss
    notes: tuple[str, ...]

    @property
    def classifier(self) -> nn.Module:
        """The plain classifier, with its own keys; templates mask it by hooks."""
        return plain_classifier(self.module)

    @property
    def parts(self) -> PartTemplateNetwork | None:
        """The network with part templates, without its gate."""
        return part_network(self.module)

    @property
    def gate(self) -> ClassGate | None:
        """The gate of a gated network."""
        return gate_of(self.module)


def build_network(settings: TrainSettings, dataset: ImageDataset) -> Network:
    """Build the classifier, load and freeze what the settings say, mask it and gate it.

    The initial weights depend on the seed alone, so that runs of all methods with one seed start
    from the same network.

    Args:
        settings: Of the run.
        dataset: Its classes and the size of its images.

    Returns:
        The network, on CPU, in train mode.

    Raises:
        ValueError: A single class, an unknown model or layer, weights that do not fit, a density
            bound below 1 / C, or a gate that does not go with the templates.
    """
    num_classes = len(dataset.classes)
    if num_classes < 2:
        raise ValueError(
            "`data` has a single class, and training needs two or more; images of one class with "
            "masks serve to measure where a trained network looks"
        )
    task_loss, num_logits = task_of(settings, dataset)
    torch.manual_seed(settings.seed)
    weights = None if settings.weights is None else Path(settings.weights)
    model = create_model(settings.model, num_logits, weights=weights)
    freeze(model, settings.freeze)
    layer, rectified, notes = _studied_layer(settings, model)
    module: nn.Module = model
    if settings.has_parts:
        module = parts = add_templates(model, settings, dataset, layer)
        notes.append(f"part templates at {', '.join(parts.layer_names)}")
        if settings.has_gate and settings.layer is None:
            # above all masks, so that both paths share them
            layer, rectified = parts.layer_names[-1], True
    side = dataset.transform.image_size
    studied = find_layer(model, layer)[1]
    with evaluating(model), captured_features(studied, None) as seen:
        model(torch.zeros(1, 3, side, side))
    if settings.has_gate:
        gate = _make_gate(settings, num_classes, seen[0].shape[1])
        activation = torch.relu if rectified else None
        if settings.has_parts and settings.scheme == "joint":
            _refuse_below(model, layer, parts.layer_names, side)
        module = GatedClassifier(module, studied, gate=gate, activation=activation)
    return Network(module.train(), layer, rectified, num_logits, task_loss, tuple(notes))


def task_of(settings: TrainSettings, dataset: ImageDataset) -> tuple[TaskLoss, int]:
    """Choose the task's loss and the number of logits.

    One category against negatives has a single logit with the logistic loss, whose sign is the
    answer; everything else has one logit a class.
    """
    single = dataset.negative is not None and len(dataset.classes) == 2
    kind: TaskLoss = settings.task_loss or ("logistic" if single else "softmax")
    if single and dataset.classes[0] != dataset.negative:
        raise ValueError(f"the negatives must be the first class, got {', '.join(dataset.classes)}")
    return kind, 1 if single and kind == "logistic" else len(dataset.classes)


def _studied_layer(settings: TrainSettings, model: nn.Module) -> tuple[str, bool, list[str]]:
    """Name of the studied layer, whether it is rectified, and what was chosen for the user."""
    known = gate_point(model)
    layer = settings.layer
    notes = []
    if layer is None:
        if known is None:
            raise ValueError(
                f"`layer` is needed: the place of the gate is not known for {settings.model}; see "
                f"`filterscope list layers {settings.model}`"
            )
        layer = known.layer
        notes.append(f"layer {layer!r} of {settings.model}")
    layer, _ = find_layer(model, layer)
    rectified = known is None or known.layer != layer or known.activation == "relu"
    return layer, rectified, notes


def _refuse_below(model: nn.Module, layer: str, masked: Sequence[str], side: int) -> None:
    """Raise where masks or batch norms run above a gate whose two paths share one forward pass."""
    order: list[str] = []
    watched = {n: m for n, m in model.named_modules() if n in masked or isinstance(m, _BatchNorm)}
    watched[layer] = model.get_submodule(layer)
    handles = [
        module.register_forward_hook(lambda *_, name=name: order.append(name))
        for name, module in watched.items()
    ]
    try:
        with evaluating(model):
            model(torch.zeros(1, 3, side, side))
    finally:
        for handle in handles:
            handle.remove()
    above = [name for name in order[order.index(layer) + 1 :] if name != layer]
    if above:
        raise ValueError(
            f"`layer` {layer!r} is gated below {above[0]!r}, so that the joint scheme cannot run "
            f"both paths with one set of masks; gate {masked[-1]!r}, or take scheme alternate"
        )


def _make_gate(settings: TrainSettings, num_classes: int, num_filters: int) -> ClassGate:
    if settings.fixed_gate is None:
        return ClassGate(num_classes, num_filters, settings.density_bound)
    exclusive, shared = settings.fixed_gate
    matrix = fixed_gate(num_classes, exclusive, shared)
    if matrix.shape[1] != num_filters:
        raise ValueError(
            f"`fixed_gate` {exclusive} {shared} makes {matrix.shape[1]} filters "
            f"({num_classes} x {exclusive} + {shared}), but the layer has {num_filters}"
        )
    return ClassGate.fixed(matrix)


def set_train_mode(module: nn.Module, *, freeze_bn: bool) -> None:
    """Switch to train mode; with `freeze_bn`, batch norms whose weights are frozen stay in eval."""
    module.train()
    if freeze_bn:
        for part in module.modules():
            if isinstance(part, _BatchNorm) and not any(p.requires_grad for p in part.parameters()):
                part.eval()
