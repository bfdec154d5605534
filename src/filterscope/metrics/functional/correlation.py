"""How much the filters of a layer repeat each other."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from filterscope.metrics.functional._rows import ROUNDING, scaled_rows

Variant = Literal["all", "off_diagonal", "absolute"]


def filter_correlation(weights: Tensor) -> Tensor:
    """Cosine between the weights of every pair of filters.

    Args:
        weights: Of a convolution or linear layer, (K, ...); a filter's weights are flattened,
            the bias is no part of them.

    Returns:
        (K, K), float64; 1 or -1, to the bit, where filters are multiples of each other; a filter
        of zeros has cosine 0 with all others.

    Raises:
        ValueError: Fewer than two dimensions, or non-finite weights.

    Source: Liang et al., ECCV 2020, section 4.3.

    Examples:
        >>> filter_correlation(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]]))
        tensor([[ 1.,  0., -1.],
                [ 0.,  1.,  0.],
                [-1.,  0.,  1.]], dtype=torch.float64)
    """
    if weights.dim() < 2:
        raise ValueError(f"`weights` must be (K, ...), got {tuple(weights.shape)}")
    flat = weights.detach().double().flatten(1)
    if not bool(torch.isfinite(flat).all()):
        raise ValueError("`weights` holds non-finite values")
    flat = scaled_rows(flat)
    norms = flat.norm(dim=1, keepdim=True)
    unit = flat / torch.where(norms > 0, norms, 1.0)
    correlation = unit @ unit.T + 0.0  # no negative zeros
    # the copies of a filter would else fall short of the threshold 1
    correlation = torch.where(correlation.abs() > 1 - ROUNDING, correlation.sign(), correlation)
    return correlation.fill_diagonal_(1.0)


def redundancy(correlation: Tensor, threshold: float | Tensor, variant: Variant = "all") -> Tensor:
    """Share of filter pairs whose correlation is at least a threshold (r_s).

    Args:
        correlation: Of `filter_correlation`, (K, K).
        threshold: s, a number or a tensor of numbers for a whole curve.
        variant: "all" counts every entry as printed in the paper, the diagonal with them;
            "off_diagonal" leaves it out; "absolute" leaves it out and ignores signs.

    Returns:
        A scalar, or one value a threshold, float64.

    Raises:
        ValueError: No finite square matrix, no pairs, a threshold of NaN, or an unknown variant.

    Source: Liang et al., ECCV 2020, section 4.3 and figure 8.

    Examples:
        >>> redundancy(torch.eye(4), 0.1).item(), redundancy(torch.eye(4), 0.1, "absolute").item()
        (0.25, 0.0)
    """
    check_square(correlation)
    if variant not in ("all", "off_diagonal", "absolute"):
        raise ValueError(f'`variant` must be "all", "off_diagonal" or "absolute", got {variant!r}')
    values = correlation.double()
    if variant == "all":
        flat = values.flatten()
    else:
        outside = ~torch.eye(len(values), dtype=torch.bool, device=values.device)
        flat = values[outside]
        flat = flat.abs() if variant == "absolute" else flat
    if not len(flat):
        raise ValueError("`correlation` is of a single filter, which has no pairs")
    thresholds = torch.as_tensor(threshold, dtype=torch.float64, device=values.device)
    if bool(thresholds.isnan().any()):
        raise ValueError("`threshold` holds NaN")
    above = len(flat) - torch.searchsorted(flat.sort().values, thresholds.reshape(-1))
    return (above.double() / len(flat)).reshape(thresholds.shape)


def class_groups(mean_features: Tensor, m: int) -> Tensor:
    """Find the filters with the largest mean activation on each class (A_c).

    Args:
        mean_features: Mean activation of each filter on each class, (C, K).
        m: Filters a class; the paper takes as many as its fixed gate has exclusive ones.

    Returns:
        (C, m) int64, the strongest first, the first of equals first. A filter may belong to
        several classes.

    Raises:
        ValueError: No finite matrix, or m outside [1, K].

    Source: Liang et al., ECCV 2020, section 4.3.

    Examples:
        >>> class_groups(torch.tensor([[0.1, 0.9, 0.5], [0.7, 0.8, 0.0]]), m=2)
        tensor([[1, 2],
                [1, 0]])
    """
    if mean_features.dim() != 2 or not bool(torch.isfinite(mean_features).all()):
        raise ValueError(
            "`mean_features` must be a finite (C, K) matrix (a class without samples has no mean), "
            f"got shape {tuple(mean_features.shape)}"
        )
    if not 1 <= m <= mean_features.shape[1]:
        raise ValueError(f"`m` must lie in [1, {mean_features.shape[1]}], got {m}")
    return mean_features.argsort(dim=1, descending=True, stable=True)[:, :m]


def inter_class_correlation(correlation: Tensor, mean_features: Tensor, m: int) -> float:
    """Mean correlation between the strongest filters of different classes (C_IC).

    For each class the `m` filters with the largest mean activation are taken; the mean runs over
    all ordered pairs of classes and all pairs of their filters. A filter that belongs to both
    classes counts with correlation 1.

    Args:
        correlation: Of `filter_correlation`, (K, K).
        mean_features: Mean activation of each filter on each class, (C, K).
        m: Filters a class.

    Raises:
        ValueError: Shapes that do not fit, one class, or m outside [1, K].

    Source: Liang et al., ECCV 2020, section 4.3.

    Examples:
        >>> inter_class_correlation(torch.eye(4), torch.eye(4)[:2], m=1)
        0.0
    """
    check_square(correlation)
    chosen = class_groups(mean_features, m)
    num_classes, num_filters = mean_features.shape
    if num_filters != len(correlation):
        raise ValueError(
            f"`mean_features` {tuple(mean_features.shape)} must be (C, {len(correlation)})"
        )
    if num_classes < 2:
        raise ValueError("`mean_features` must have at least 2 classes")
    member = torch.zeros_like(mean_features, dtype=torch.float64)
    member.scatter_(1, chosen, 1.0)
    blocks = member @ correlation.double() @ member.T
    between = blocks.sum() - blocks.diagonal().sum()
    return float(between / (num_classes * (num_classes - 1) * m**2))


def check_square(correlation: Tensor) -> None:
    """Refuse what is no square matrix or holds non-finite values."""
    if correlation.dim() != 2 or correlation.shape[0] != correlation.shape[1]:
        raise ValueError(f"`correlation` must be (K, K), got {tuple(correlation.shape)}")
    if not bool(torch.isfinite(correlation).all()):
        raise ValueError("`correlation` holds non-finite values")
