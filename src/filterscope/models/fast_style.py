"""The fast-style generator, as trained in TensorFlow and read from its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_EPSILON = 1e-3


class _Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME" is, then instance norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, eps=_EPSILON, affine=True)

    def forward(self, input: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up."""
        top, bottom = self._borders(input.shape[2])
        left, right = self._borders(input.shape[3])
        y: Tensor = self.norm(super().forward(F.pad(input, (left, right, top, bottom))))
        return y

    def _borders(self, size: int) -> tuple[int, int]:
        """Zeros before and after: as few as reach every position, the odd one after."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class _Doubling(nn.ConvTranspose2d):
    """A transposed convolution that doubles the sides as TensorFlow's does, then instance norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, stride=2, bias=False)
        self.norm = nn.InstanceNorm2d(outputs, eps=_EPSILON, affine=True)

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, 2 H, 2 W)."""
        whole = super().forward(input, output_size)
        y: Tensor = self.norm(F.pad(whole, (0, -1, 0, -1)))  # the last row and column fall off
        return y


class _ResidualBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, filters: int) -> None:
        super().__init__()
        self.conv1 = _Convolution(filters, filters, 3)
        self.conv2 = _Convolution(filters, filters, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(N, filters, H, W) to the same."""
        y: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + y


class FastStyleGenerator(nn.Module):
    """Repaints a photograph in the style that its weights were trained for.

    It takes and gives RGB from 0 to 255 (the output leaves that range, from -22.5 to 277.5), in
    sides that four divides. Instance norms have learnt scales and shifts. The keys are
    ``conv{1,2,3}``, ``res{1..5}.conv{1,2}``, ``up{1,2}``, ``conv_out``, each with ``weight``,
    ``norm.weight`` and ``norm.bias``.

    Args:
        filters: Of the first convolution (32, the released weights').

    Source: Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution",
    ECCV 2016; layers as in the TensorFlow releases of "fast style transfer".

    Examples:
        >>> FastStyleGenerator(filters=2)(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(self, filters: int = 32) -> None:
        super().__init__()
        wide, wider = 2 * filters, 4 * filters
        self.conv1 = _Convolution(3, filters, 9)
        self.conv2 = _Convolution(filters, wide, 3, stride=2)
        self.conv3 = _Convolution(wide, wider, 3, stride=2)
        self.res1 = _ResidualBlock(wider)
        self.res2 = _ResidualBlock(wider)
        self.res3 = _ResidualBlock(wider)
        self.res4 = _ResidualBlock(wider)
        self.res5 = _ResidualBlock(wider)
        self.up1 = _Doubling(wider, wide)
        self.up2 = _Doubling(wide, filters)
        self.conv_out = _Convolution(filters, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the same shape, where four divides H and W."""
        x = F.relu(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))
        x = self.res5(self.res4(self.res3(self.res2(self.res1(x)))))
        x = F.relu(self.up2(F.relu(self.up1(x))))
        return torch.tanh(self.conv_out(x)) * 150 + 127.5
