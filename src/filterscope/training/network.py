"""The network of a run, built from its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from filterscope.core.contexts import captured_features, evaluating
from filterscope.core.gate_points import gate_point
from filterscope.core.layers import find_layer
from filterscope.gates import ClassGate, GatedClassifier, fixed_gate
from filterscope.models import create_model, freeze
from filterscope.training.settings import TrainSettings


@dataclass(frozen=True)
class Network:
    """What a run trains.

    Attributes:
        module: The plain classifier, or the `GatedClassifier` around it.
        layer: Name of the studied layer, inside the plain classifier.
        rectified: Whether that layer's output is rectified before pooling.
        notes: What was chosen for the user, in words.
    """

    module: nn.Module
    layer: str
    rectified: bool
    notes: tuple[str, ...]

    @property
    def classifier(self) -> nn.Module:
        """The plain classifier."""
        inner = self.module.model if isinstance(self.module, GatedClassifier) else self.module
        assert isinstance(inner, nn.Module)
        return inner

    @property
    def gate(self) -> ClassGate | None:
        """The gate of a gated network."""
        return self.module.gate if isinstance(self.module, GatedClassifier) else None


def build_network(settings: TrainSettings, num_classes: int, image_size: int) -> Network:
    """Build the classifier, load and freeze what the settings say, and gate it.

    The initial weights depend on the seed alone, so that a standard and a gated run with one seed
    start from the same network.

    Args:
        settings: Of the run.
        num_classes: C.
        image_size: Side of the input in pixels, to count the layer's filters.

    Returns:
        The network, on CPU, in train mode.

    Raises:
        ValueError: A single class, an unknown model or layer, weights that do not fit, or a
            density bound below 1 / C.
    """
    if num_classes < 2:
        raise ValueError(
            "`data` has a single class, and training needs two or more; images of one class with "
            "masks serve to measure where a trained network looks"
        )
    torch.manual_seed(settings.seed)
    weights = None if settings.weights is None else Path(settings.weights)
    model = create_model(settings.model, num_classes, weights=weights)
    freeze(model, settings.freeze)
    notes = []
    known = gate_point(model)
    layer = settings.layer
    if layer is None:
        if known is None:
            raise ValueError(
                f"`layer` is needed: the place of the gate is not known for {settings.model}; see "
                f"`filterscope list layers {settings.model}`"
            )
        layer = known.layer
        notes.append(f"layer {layer!r} of {settings.model}")
    layer, module = find_layer(model, layer)
    rectified = known is None or known.layer != layer or known.activation == "relu"
    with evaluating(model), captured_features(module, None) as seen:
        model(torch.zeros(1, 3, image_size, image_size))
    if settings.method == "standard":
        return Network(model.train(), layer, rectified, tuple(notes))
    gate = _make_gate(settings, num_classes, seen[0].shape[1])
    activation = torch.relu if rectified else None
    net = GatedClassifier(model, layer, gate=gate, activation=activation)
    return Network(net.train(), layer, rectified, tuple(notes))


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
