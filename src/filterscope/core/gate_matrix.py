"""The set of feasible gates, and the way back to it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# A column whose largest entry is not above this has lost its class; dividing by it would only
# amplify noise, so the column is repaired instead.
_DEAD_COLUMN = 1e-6


def projected_gate(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Bring a matrix to the set of gates: entries in [0, 1], a 1 in every column.

    Each column is divided by its largest entry, then clamped to [0, 1]. This is the approximate
    projection of the paper's Algorithm 1 (lines 7 and 8), with the signed maximum, not the
    Euclidean projection. A column without a positive entry has no maximum to divide by: its
    largest entry (the first of equals) becomes 1 and the rest 0.

    Args:
        matrix: Class x filter, (C, K), finite.

    Returns:
        The gate, (C, K), and the columns that had to be repaired that way, (K,) bool.

    Source: Liang et al., ECCV 2020, Algorithm 1.

    Examples:
        >>> projected_gate(torch.tensor([[2.0, -3.0], [-1.0, -1.0]]))
        (tensor([[1., 0.],
                [0., 1.]]), tensor([False,  True]))
    """
    top, top_class = matrix.max(dim=0)
    dead = top <= _DEAD_COLUMN
    projected = (matrix / torch.where(dead, 1.0, top)).clamp(0, 1)
    one_hot = F.one_hot(top_class, len(matrix)).T.to(projected)
    return torch.where(dead, one_hot, projected), dead


def checked_density_bound(density_bound: float | None, num_classes: int) -> float:
    """Give the upper bound of a gate's mean entry, g / (C K).

    Args:
        density_bound: Between 1 / C and 1; None means max(0.1, 1 / C), 0.1 being the paper's
            bound for CIFAR-10 and ImageNet.
        num_classes: C.

    Raises:
        ValueError: A bound outside [1 / C, 1].
    """
    least = 1 / num_classes
    if density_bound is None:
        return max(0.1, least)
    # a user's 0.333 for three classes is meant as 1 / 3 only to rounding
    if not least * (1 - 1e-9) <= density_bound <= 1:
        raise ValueError(
            f"`density_bound` must lie in [1 / num_classes, 1] = [{least:.6g}, 1], because every "
            f"filter serves at least one class; got {density_bound!r}"
        )
    return float(density_bound)
