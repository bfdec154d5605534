"""Whether the correlation of filters is block-diagonal in the classes that own them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.metrics.functional._checks import check_owners
from filterscope.metrics.functional.correlation import check_square


@dataclass(frozen=True)
class BlockRatio:
    """Mean absolute correlation inside and between the groups of filters.

    Attributes:
        within: Over pairs of two filters of one group; NaN if no group has two.
        between: Over pairs of filters of different groups; NaN if there is one group.
        ratio: ``within / between``; 1 where groups mean nothing, large for a block-diagonal
            matrix, infinite if nothing correlates between groups, NaN if either mean is NaN or
            both are 0.
        chance: Mean ratio of random groupings of the same sizes.
        chance_spread: Standard deviation of their ratios (n - 1); NaN for fewer than two.
        num_filters: Filters that belong to a group.
        random_groupings: How many random groupings.
    """

    within: float
    between: float
    ratio: float
    chance: float
    chance_spread: float
    num_filters: int
    random_groupings: int


def block_ratio(
    correlation: Tensor, owners: Tensor, random_groupings: int = 100, random_state: int = 0
) -> BlockRatio:
    """Compare the correlation of filters of one class with that of filters of different classes.

    Args:
        correlation: Of `filter_correlation`, (K, K); signs are ignored.
        owners: Class of each filter, (K,) integers; -1 for a shared filter, which is left out.
        random_groupings: Random groupings of the same sizes for the chance level.
        random_state: Their seed.

    Raises:
        ValueError: Shapes that do not fit, non-finite values, or fewer than 0 groupings.

    Source: Liang et al., ECCV 2020, section 4.3 ("approximately block-diagonal"), as a number.

    Examples:
        >>> halves = torch.block_diag(torch.full((2, 2), 0.5), torch.full((2, 2), 0.5)) + 0.1
        >>> round(block_ratio(halves, torch.tensor([0, 0, 1, 1])).ratio, 6)
        6.0
    """
    check_square(correlation)
    check_owners(owners, len(correlation))
    if random_groupings < 0:
        raise ValueError(f"`random_groupings` must be at least 0, got {random_groupings}")
    owned = owners.cpu() >= 0
    groups = owners.cpu()[owned]
    strength = correlation.detach().cpu().double()[owned][:, owned].abs()
    within, between = _means(strength, groups)
    generator = torch.Generator().manual_seed(random_state)
    ratios = torch.zeros(random_groupings, dtype=torch.float64)
    for i in range(random_groupings):
        inside, outside = _means(strength, groups[torch.randperm(len(groups), generator=generator)])
        ratios[i] = inside / outside
    return BlockRatio(
        within=float(within),
        between=float(between),
        ratio=float(within / between),
        chance=float(ratios.mean()),
        chance_spread=float(ratios.std()) if random_groupings > 1 else float("nan"),
        num_filters=len(groups),
        random_groupings=random_groupings,
    )


def _means(strength: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """Mean over pairs inside and between groups, as tensors so that 0 / 0 is NaN."""
    same = groups[:, None] == groups
    off_diagonal = ~torch.eye(len(groups), dtype=torch.bool)
    return strength[same & off_diagonal].mean(), strength[~same].mean()
