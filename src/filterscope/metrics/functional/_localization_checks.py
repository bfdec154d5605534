"""Checks of what the localisation metrics are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from filterscope.metrics.functional._checks import check_classes


def check_maps(maps: Tensor, dimensions: int, shape: str, *, binary: bool = False) -> None:
    """Refuse maps of another shape, of integers, or with NaN or infinite values."""
    if maps.dim() != dimensions or not maps.numel():
        raise ValueError(f"`maps` must be {shape}, got {tuple(maps.shape)}")
    if binary and maps.dtype == torch.bool:
        return
    if not maps.is_floating_point():
        raise ValueError(f"`maps` must be floating point, got {maps.dtype}")
    if not bool(torch.isfinite(maps).all()):
        raise ValueError("`maps` holds non-finite values")


def single_precision(maps: Tensor) -> Tensor:
    """Maps as float32 on the CPU; refuse those that are too large for it."""
    values = maps.detach().cpu().float()
    if maps.dtype == torch.float64 and not bool(torch.isfinite(values).all()):
        raise ValueError("`maps` holds values beyond single precision, in which they are compared")
    return values


def check_masks(
    masks: Tensor,
    labels: Tensor,
    num_classes: int,
    num_samples: int,
    size: Sequence[int] | None = None,
) -> None:
    """Refuse masks and labels that are not one mask of the size and one class for each sample."""
    if masks.dim() != 3 or masks.dtype != torch.bool or not masks[:1].numel():
        raise ValueError(f"`masks` must be (N, H, W) bool, got {tuple(masks.shape)} {masks.dtype}")
    if len(masks) != num_samples:
        raise ValueError(f"`maps` holds {num_samples} images, `masks` {len(masks)}")
    if size is not None and masks.shape[1:] != torch.Size(size):
        raise ValueError(
            f"`masks` must be {tuple(size)}, as the maps, got {tuple(masks.shape[1:])}"
        )
    check_classes("labels", labels, num_samples, num_classes)


def checked_rank(share: float, count: int) -> int:
    """Rank from the top, the largest having 1, that `share` of `count` values reach."""
    if not 0 < share <= 1:
        raise ValueError(f"`share` must lie in (0, 1], got {share}")
    rank = int(share * count)
    if not rank:
        raise ValueError(f"`share` {share} of {count} values is less than one value")
    return rank
