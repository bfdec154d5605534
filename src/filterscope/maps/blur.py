"""Gaussian blur of maps of any size."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def gaussian_blur(maps: Tensor, sigma: float, kernel_size: int | None = None) -> Tensor:
    """Blur maps with a Gaussian; beyond the border they go on mirrored.

    The mirror stands in the centre of the border pixels, so that these are not repeated
    (``mode="reflect"`` of `torch.nn.functional.pad`). Unlike there, the kernel may be wider than
    the map: a map between two mirrors repeats with period 2 (n - 1).

    Args:
        maps: (..., H, W).
        sigma: Standard deviation, in pixels.
        kernel_size: Odd number of pixels after which the Gaussian is cut off and its weights
            rescaled to 1; default: 4 sigma to either side, as in scipy.

    Returns:
        Blurred maps of the same shape.

    Raises:
        ValueError: Maps without two dimensions or of integers, a `sigma` that is not positive, or
            a `kernel_size` that is not an odd positive integer.

    Examples:
        >>> spot = torch.zeros(5, 5)
        >>> spot[2, 2] = 1
        >>> gaussian_blur(spot, sigma=0.5, kernel_size=3)[2, 1:4]
        tensor([0.0838, 0.6193, 0.0838])
    """
    if maps.dim() < 2 or not maps.numel() or not maps.is_floating_point():
        raise ValueError(
            f"`maps` must be (..., H, W) floating point, got {tuple(maps.shape)} {maps.dtype}"
        )
    if not 0 < sigma < math.inf:
        raise ValueError(f"`sigma` must be positive, in pixels, got {sigma}")
    size = 2 * int(4 * sigma + 0.5) + 1 if kernel_size is None else kernel_size
    if type(size) is not int or size < 1 or size % 2 == 0:
        raise ValueError(f"`kernel_size` must be an odd positive integer, got {kernel_size}")
    rows, columns = (_blur_matrix(n, float(sigma), size).to(maps) for n in maps.shape[-2:])
    return rows @ maps @ columns.T


@lru_cache(maxsize=32)
def _blur_matrix(length: int, sigma: float, kernel_size: int) -> Tensor:
    """Weights with which each of `length` places enters each blurred one, (length, length)."""
    radius = kernel_size // 2
    offsets = torch.arange(-radius, radius + 1)
    kernel = torch.exp(-offsets.double().square() / (2 * sigma**2))
    kernel /= kernel.sum()
    period = max(1, 2 * (length - 1))
    places = (torch.arange(length)[:, None] + offsets).remainder(period)
    mirrored = torch.minimum(places, period - places) if length > 1 else places
    matrix = torch.zeros(length, length, dtype=torch.float64)
    return matrix.scatter_add_(1, mirrored, kernel.expand(length, -1))
