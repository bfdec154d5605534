"""Which images are of which category, and which category a filter belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F

Statistic = Literal["peak", "sum"]

# The authors' moving average: what a batch leaves of the old value, and the least first value.
_KEPT = 0.9
_FIRST = 0.1


def category_members(labels: Tensor, num_categories: int) -> Tensor:
    """Tell which categories each image belongs to.

    Args:
        labels: With one category, (N,) booleans, or integers with 1 for an image of the category
            and 0 or -1 for any other. With several, (N,) integers, the index of the category or
            -1 for an image of none. Or the answer itself, (N, C) booleans.
        num_categories: C.

    Returns:
        Membership, (N, C), bool.

    Raises:
        TypeError: Labels of another type.
        ValueError: Labels of another shape; on CPU also values out of range (on an accelerator
            looking at them would wait for the device).
    """
    if not isinstance(labels, Tensor):
        raise TypeError(f"`labels` must be a tensor, got {type(labels).__name__}")
    boolean = labels.dtype == torch.bool
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(f"`labels` must be integers or booleans, got {labels.dtype}")
    if boolean and labels.dim() == 2 and labels.shape[1] == num_categories:
        return labels
    if labels.dim() != 1 or (boolean and num_categories > 1):
        raise ValueError(
            f"`labels` must be (N,) integers or (N, {num_categories}) booleans for "
            f"{num_categories} categories, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if boolean:
        return labels[:, None]
    highest = max(num_categories - 1, 1)
    if labels.device.type == "cpu" and labels.numel():
        low, high = int(labels.min()), int(labels.max())
        if low < -1 or high > highest:
            raise ValueError(
                f"`labels` must lie in [-1, {highest}] for {num_categories} categories, got "
                f"values from {low} to {high}"
            )
    if num_categories == 1:
        return labels[:, None] == 1
    some = labels >= 0
    return F.one_hot(labels.long() * some, num_categories).bool() & some[:, None]


def checked_shares(shares: Sequence[float] | None, num_categories: int) -> Tensor:
    """Give the share of images of each category, (C,); None means 1 / C each."""
    if shares is None:
        return torch.full((num_categories,), 1 / num_categories)
    given = torch.as_tensor(shares, dtype=torch.float32)
    if given.shape != (num_categories,) or not bool(((given > 0) & (given < 1)).all()):
        raise ValueError(
            f"`class_shares` must be {num_categories} numbers strictly between 0 and 1, "
            f"got {shares!r}"
        )
    return given


def category_means(maps: Tensor, members: Tensor, statistic: Statistic) -> Tensor:
    """Mean strength of each filter over a batch's images of each category.

    Args:
        maps: Rectified maps, (N, K, n, n).
        members: Membership, (N, C).
        statistic: "peak" is the largest value of a map, "sum" the sum of its values.

    Returns:
        Means, (C, K), over all processes' images; 0 for a category without images.
    """
    flat = maps.flatten(2)
    strength = flat.amax(2) if statistic == "peak" else flat.sum(2)
    member = members.to(strength.dtype)
    sums, counts = summed_over_processes(member.T @ strength, member.sum(0))
    return sums / counts.clamp_min(1)[:, None]


def moved_means(old: Tensor, batch: Tensor, is_first: Tensor) -> Tensor:
    """Move the average strengths (C, K) towards a batch's.

    The first batch sets them, at 0.1 or more. Later, a mean of zero (no image of the category, or
    a filter that does not answer to it) leaves the old value as it is.
    """
    moved = torch.where(batch > 0, _KEPT * old + (1 - _KEPT) * batch, old)
    return torch.where(is_first, batch.clamp_min(_FIRST), moved)


def summed_over_processes(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Sum tensors over the processes of a distributed run; as they are in a single one."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)
    return tensors
