"""Correlation of filters against plain loops written from the formulas."""

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from filterscope.metrics.functional import (
    filter_correlation,
    inter_class_correlation,
    redundancy,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(12, 4, 3, 3), (7, 1, 1, 1), (5, 9), (1, 3), (6, 2, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_correlation_is_the_cosine_of_flattened_weights(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    weights = normal(*shape).to(dtype)
    correlation = filter_correlation(weights)
    flat = weights.double().reshape(len(weights), -1).numpy()
    norms = np.sqrt((flat**2).sum(axis=1))
    assert correlation.dtype == torch.float64
    assert correlation.numpy() == pytest.approx(cosine_similarity(flat), abs=1e-12)
    assert correlation.numpy() == pytest.approx(flat @ flat.T / np.outer(norms, norms), abs=1e-12)


def test_correlation_ignores_the_length_of_filters_and_the_layout_of_memory() -> None:
    weights = normal(6, 3, 2, 2, seed=1)
    lengths = torch.tensor([1e-12, 1.0, 3.0, 1e8, 0.5, 7.0])[:, None, None, None]
    turned = (weights * lengths).to(memory_format=torch.channels_last)
    assert filter_correlation(turned).numpy() == pytest.approx(
        filter_correlation(weights).numpy(), abs=1e-6
    )


def test_a_filter_of_zeros_correlates_with_itself_alone() -> None:
    weights = normal(5, 8, seed=2)
    weights[3] = 0.0
    correlation = filter_correlation(weights)
    assert correlation[3].tolist() == correlation[:, 3].tolist() == [0, 0, 0, 1, 0]


@pytest.mark.parametrize("length", [5e-324, 1e-200, 1e200])
def test_filters_whose_squares_vanish_or_overflow_have_cosines(length: float) -> None:
    weights = torch.tensor([[1, 1], [1, 0], [0, 0]], dtype=torch.float64) * length
    expected = [[1, 0.5**0.5, 0], [0.5**0.5, 1, 0], [0, 0, 1]]
    assert filter_correlation(weights).numpy() == pytest.approx(np.array(expected))


def test_a_threshold_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="`threshold` holds NaN"):
        redundancy(torch.eye(3), torch.tensor([0.1, math.nan]))


def test_correlation_stays_within_one_and_is_exactly_one_on_the_diagonal() -> None:
    base = normal(1, 999, seed=3)
    correlation = filter_correlation(torch.cat([base, 3.3 * base, -0.7 * base, base / 7]))
    assert float(correlation.abs().max()) <= 1.0
    assert correlation.diagonal().tolist() == [1.0] * 4
    assert correlation[0].numpy() == pytest.approx([1, 1, -1, 1], abs=1e-6)


def test_correlation_leaves_trained_weights_as_they_are() -> None:
    weights = normal(4, 3, seed=4).requires_grad_()
    before = weights.detach().clone()
    assert not filter_correlation(weights).requires_grad
    assert torch.equal(weights.detach(), before)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_weights_are_refused(bad: float) -> None:
    weights = normal(3, 4)
    weights[1, 2] = bad
    with pytest.raises(ValueError, match="non-finite"):
        filter_correlation(weights)


def test_a_vector_holds_no_filters() -> None:
    with pytest.raises(ValueError, match=r"`weights` must be \(K, ...\), got \(3,\)"):
        filter_correlation(torch.ones(3))


def loop_redundancy(correlation: torch.Tensor, threshold: float, variant: str) -> float:
    filters = len(correlation)
    hits = pairs = 0
    for i in range(filters):
        for j in range(filters):
            if i == j and variant != "all":
                continue
            value = float(correlation[i, j])
            pairs += 1
            hits += (abs(value) if variant == "absolute" else value) >= threshold
    return hits / pairs


@pytest.mark.parametrize("variant", ["all", "off_diagonal", "absolute"])
def test_redundancy_equals_a_double_loop(variant: str) -> None:
    correlation = filter_correlation(normal(11, 5, seed=5))
    values = sorted(correlation.flatten().tolist())
    between = (values[40] + values[41]) / 2
    # "at least s" includes s itself: thresholds exactly on values of either sign
    exact = [values[3], values[60], abs(values[3])]
    thresholds = torch.tensor(
        [0.1, -1.0, 0.0, *exact, between, 1.0, 1.5, -2.0], dtype=torch.float64
    )
    shares = redundancy(correlation, thresholds, variant)
    assert shares.dtype == torch.float64
    assert shares.shape == thresholds.shape
    for threshold, share in zip(thresholds.tolist(), shares.tolist(), strict=True):
        expected = loop_redundancy(correlation, threshold, variant)
        assert share == pytest.approx(expected, abs=1e-12)
        assert float(redundancy(correlation, threshold, variant)) == share


@pytest.mark.parametrize("variant", ["all", "off_diagonal", "absolute"])
def test_a_value_equal_to_the_threshold_counts_and_the_next_larger_threshold_loses_it(
    variant: str,
) -> None:
    correlation = torch.tensor([[1.0, 0.25], [0.25, 1.0]], dtype=torch.float64)
    above = math.nextafter(0.25, 1.0)
    lost = redundancy(correlation, 0.25, variant) - redundancy(correlation, above, variant)
    assert float(lost) == (0.5 if variant == "all" else 1.0)


def test_copies_of_a_filter_reach_the_threshold_one() -> None:
    copies = normal(1, 37, seed=7) * torch.tensor([[1.0], [0.3], [2.7], [-0.9]])
    correlation = filter_correlation(copies)
    assert torch.equal(correlation[:3, :3], torch.ones(3, 3, dtype=torch.float64))
    assert torch.equal(correlation[3, :3], -torch.ones(3, dtype=torch.float64))
    assert float(redundancy(correlation, 1.0, "absolute")) == 1.0
    assert float(redundancy(correlation, 1.0, "off_diagonal")) == 0.5


def test_thresholds_keep_their_shape() -> None:
    correlation = filter_correlation(normal(6, 5, seed=6))
    grid = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
    shares = redundancy(correlation, grid)
    assert shares.shape == (2, 3)
    assert shares.flatten().tolist() == redundancy(correlation, grid.flatten()).tolist()
    assert redundancy(correlation, 0.1).shape == ()


@pytest.mark.parametrize("variant", ["off_diagonal", "absolute"])
def test_a_single_filter_has_no_other_to_repeat(variant: str) -> None:
    with pytest.raises(ValueError, match="no pairs"):
        redundancy(torch.ones(1, 1), 0.1, variant)
    assert float(redundancy(torch.ones(1, 1), 0.1)) == 1.0


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`variant` must be .*, got 'signed'"):
        redundancy(torch.eye(3), 0.1, "signed")


@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 2, 2)])
def test_a_correlation_that_is_not_square_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"`correlation` must be \(K, K\)"):
        redundancy(torch.ones(shape), 0.1)
    with pytest.raises(ValueError, match=r"`correlation` must be \(K, K\)"):
        inter_class_correlation(torch.ones(shape), torch.ones(2, 3), m=1)


def loop_inter_class(correlation: torch.Tensor, means: torch.Tensor, m: int) -> float:
    """1 / (C (C - 1) m^2) times the sum over ordered pairs c != c' and A_c x A_c'."""
    classes = len(means)
    strongest = [sorted(range(means.shape[1]), key=lambda k: -float(row[k]))[:m] for row in means]
    total = 0.0
    for c, other in itertools.product(range(classes), repeat=2):
        if c == other:
            continue
        for i, j in itertools.product(strongest[c], strongest[other]):
            total += float(correlation[i, j])
    return total / (classes * (classes - 1) * m**2)


@pytest.mark.parametrize(
    ("classes", "filters", "m"), [(2, 6, 1), (4, 15, 3), (6, 30, 6), (3, 5, 5)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inter_class_correlation_equals_the_sum_over_ordered_pairs(
    classes: int, filters: int, m: int, dtype: torch.dtype
) -> None:
    correlation = filter_correlation(normal(filters, 7, seed=filters))
    means = normal(classes, filters, seed=m).abs().to(dtype)
    expected = loop_inter_class(correlation, means, m)
    assert abs(expected) > 1e-4
    assert inter_class_correlation(correlation, means, m) == pytest.approx(expected, abs=1e-12)


def test_inter_class_correlation_keeps_both_orders_of_a_pair() -> None:
    # not a correlation, so that (i, j) and (j, i) can be told apart
    matrix = torch.tensor([[1.0, 0.2], [0.6, 1.0]])
    assert inter_class_correlation(matrix, torch.eye(2), m=1) == pytest.approx(0.4)


def test_a_filter_that_two_classes_share_counts_as_one() -> None:
    means = torch.tensor([[9.0, 1.0, 0.0], [9.0, 0.0, 1.0]])
    assert inter_class_correlation(torch.eye(3), means, m=1) == 1.0
    assert inter_class_correlation(torch.eye(3), means, m=2) == 0.25


def test_opposite_filters_lower_the_inter_class_correlation() -> None:
    correlation = filter_correlation(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert inter_class_correlation(correlation, torch.eye(2), m=1) == -1.0


@pytest.mark.parametrize(
    ("means", "m", "message"),
    [
        (torch.ones(3, 4), 1, r"`mean_features` \(3, 4\) must be \(C, 5\)"),
        (torch.ones(1, 5), 1, "at least 2 classes"),
        (torch.ones(3, 5), 0, r"`m` must lie in \[1, 5\], got 0"),
        (torch.ones(3, 5), 6, r"`m` must lie in \[1, 5\], got 6"),
    ],
)
def test_inter_class_correlation_names_bad_input(means: torch.Tensor, m: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        inter_class_correlation(torch.eye(5), means, m)
