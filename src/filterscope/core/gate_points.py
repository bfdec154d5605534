"""Where a known classifier's gate belongs: its last feature map before the head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn


@dataclass(frozen=True)
class GatePoint:
    """The layer of a classifier whose output the gate multiplies.

    Attributes:
        layer: Dotted name of the layer.
        num_filters: K, channels of its output.
        activation: "relu" where its output is rectified, or is rectified right after it; None for
            signed activations (SiLU, hardswish, GELU).
        head: "gap-linear" where global average pooling and one linear layer follow, "mlp" for
            anything else.
    """

    layer: str
    num_filters: int
    activation: Literal["relu"] | None
    head: Literal["gap-linear", "mlp"]


def gate_point(model: nn.Module) -> GatePoint | None:
    """Find the gate's place in a classifier of a known architecture.

    The class is recognised by its name, so that no library of architectures is imported.

    Args:
        model: A network of torchvision or of `filterscope.models`, or one that carries its own
            answer as ``model.filterscope_gate_point``.

    Returns:
        The place, or None where the architecture is not known.

    Examples:
        >>> from torchvision.models import vgg11
        >>> gate_point(vgg11()).layer
        'features.19'
    """
    recorded = getattr(model, "filterscope_gate_point", None)
    if isinstance(recorded, GatePoint):
        return recorded
    for kind in type(model).__mro__:
        if kind.__module__.startswith("torchvision.models.") and kind.__name__ in _TORCHVISION:
            return _TORCHVISION[kind.__name__](model)
    return None


def _last_relu(model: Any) -> GatePoint:
    """AlexNet and VGG end their features with convolution, ReLU and a pool."""
    parts = list(model.features)
    last = max(i for i, part in enumerate(parts) if isinstance(part, nn.ReLU))
    filters = [part.out_channels for part in parts if isinstance(part, nn.Conv2d)][-1]
    return GatePoint(f"features.{last}", filters, "relu", "mlp")


def _point(
    layer: str,
    head_input: Callable[[Any], int],
    activation: Literal["relu"] | None = "relu",
    head: Literal["gap-linear", "mlp"] = "gap-linear",
) -> Callable[[Any], GatePoint]:
    return lambda model: GatePoint(layer, head_input(model), activation, head)


_TORCHVISION: dict[str, Callable[[Any], GatePoint]] = {
    "AlexNet": _last_relu,
    "VGG": _last_relu,
    "ResNet": _point("layer4", lambda m: m.fc.in_features),
    "RegNet": _point("trunk_output", lambda m: m.fc.in_features),
    "ShuffleNetV2": _point("conv5", lambda m: m.fc.in_features),
    "GoogLeNet": _point("inception5b", lambda m: m.fc.in_features),
    "Inception3": _point("Mixed_7c", lambda m: m.fc.in_features),
    "DenseNet": _point("features", lambda m: m.classifier.in_features),
    "MNASNet": _point("layers", lambda m: m.classifier[-1].in_features),
    "MobileNetV2": _point("features", lambda m: m.classifier[-1].in_features),
    "SqueezeNet": _point("features", lambda m: m.classifier[1].in_channels, "relu", "mlp"),
    "MobileNetV3": _point("features", lambda m: m.classifier[0].in_features, None, "mlp"),
    "EfficientNet": _point("features", lambda m: m.classifier[-1].in_features, None),
    "ConvNeXt": _point("features", lambda m: m.classifier[-1].in_features, None, "mlp"),
}
