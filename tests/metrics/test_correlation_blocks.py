"""Correlation inside and between groups of filters against plain loops."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from filterscope.metrics.functional import block_ratio, class_groups, filter_correlation

OWNERS = torch.tensor([0, 2, -1, 0, 1, 1, 2, 2, -1, 5])


def correlation(num_filters: int = 10) -> torch.Tensor:
    return filter_correlation(torch.randn(num_filters, 6, generator=torch.manual_seed(0)))


def test_means_run_over_pairs_of_owned_filters() -> None:
    matrix = correlation()
    within, between = [], []
    for i, a in enumerate(OWNERS.tolist()):
        for j, b in enumerate(OWNERS.tolist()):
            if i != j and a >= 0 and b >= 0:
                (within if a == b else between).append(abs(float(matrix[i, j])))
    found = block_ratio(matrix, OWNERS)
    assert found.within == pytest.approx(np.mean(within))
    assert found.between == pytest.approx(np.mean(between))
    assert found.ratio == pytest.approx(np.mean(within) / np.mean(between))
    assert (found.num_filters, found.random_groupings) == (8, 100)


def test_groups_that_mean_nothing_score_like_chance() -> None:
    matrix = correlation(60)
    found = block_ratio(matrix, torch.arange(60) % 6)
    assert found.chance == pytest.approx(1, abs=0.05)
    assert abs(found.ratio - found.chance) < 4 * found.chance_spread


def test_block_diagonal_correlation_stands_out() -> None:
    owners = torch.arange(4).repeat_interleave(5)
    weights = torch.eye(4)[owners] + 0.1 * torch.randn(20, 4, generator=torch.manual_seed(1))
    found = block_ratio(filter_correlation(weights), owners)
    assert found.ratio > found.chance + 10 * found.chance_spread
    turned = torch.randperm(20, generator=torch.manual_seed(2))
    moved = block_ratio(filter_correlation(weights[turned]), owners[turned])
    assert moved.ratio == pytest.approx(found.ratio)


def test_one_seed_gives_one_chance() -> None:
    matrix = correlation()
    first, again = (block_ratio(matrix, OWNERS, random_state=4) for _ in range(2))
    assert (first.chance, first.chance_spread) == (again.chance, again.chance_spread)
    assert block_ratio(matrix, OWNERS, random_state=5).chance != first.chance


def test_what_has_no_pairs_is_undefined() -> None:
    alone = block_ratio(torch.eye(3), torch.arange(3))
    assert math.isnan(alone.within)
    assert math.isnan(alone.ratio)
    assert math.isnan(alone.chance)
    one_group = block_ratio(torch.ones(3, 3), torch.zeros(3, dtype=torch.long))
    assert one_group.within == 1
    assert math.isnan(one_group.between)
    assert math.isnan(one_group.ratio)
    nobody = block_ratio(torch.eye(3), torch.full((3,), -1))
    assert nobody.num_filters == 0
    assert math.isnan(nobody.ratio)
    no_chance = block_ratio(correlation(), OWNERS, random_groupings=0)
    assert math.isnan(no_chance.chance)
    assert math.isnan(block_ratio(correlation(), OWNERS, random_groupings=1).chance_spread)


def test_no_correlation_between_groups_is_infinitely_block_diagonal() -> None:
    matrix = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2))
    assert block_ratio(matrix, torch.tensor([0, 0, 1, 1])).ratio == math.inf
    assert math.isnan(block_ratio(torch.eye(4), torch.tensor([0, 0, 1, 1])).ratio)


def test_groups_are_the_strongest_filters_of_each_class() -> None:
    means = torch.rand(4, 9, generator=torch.manual_seed(3))
    for row, chosen in zip(means, class_groups(means, 3), strict=True):
        assert chosen.tolist() == sorted(range(9), key=lambda k: -float(row[k]))[:3]
    assert class_groups(torch.ones(2, 3), 2).tolist() == [[0, 1], [0, 1]]
    assert class_groups(means, 9).dtype == torch.int64


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: block_ratio(torch.ones(2, 3), OWNERS), "`correlation`"),
        (lambda: block_ratio(correlation() / 0, OWNERS), "`correlation` holds non-finite"),
        (lambda: block_ratio(correlation(), OWNERS[:9]), "`owners` must be one class"),
        (lambda: block_ratio(correlation(), OWNERS.float()), "`owners` must be integers"),
        (lambda: block_ratio(correlation(), OWNERS - 1), "`owners`.*-2"),
        (lambda: block_ratio(correlation(), OWNERS, -1), "`random_groupings`"),
        (lambda: class_groups(torch.ones(2, 3), 0), "`m`"),
        (lambda: class_groups(torch.ones(2, 3), 4), "`m`"),
        (lambda: class_groups(torch.ones(3), 1), "`mean_features`"),
        (lambda: class_groups(torch.ones(2, 3) / 0, 1), "`mean_features`"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
