"""Pixels of thresholded, interpolated maps, counted without building the interpolated maps.

The counts are those of ``F.interpolate(maps, size, mode="bilinear") >= threshold``, to the pixel.
A threshold is itself the value of a map, and where a map is constant (beyond the centres of its
border pixels) the last bit of the arithmetic decides whether the interpolated value reaches it. So
the kernel computes as PyTorch's CPU kernel for contiguous maps does: weights in float32, rows
first, and each weighted sum as ``fma(x0, w0, x1 * w1)``. PyTorch has other kernels for a few cases
(`_interpolated_otherwise`), which are left to PyTorch.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from filterscope.metrics.functional._neighbors import _compiled

Counts = NDArray[np.int32]
_SLACK = np.float32(1e-6)  # relative; above the rounding of an interpolated value


def pixel_counts(maps: Tensor, thresholds: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Count the pixels of each interpolated map at or above its filter's threshold.

    Args:
        maps: Finite low-resolution maps, (N, K, h, w) float32 on CPU.
        thresholds: (K,) float32 on CPU.
        masks: (N, H, W) bool on CPU; the maps are interpolated to H x W.

    Returns:
        Pixels that reach the threshold, and those of them inside the mask, (N, K) int32 each.
    """
    maps, masks = maps.contiguous(), masks.contiguous()
    if _interpolated_otherwise(maps, masks):
        return _counted_by_torch(maps, thresholds, masks)
    area = np.empty(maps.shape[:2], dtype=np.int32)
    inside = np.empty_like(area)
    values, limits, objects = maps.numpy(), thresholds.numpy(), masks.numpy().view(np.uint8)
    rows = _places_and_weights(maps.shape[2], masks.shape[1])
    columns = _places_and_weights(maps.shape[3], masks.shape[2])

    def fill(n: int) -> None:
        _count(values[n], limits, objects[n], *rows, *columns, area[n], inside[n])

    threads = min(len(maps), torch.get_num_threads(), os.cpu_count() or 1)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        list(pool.map(fill, range(len(maps))))
    return torch.from_numpy(area), torch.from_numpy(inside)


def _interpolated_otherwise(maps: Tensor, masks: Tensor) -> bool:
    """Whether PyTorch interpolates these with another kernel, which rounds otherwise.

    It does for small results and few channels, and where the maps count as channels-last.
    """
    small = sum(masks.shape[1:]) <= 128 or maps.shape[1] <= 3
    return small or maps.is_contiguous(memory_format=torch.channels_last)


def _counted_by_torch(maps: Tensor, thresholds: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """`pixel_counts` image by image; for maps that are small anyhow."""
    area = torch.empty(maps.shape[:2], dtype=torch.int32)
    inside = torch.empty_like(area)
    for n, mask in enumerate(masks):
        size = (mask.shape[0], mask.shape[1])
        wide = F.interpolate(maps[n : n + 1], size, mode="bilinear", align_corners=False)[0]
        reached = wide >= thresholds[:, None, None]
        area[n] = reached.sum(dim=(1, 2))
        inside[n] = (reached & mask).sum(dim=(1, 2))
    return area, inside


def _places_and_weights(source: int, target: int) -> tuple[Any, Any, Any, Any]:
    """For each of `target` places the two source places and their weights, as PyTorch rounds."""
    one, half = np.float32(1), np.float32(0.5)
    scale = np.float32(source) / np.float32(target)
    centre = np.maximum(scale * (np.arange(target, dtype=np.float32) + half) - half, 0)
    low = np.minimum(centre.astype(np.int64), source - 1)
    high = np.minimum(low + 1, source - 1)
    weight = np.clip(centre - low.astype(np.float32), 0, 1).astype(np.float32)
    return low, high, one - weight, weight


def _fused(_context: Any, _x: Any, _y: Any, _z: Any) -> Any:
    """Multiply and add with one rounding: x * y + z in float32."""
    signature = types.float32(types.float32, types.float32, types.float32)
    return signature, lambda _context, builder, _signature, values: builder.fma(*values)


_fma: Any = intrinsic(_fused)


@_compiled
def _count(
    maps: Any,
    thresholds: Any,
    mask: Any,
    tops: Any,
    bottoms: Any,
    top_weights: Any,
    bottom_weights: Any,
    lefts: Any,
    rights: Any,
    left_weights: Any,
    right_weights: Any,
    area: Any,
    inside: Any,
) -> None:
    """`pixel_counts` of one image."""
    num_filters, h = maps.shape[:2]
    height, width = mask.shape
    wide = np.empty((h, width), np.float32)  # a map whose rows are interpolated
    in_mask = np.int32(0)
    for i in range(height):
        for j in range(width):
            in_mask += np.int32(mask[i, j])
    for k in range(num_filters):
        threshold, source = thresholds[k], maps[k]
        least, most = source.min(), source.max()
        area[k] = inside[k] = 0
        if most + _SLACK * max(abs(least), abs(most)) < threshold:
            continue
        if threshold <= 0 <= least:
            area[k], inside[k] = height * width, in_mask
            continue
        for i in range(h):
            for j in range(width):
                right = source[i, rights[j]] * right_weights[j]
                wide[i, j] = _fma(source[i, lefts[j]], left_weights[j], right)
        reached, shared = np.int32(0), np.int32(0)
        for i in range(height):
            top, bottom, row = wide[tops[i]], wide[bottoms[i]], mask[i]
            for j in range(width):
                low = bottom[j] * bottom_weights[i]
                hit = np.int32(_fma(top[j], top_weights[i], low) >= threshold)
                reached += hit
                shared += hit & row[j]
        area[k], inside[k] = reached, shared
