"""Residual networks for small images."""

from __future__ import annotations

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck

from filterscope.core.gate_points import GatePoint

WIDTHS = (16, 32, 64)


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.stride = stride
        self.padding = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.padding:
            x = F.pad(
                x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.padding, self.padding)
            )
        return F.relu(y + x)


class CifarResNet(nn.Module):
    """The residual network for 32 x 32 images: three stages of 16, 32 and 64 filters.

    Where a stage begins, the shortcut takes every second pixel and pads the channels with zeros
    (option A of the paper), so shortcuts have no parameters. The keys are those of the widespread
    public checkpoints.

    Args:
        depth: 6 n + 2 layers: 20, 32, 44, 56, 110, ...
        num_classes: C.

    Raises:
        ValueError: A depth that is not 6 n + 2.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.

    Examples:
        >>> import torch
        >>> CifarResNet(20, num_classes=10)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, num_classes: int = 10) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"`depth` must be 6 n + 2 (20, 32, 44, 56, 110, ...), got {depth}")
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, WIDTHS[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        self.layer1 = _stage(WIDTHS[0], WIDTHS[0], blocks, stride=1)
        self.layer2 = _stage(WIDTHS[0], WIDTHS[1], blocks, stride=2)
        self.layer3 = _stage(WIDTHS[1], WIDTHS[2], blocks, stride=2)
        self.linear = nn.Linear(WIDTHS[2], num_classes)
        self.filterscope_gate_point = GatePoint("layer3", WIDTHS[2], "relu", "gap-linear")
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W); gives logits (N, C)."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    first = _BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *[_BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)])


def bottleneck_resnet_for_cifar(blocks: list[int], num_classes: int) -> nn.Module:
    """Build torchvision's bottleneck ResNet with a stem that keeps small images whole.

    The stem is a 3 x 3 convolution of stride 1, without max-pool; K = 2048.

    Args:
        blocks: Blocks of the four stages.
        num_classes: C.
    """
    model: nn.Module = torchvision.models.ResNet(Bottleneck, blocks, num_classes=num_classes)
    stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(stem.weight, mode="fan_out", nonlinearity="relu")
    model.conv1, model.maxpool = stem, nn.Identity()
    return model
