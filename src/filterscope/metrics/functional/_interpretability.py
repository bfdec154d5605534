"""Counting the parts that discs around valid units cover."""

from __future__ import annotations

import torch
from torch import Tensor

from filterscope.metrics.functional._landmarks import middle

_FILTERS_AT_ONCE = 64  # whose covered pixels are held at a time


def count_hits(
    valid: Tensor, masks: Tensor, centres: Tensor, radius: float, success: float
) -> tuple[Tensor, Tensor]:
    """Count the images on which each filter covers each part.

    Args:
        valid: Whether a unit of a filter is valid, (N, K, units) bool.
        masks: Of the parts, (N, P, H, W) bool.
        centres: Of the units, (h, w, 2).
        radius: Of the discs.
        success: IoU above which a part is covered.

    Returns:
        Counts (K, P) int64; and for each image whether the disc of each unit, and at last that in
        the middle of the map, covers each part, (N, units + 1, P) bool.
    """
    size = (masks.shape[2], masks.shape[3])
    bank = discs(torch.cat([centres.reshape(-1, 2), middle(centres).reshape(1, 2)]), radius, size)
    hits = torch.zeros(valid.shape[1], masks.shape[1], dtype=torch.int64)
    unit_hits = torch.zeros(len(masks), len(bank), masks.shape[1], dtype=torch.bool)
    for image, (units, mask) in enumerate(zip(valid, masks.cpu(), strict=True)):
        parts = mask.flatten(1).float()
        unit_hits[image] = _iou(bank, parts) > success
        number = units.sum(dim=1)
        # most filters have no valid unit, or one, whose disc has been compared already
        one = number == 1
        hits[one] += unit_hits[image][units[one].long().argmax(dim=1)]
        for some in (number > 1).nonzero()[:, 0].split(_FILTERS_AT_ONCE):
            covered = (units[some].float() @ bank[:-1] > 0).float()
            hits[some] += _iou(covered, parts) > success
    return hits, unit_hits


def discs(points: Tensor, radius: float, size: tuple[int, int]) -> Tensor:
    """Round masks about points (units, 2) given as (x, y): (units, H * W) of 0 and 1."""
    rows, columns = (torch.arange(side, dtype=torch.float64) for side in size)
    x, y = points.detach().cpu().double().unbind(dim=1)
    across = (columns - x[:, None]).square()[:, None]
    down = (rows - y[:, None]).square()[..., None]
    return (across + down <= radius**2).flatten(1).float()


def _iou(covered: Tensor, parts: Tensor) -> Tensor:
    """IoU of masks (M, pixels) and (P, pixels) of 0 and 1, (M, P) float64; NaN for two empty ones.

    The counts are below 2^24, and so exact in float32.
    """
    inside = (covered @ parts.T).double()
    areas = covered.sum(dim=1, dtype=torch.float64)[:, None] + parts.sum(dim=1).double()
    return inside / (areas - inside)
