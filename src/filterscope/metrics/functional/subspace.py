"""Whether a filter lies in the subspace of the patches of its own class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.metrics.functional._checks import check_classes, check_owners

Size = int | tuple[int, int]


def patch_moments(
    inputs: Tensor,
    labels: Tensor,
    kernel_size: Size,
    stride: Size,
    padding: Size,
    dilation: Size,
    num_classes: int,
    groups: int = 1,
) -> tuple[Tensor, Tensor, Tensor]:
    """Count and sum, for each class, the patches that a convolution multiplies with its filters.

    Moments of several batches add up. The patch of a position has the order of
    ``weight.flatten(1)`` and holds the zeros of the padding.

    Args:
        inputs: What the convolution reads, (N, channels, H, W).
        labels: Class of each image, (N,) integers.
        kernel_size: Of the convolution, as a number or (height, width); so are `stride`,
            `padding` and `dilation`.
        stride: Of the convolution.
        padding: Of the convolution, with zeros.
        dilation: Of the convolution.
        num_classes: C.
        groups: Of the convolution; d is the length of one filter, channels / groups * kernel area.

    Returns:
        The number of patches (C,) int64, their sums (C, d) and the sums of their outer products
        (C, d, d), float64, on the device of `inputs`. With several groups, whose filters read
        different patches, (C, groups, d) and (C, groups, d, d).

    Raises:
        ValueError: Shapes that do not fit, non-finite inputs, labels out of range, or channels
            that the groups do not divide.

    Source: Liang et al., ECCV 2020, appendix D, as a number.

    Examples:
        >>> counts, sums, products = patch_moments(
        ...     torch.ones(2, 1, 3, 3), torch.tensor([0, 0]), 2, 1, 0, 1, num_classes=1)
        >>> counts, sums
        (tensor([8]), tensor([[8., 8., 8., 8.]], dtype=torch.float64))
    """
    if inputs.dim() != 4 or not bool(torch.isfinite(inputs).all()):
        raise ValueError(f"`inputs` must be finite (N, channels, H, W), got {tuple(inputs.shape)}")
    check_classes("labels", labels, len(inputs), num_classes)
    d = filter_length(inputs.shape[1], kernel_size, groups)
    counts = torch.zeros(num_classes, dtype=torch.int64, device=inputs.device)
    sums = inputs.new_zeros(num_classes, groups, d, dtype=torch.float64)
    products = inputs.new_zeros(num_classes, groups, d, d, dtype=torch.float64)
    for c in sorted(set(labels.tolist())):
        images = inputs.detach()[labels == c].double()
        patches = F.unfold(images, kernel_size, dilation, padding, stride)
        by_group = patches.reshape(len(images), groups, d, -1).permute(1, 0, 3, 2)
        patches = by_group.flatten(1, 2)
        counts[c] = patches.shape[1]
        sums[c] = patches.sum(dim=1)
        products[c] = patches.mT @ patches
    return (counts, sums, products) if groups > 1 else (counts, sums[:, 0], products[:, 0])


def filter_length(channels: int, kernel_size: Size, groups: int) -> int:
    """Give d, the number of weights of one filter."""
    if groups < 1 or channels % groups:
        raise ValueError(f"`groups` must divide {channels} channels, got {groups}")
    height, width = (kernel_size,) * 2 if isinstance(kernel_size, int) else kernel_size
    return channels // groups * height * width


def class_subspace_alignment(
    weights: Tensor, counts: Tensor, sums: Tensor, products: Tensor, variance: float = 0.95
) -> Tensor:
    """Share of the length of each filter that lies in the subspace of each class.

    The subspace of a class is spanned by the fewest principal components of its patches that hold
    `variance` of their variance. A random direction has an alignment near the root of
    (dimension of the subspace) / d.

    Args:
        weights: Of the convolution, (K, channels / groups, height, width), or (K, d).
        counts: Of `patch_moments`, (C,).
        sums: Of `patch_moments`, (C, d) or (C, groups, d).
        products: Of `patch_moments`, (C, d, d) or (C, groups, d, d).
        variance: Share of the variance that the subspace holds, in (0, 1].

    Returns:
        (C, K) float64 in [0, 1], on CPU; NaN in the row of a class without patches or whose
        patches are all the same, and in the column of a filter of zeros.

    Raises:
        ValueError: Shapes that do not fit, non-finite weights, or a variance outside (0, 1].

    Source: Liang et al., ECCV 2020, appendix D, as a number.

    Examples:
        >>> patches = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
        >>> moments = torch.tensor([2]), patches.sum(0)[None], (patches.T @ patches)[None]
        >>> class_subspace_alignment(torch.tensor([[2.0, 0.0], [3.0, 4.0]]), *moments)
        tensor([[1.0000, 0.6000]], dtype=torch.float64)
    """
    filters, group_sums, group_products = _checked_moments(weights, counts, sums, products)
    if not 0 < variance <= 1:
        raise ValueError(f"`variance` must lie in (0, 1], got {variance}")
    lengths = filters.norm(dim=2)
    alignment = torch.full((len(counts), lengths.numel()), torch.nan, dtype=torch.float64)
    for c, count in enumerate(counts.tolist()):
        if not count:
            continue
        rows = []
        for g, members in enumerate(filters):
            basis = _subspace(group_sums[c, g] / count, group_products[c, g] / count, variance)
            shares = (members @ basis).norm(dim=1) / lengths[g]
            # where no direction varies there is no subspace, and 0 would look like a measurement
            rows.append(shares if basis.shape[1] else torch.full_like(shares, torch.nan))
        alignment[c] = torch.cat(rows).clamp(max=1)
    return alignment


def _subspace(mean: Tensor, second: Tensor, variance: float) -> Tensor:
    """Basis (d, r) of the fewest principal components that hold `variance` of the variance."""
    covariance = second - torch.outer(mean, mean)
    values, vectors = torch.linalg.eigh(covariance)
    values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    noise = len(mean) * torch.finfo(torch.float64).eps * float(second.trace())
    values = torch.where(values > noise, values, 0.0)
    held = values.cumsum(0)
    # the last component that is needed reaches the share, the ones after it are left out
    needed = (held < variance * held[-1] * (1 - 1e-12)).sum() + 1
    basis: Tensor = vectors[:, : int(needed)] if float(held[-1]) > 0 else vectors[:, :0]
    return basis


def _checked_moments(
    weights: Tensor, counts: Tensor, sums: Tensor, products: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Give filters (groups, K / groups, d) and moments with a group axis, float64 on CPU."""
    if weights.dim() < 2 or not bool(torch.isfinite(weights).all()):
        raise ValueError(f"`weights` must be finite (K, ...), got {tuple(weights.shape)}")
    filters = weights.detach().cpu().double().flatten(1)
    num_filters, d = filters.shape
    if sums.dim() not in (2, 3) or sums.shape[-1] != d or len(sums) != len(counts):
        raise ValueError(
            f"`sums` must be ({len(counts)}, {d}) or ({len(counts)}, groups, {d}), "
            f"got {tuple(sums.shape)}"
        )
    if products.shape != (*sums.shape, d):
        raise ValueError(f"`products` must be {(*sums.shape, d)}, got {tuple(products.shape)}")
    groups = 1 if sums.dim() == 2 else sums.shape[1]
    if num_filters % groups:
        raise ValueError(f"`weights` has {num_filters} filters for {groups} groups")
    return (
        filters.reshape(groups, -1, d),
        sums.cpu().double().reshape(-1, groups, d),
        products.cpu().double().reshape(-1, groups, d, d),
    )


@dataclass(frozen=True)
class SubspaceAlignment:
    """Mean alignment of filters with the subspace of their own class and with those of others.

    Attributes:
        own: Mean over filters of the alignment with the class that owns them.
        others: Mean over filters and all other classes.
        difference: ``own - others``; 0 where filters do not prefer their class.
        num_filters: Filters with an owner.
        undefined: Entries of their columns that are NaN, left out of the means.
    """

    own: float
    others: float
    difference: float
    num_filters: int
    undefined: int


def alignment_contrast(alignment: Tensor, owners: Tensor) -> SubspaceAlignment:
    """Compare the alignment of filters with their own class and with all others.

    Args:
        alignment: Of `class_subspace_alignment`, (C, K).
        owners: Class of each filter, (K,) integers; -1 for a shared filter, which is left out.

    Returns:
        The means; NaN where nothing is left to average.

    Raises:
        ValueError: No matrix, or owners that do not fit.

    Source: Liang et al., ECCV 2020, appendix D, as a number.

    Examples:
        >>> alignment_contrast(torch.tensor([[0.9, 0.2], [0.3, 0.6]]), torch.tensor([0, 1])).own
        0.75
    """
    if alignment.dim() != 2:
        raise ValueError(f"`alignment` must be (C, K), got {tuple(alignment.shape)}")
    check_owners(owners, alignment.shape[1], len(alignment))
    owned = owners.cpu() >= 0
    values = alignment.detach().cpu().double()[:, owned]
    is_own = torch.arange(len(values))[:, None] == owners.cpu()[owned]
    own, others = float(values[is_own].nanmean()), float(values[~is_own].nanmean())
    return SubspaceAlignment(
        own=own,
        others=others,
        difference=own - others,
        num_filters=values.shape[1],
        undefined=int(values.isnan().sum()),
    )
