"""The networks of interpretable CNNs: a backbone with a new convolution on top."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from filterscope.core.gate_points import GatePoint
from filterscope.models.classic import (
    CLASSIC_SIZES,
    classic_features,
    draw_weights,
    linear_layers,
)

SUFFIX = "_parts"

PART_SIZES = {f"{name.removesuffix('_caffe')}{SUFFIX}": n for name, n in CLASSIC_SIZES.items()} | {
    f"vgg16{SUFFIX}": 224
}
"""Names of the networks, and the side of the images that their backbones' weights take."""

SecondMask = Literal["after_pool", "before_pool"]


class PartNetwork(nn.Module):
    """A backbone cut above its last convolution, one more convolution, and a new head.

    ``features`` ends in the ReLU of the backbone's last convolution, M filters on an n x n map.
    Then follow ``conv6`` (3 x 3, M filters, padded by 1), ``relu6``, ``pool6`` and the linear
    layers ``classifier.fc6``, ``fc7``, ``fc8``. At 227 or 224 pixels: AlexNet M = 256, n = 13,
    pooled 6; VGG-M 512, 13, 6; VGG-S 512, 17, 6; VGG-16 512, 14, 7. Other sizes are brought to the
    same pooled side by adaptive pooling, which changes nothing at those.

    Without templates it is the ordinary network of the same size to compare with. `part_layers`
    names the layers whose maps templates mask. Weights of the backbone may be loaded into it: they
    fill ``features``, everything above starts random (deviation 0.01, biases 0).

    Args:
        name: One of `PART_SIZES`; "alexnet_parts" is built on "alexnet_caffe", "vgg16_parts" on
            torchvision's network.
        num_classes: Logits: one for a single category, which is trained against negatives with the
            logistic loss; C for several.
        dropout: Probability of dropping a hidden unit; that of the authors' demo by default.

    Raises:
        ValueError: Another name.

    Source: Zhang et al., CVPR 2018, section 3, and the layers of the authors' code.

    Examples:
        >>> import torch
        >>> PartNetwork("vgg_m_parts", num_classes=1)(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 1])
    """

    def __init__(self, name: str, num_classes: int = 1, dropout: float = 0.8) -> None:
        super().__init__()
        if name not in PART_SIZES:
            raise ValueError(f"`name` must be one of {', '.join(PART_SIZES)}, got {name!r}")
        self.features, filters = _trunk(name)
        self.conv6 = nn.Conv2d(filters, filters, 3, padding=1)
        self.relu6 = nn.ReLU()
        self.pool6 = _pool(name)
        side = 7 if name == "vgg16_parts" else 6
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier = linear_layers(filters * side * side, num_classes, dropout)
        for part in (self.conv6, self.classifier):
            draw_weights(part)
        self.filterscope_gate_point = GatePoint("relu6", filters, "relu", "mlp")
        self.filterscope_new_layers = ("conv6", "classifier")

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W); gives logits (N, C)."""
        x = self.pool6(self.relu6(self.conv6(self.features(x))))
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))
        return logits


def part_layers(model: nn.Module, second_mask: SecondMask = "after_pool") -> tuple[str, str]:
    """Name the two layers of a `PartNetwork` whose maps the templates mask.

    Args:
        model: The network.
        second_mask: "after_pool" for the pooled map of the new convolution, as the authors' code
            has it; "before_pool" for the map as it is, as their text has it.

    Returns:
        Names of the layers; both give rectified maps.

    Raises:
        TypeError: Another network, whose layers only its owner can choose.
        ValueError: Another place.

    Source: Zhang et al., CVPR 2018, section 3; the place of the second mask is their code's.

    Examples:
        >>> part_layers(PartNetwork("alexnet_parts"))
        ('features.relu5', 'pool6')
    """
    if not isinstance(model, PartNetwork):
        raise TypeError(
            f"`model` must be one of {', '.join(PART_SIZES)}, got {type(model).__name__}; name its "
            "layers yourself"
        )
    if second_mask not in ("after_pool", "before_pool"):
        raise ValueError(
            f"`second_mask` must be 'after_pool' or 'before_pool', got {second_mask!r}"
        )
    last = list(dict(model.features.named_children()))[-1]
    return f"features.{last}", "pool6" if second_mask == "after_pool" else "relu6"


def _trunk(name: str) -> tuple[nn.Sequential, int]:
    """The backbone up to the ReLU of its last convolution, and its filters.

    Layers keep the names that they have in the backbone, so that its weights fit.
    """
    if name == "vgg16_parts":
        layers = make_layers(cfgs["D"])
        for layer in layers:
            if isinstance(layer, nn.Conv2d):  # as torchvision draws them
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    else:
        backbone = name.removesuffix(SUFFIX)
        layers = classic_features("alexnet_caffe" if backbone == "alexnet" else backbone)
    trunk = nn.Sequential()
    for child, layer in list(layers.named_children())[:-1]:  # the last one is the pool
        trunk.add_module(child, layer)
    convolutions = [layer for layer in trunk if isinstance(layer, nn.Conv2d)]
    return trunk, convolutions[-1].out_channels


def _pool(name: str) -> nn.MaxPool2d:
    if name == "vgg16_parts":
        return nn.MaxPool2d(2, 2)
    if name == "vgg_s_parts":
        return nn.MaxPool2d(3, 3, ceil_mode=True)
    return nn.MaxPool2d(3, 2)
