"""AlexNet, VGG-M and VGG-S as their authors released them, with local response normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from filterscope.core.gate_points import GatePoint

HIDDEN = 4096
WEIGHT_STD = 0.01

# The input of these networks runs from 0 to 255; ImageNet's mean and deviation undo what images
# of this library were normalised with.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class PixelRange(nn.Module):
    """Turns normalised images into what the released weights expect: 0 to 255, mean taken away.

    Every data set of this library hands over images normalised by some mean and deviation, so a
    network that wants another range converts by itself. Weights of MatConvNet bring their own
    mean. Without weights the images' mean stays away and only the range is opened.

    Examples:
        >>> import torch
        >>> PixelRange()(torch.ones(1, 3, 1, 1)).flatten()
        tensor([58.3950, 57.1200, 57.3750])
    """

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", 255 * torch.tensor(_STD).reshape(1, 3, 1, 1))
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised by ImageNet's statistics to (N, 3, H, W) about 0, 255 wide."""
        return x * self.scale + self.shift

    @staticmethod
    def shift_for(mean: Sequence[float]) -> Tensor:
        """The shift with which images lose `mean` (red, green, blue; 0 to 255): (1, 3, 1, 1)."""
        return (255 * torch.tensor(_MEAN) - torch.tensor(tuple(mean))).reshape(1, 3, 1, 1)


@dataclass(frozen=True)
class _Block:
    """A convolution with its ReLU, and what may follow it.

    Attributes:
        filters: Channels of the output.
        kernel: Side of the kernel.
        stride: Of the convolution.
        padding: Of the convolution, on all sides.
        groups: Of the convolution.
        norm: Local response normalisation follows.
        pool: Side and stride of a max-pool that follows, None without one.
    """

    filters: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    norm: bool = False
    pool: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Plan:
    """A network.

    Attributes:
        blocks: Its convolutions.
        norm: Alpha, as PyTorch counts it, and k of its normalisation.
        ceil: Whether the last window of a pool may hang over the edge.
    """

    blocks: tuple[_Block, ...]
    norm: tuple[float, float]
    ceil: bool


# Alpha is MatConvNet's (2e-5 and 1e-4 a channel) times the five channels, by which PyTorch divides.
_PLANS = {
    "alexnet_caffe": _Plan(
        (
            _Block(96, 11, 4, norm=True, pool=(3, 2)),
            _Block(256, 5, padding=2, groups=2, norm=True, pool=(3, 2)),
            _Block(384, 3, padding=1),
            _Block(384, 3, padding=1, groups=2),
            _Block(256, 3, padding=1, groups=2, pool=(3, 2)),
        ),
        norm=(1e-4, 1.0),
        ceil=False,
    ),
    "vgg_m": _Plan(
        (
            _Block(96, 7, 2, norm=True, pool=(3, 2)),
            _Block(256, 5, 2, padding=1, norm=True, pool=(3, 2)),
            _Block(512, 3, padding=1),
            _Block(512, 3, padding=1),
            _Block(512, 3, padding=1, pool=(3, 2)),
        ),
        norm=(5e-4, 2.0),
        ceil=True,
    ),
    "vgg_s": _Plan(
        (
            _Block(96, 7, 2, norm=True, pool=(3, 3)),
            _Block(256, 5, pool=(2, 2)),
            _Block(512, 3, padding=1),
            _Block(512, 3, padding=1),
            _Block(512, 3, padding=1, pool=(3, 3)),
        ),
        norm=(5e-4, 2.0),
        ceil=True,
    ),
}

CLASSIC_SIZES = {"alexnet_caffe": 227, "vgg_m": 224, "vgg_s": 224}
"""Side of the images that the released weights take, by name."""


class ClassicNet(nn.Module):
    """One of three networks from before batch norm: five convolutions, three linear layers.

    Layers are called ``features.conv1``, ``features.relu1``, ``features.norm1``,
    ``features.pool1`` and so on, and ``classifier.fc6``, ``fc7``, ``fc8``. At the size of its
    images AlexNet's maps have sides 55, 27, 13 and 6, VGG-M's 109, 54, 26, 13 and 6, VGG-S's 109,
    37, 33, 17 and 6.

    The released VGG-M and VGG-S pad the bottom and right edges of some pools; ``ceil_mode`` gives
    the same maps at 224 pixels and never takes a maximum over padding. Other sizes are brought to
    6 x 6 before the linear layers by adaptive pooling, which changes nothing at the network's
    own.

    Images enter normalised by ImageNet's statistics, as everywhere in this library, and are
    brought to the range 0 to 255 inside. Random convolutions keep the variance of what they are
    given (He et al., ICCV 2015), and random linear layers have a deviation of 0.01; biases are 0.
    Drawn with 0.01 throughout, as the first authors did, hardly anything of an image arrives at the
    top.

    Args:
        name: "alexnet_caffe" (96, 256, 384, 384, 256 filters, grouped, for 227 pixels, unlike
            torchvision's `alexnet`), "vgg_m" or "vgg_s".
        num_classes: C.
        dropout: Probability of dropping a hidden unit.

    Raises:
        ValueError: Another name.

    Source: Krizhevsky et al., NeurIPS 2012; Chatfield et al., BMVC 2014, table 1; the layers are
        those of the weights released with MatConvNet.

    Examples:
        >>> import torch
        >>> ClassicNet("vgg_s", num_classes=10)(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 10])
    """

    def __init__(self, name: str, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = classic_features(name)
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        filters = _PLANS[name].blocks[-1].filters
        self.classifier = linear_layers(filters * 6 * 6, num_classes, dropout)
        self.filterscope_gate_point = GatePoint("features.relu5", filters, "relu", "mlp")
        draw_weights(self.classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W); gives logits (N, C)."""
        logits: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return logits


def linear_layers(inputs: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Three linear layers as the classic networks end in: ``fc6``, ``fc7`` and ``fc8``.

    Args:
        inputs: Numbers that come in.
        num_classes: C.
        dropout: Probability of dropping a hidden unit.

    Raises:
        ValueError: A probability outside [0, 1).
    """
    if not 0 <= dropout < 1:
        raise ValueError(f"`dropout` must lie in [0, 1), got {dropout}")
    layers = nn.Sequential()
    layers.add_module("fc6", nn.Linear(inputs, HIDDEN))
    layers.add_module("relu6", nn.ReLU())
    layers.add_module("dropout6", nn.Dropout(dropout))
    layers.add_module("fc7", nn.Linear(HIDDEN, HIDDEN))
    layers.add_module("relu7", nn.ReLU())
    layers.add_module("dropout7", nn.Dropout(dropout))
    layers.add_module("fc8", nn.Linear(HIDDEN, num_classes))
    return layers


def draw_weights(module: nn.Module) -> None:
    """Draw the weights of convolutions and linear layers with deviation 0.01; biases become 0."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=WEIGHT_STD)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def classic_features(name: str) -> nn.Sequential:
    """The convolutions of a `ClassicNet`, from its input to its last pool, drawn at random.

    Raises:
        ValueError: Another name.
    """
    if name not in _PLANS:
        raise ValueError(f"`name` must be one of {', '.join(_PLANS)}, got {name!r}")
    plan = _PLANS[name]
    features = nn.Sequential()
    features.add_module("input", PixelRange())
    inputs = 3
    for number, block in enumerate(plan.blocks, start=1):
        convolution = nn.Conv2d(
            inputs,
            block.filters,
            block.kernel,
            block.stride,
            block.padding,
            groups=block.groups,
        )
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
        features.add_module(f"conv{number}", convolution)
        features.add_module(f"relu{number}", nn.ReLU())
        if block.norm:
            alpha, k = plan.norm
            features.add_module(f"norm{number}", nn.LocalResponseNorm(5, alpha, 0.75, k))
        if block.pool is not None:
            pool = nn.MaxPool2d(*block.pool, ceil_mode=plan.ceil)
            features.add_module(f"pool{number}", pool)
        inputs = block.filters
    return features
