"""The unit at which a feature map has its part."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Mu = Literal["argmax", "centroid"]


def peak_units(maps: Tensor, mu: Mu = "argmax") -> Tensor:
    """Find the unit mu of each feature map.

    A map without a positive value gets the top left unit, with either rule.

    Args:
        maps: Feature maps, (N, K, h, w).
        mu: "argmax" is the unit of the largest value (the paper; the first of equals), "centroid"
            the unit nearest to the centre of mass of the positive values (the authors' code),
            which lies between the peaks of a map with two of them.

    Returns:
        Flat unit index row * w + column of each map, (N, K), int64.

    Raises:
        ValueError: Maps of another number of axes, or an unknown rule.

    Source: Zhang et al., CVPR 2018, section 3.

    Examples:
        >>> import torch
        >>> maps = torch.zeros(1, 1, 3, 3)
        >>> maps[0, 0, 0, 0], maps[0, 0, 2, 2] = 1.0, 1.5
        >>> peak_units(maps).item(), peak_units(maps, "centroid").item()
        (8, 4)
    """
    if mu not in get_args(Mu):
        raise ValueError(f"`mu` must be 'argmax' or 'centroid', got {mu!r}")
    if maps.dim() != 4:
        raise ValueError(f"`maps` must be (N, K, h, w), got {tuple(maps.shape)}")
    maps = maps.detach()
    height, width = maps.shape[2:]
    if mu == "argmax":
        values, units = maps.flatten(2).max(-1)
        return torch.where(values > 0, units, 0)
    mass = maps.to(torch.promote_types(maps.dtype, torch.float32)).clamp_min(0)
    return _centre(mass.sum(3), height) * width + _centre(mass.sum(2), width)


def _centre(mass: Tensor, size: int) -> Tensor:
    """Nearest integer to the centre of mass of (N, K, size), halves upwards; 0 without mass."""
    line = torch.arange(size - 1, -1, -1, device=mass.device, dtype=mass.dtype)
    total, moment = mass.sum(2), (mass.flip(2) * line).sum(2)
    # nearest without a division: neither a dead map nor NaN can give an index out of range
    nearest = (moment[:, :, None] - line * total[:, :, None]).abs().argmin(2)
    return torch.where(total > 0, size - 1 - nearest, 0)
