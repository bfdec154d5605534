"""Points in images: x and y from the top left corner, in pixels, from edge to edge."""

from __future__ import annotations

import torch
from torch import Tensor


def mirror_points(points: Tensor, size: int) -> Tensor:
    """Mirror points (..., 2) left to right in images of `size` pixels.

    Examples:
        >>> mirror_points(torch.tensor([10.0, 3.0]), 32)
        tensor([22.,  3.])
    """
    return torch.stack([size - points[..., 0], points[..., 1]], -1)


def inside_square(points: Tensor, size: int) -> Tensor:
    """NaN for points outside the square, both coordinates."""
    within = ((points >= 0) & (points <= size)).all(-1, keepdim=True)
    return torch.where(within, points, torch.nan)
