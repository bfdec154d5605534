"""Bicubic upscaling as a network, with the kernels in use."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.integers import as_integer

Kernel = Literal["torch", "matlab", "pil"]

_STEEPNESS = -0.5  # of Keys' kernel, in MATLAB and Pillow; torch has -0.75


class Bicubic(nn.Module):
    """Upscaling by Keys' cubic kernel, linear in the picture and the same for each picture.

    Args:
        scale: Output side over input side, a whole number of at least 2.
        kernel: "torch" (default): ``F.interpolate`` with ``align_corners=False``: a = -0.75, the
            border repeated. "matlab": ``imresize``: a = -0.5, the border mirrored. "pil": Pillow's
            ``resize``: a = -0.5, weights beyond the border left out and the others made to sum to
            one. Antialiasing changes nothing where a picture grows.

    Raises:
        TypeError: A scale that is no integer.
        ValueError: A scale below 2, or an unknown kernel.

    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981.

    Examples:
        >>> Bicubic(3)(torch.ones(1, 3, 4, 5)).shape
        torch.Size([1, 3, 12, 15])
    """

    def __init__(self, scale: int, kernel: Kernel = "torch") -> None:
        super().__init__()
        whole = as_integer(scale)
        if whole is None:
            raise TypeError(f"`scale` must be a whole number, got {scale!r}")
        if whole < 2:
            raise ValueError(f"`scale` must be at least 2, got {scale}")
        if kernel not in get_args(Kernel):
            raise ValueError(f"`kernel` must be one of {', '.join(get_args(Kernel))}: {kernel!r}")
        self.scale = whole
        self.kernel: Kernel = kernel

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, scale H, scale W)."""
        if self.kernel == "torch":
            return F.interpolate(x, scale_factor=self.scale, mode="bicubic", align_corners=False)
        rows = _weights(x.shape[2], self.scale, self.kernel).to(x)
        columns = _weights(x.shape[3], self.scale, self.kernel).to(x)
        return rows @ x @ columns.T

    def extra_repr(self) -> str:
        """Scale and kernel."""
        return f"{self.scale}, kernel={self.kernel!r}"


def _weights(size: int, scale: int, kernel: Kernel) -> Tensor:
    """What each output position takes from each input position, (scale size, size)."""
    centres = (torch.arange(scale * size, dtype=torch.float64) + 0.5) / scale - 0.5
    taps = centres.floor()[:, None] + torch.arange(-1, 3)
    weights = _keys(centres[:, None] - taps)
    inside = (taps >= 0) & (taps < size)
    if kernel == "pil":
        weights = weights * inside
        weights = weights / weights.sum(1, keepdim=True)
    else:  # ... 1 0 | 0 1 2 ... as often as the two positions beyond the border need it
        around = taps % (2 * size)
        taps = torch.where(around < size, around, 2 * size - 1 - around)
    columns = taps.clamp(0, size - 1).long()
    return torch.zeros(scale * size, size, dtype=torch.float64).scatter_add_(1, columns, weights)


def _keys(distance: Tensor) -> Tensor:
    """Keys' kernel: 1 at 0, 0 at every other whole number, 0 from 2 on."""
    d, a = distance.abs(), _STEEPNESS
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return torch.where(d <= 1, near, torch.where(d < 2, far, 0))
