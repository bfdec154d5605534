"""The MI matrix against scikit-learn, a plain loop, and the specification's facts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from filterscope.metrics.functional import (
    mutual_information_bound,
    mutual_information_floor,
    mutual_information_matrix,
    mutual_information_score,
)


def oracle(features: np.ndarray, labels: np.ndarray, num_classes: int, k: int = 3) -> np.ndarray:
    return np.stack(
        [
            mutual_info_classif(features, labels == c, random_state=0, n_neighbors=k)
            for c in range(num_classes)
        ]
    )


def assert_equal(
    features: np.ndarray, labels: np.ndarray, num_classes: int, n_neighbors: int = 3
) -> None:
    matrix = mutual_information_matrix(features, labels, num_classes, n_neighbors).numpy()
    expected = oracle(features, labels, num_classes, n_neighbors)
    assert matrix.shape == expected.shape
    assert np.abs(matrix - expected).max() < 1e-9


def kinds(generator: np.random.Generator, n: int) -> np.ndarray:
    """Columns: random, 60 % zeros, constant, quantised, a large constant, skewed."""
    zeros = np.where(generator.random(n) < 0.6, 0.0, generator.random(n))
    return np.stack(
        [
            generator.standard_normal(n),
            zeros,
            np.full(n, 0.7),
            np.round(4 * generator.random(n)),
            np.full(n, 1e6),
            np.exp(3 * generator.standard_normal(n)),
        ],
        axis=1,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [4, 7, 9, 12, 15, 16, 17, 60, 900])
def test_equals_scikit_learn_on_all_kinds_of_features(n: int, dtype: type) -> None:
    generator = np.random.default_rng(n)
    features = kinds(generator, n).astype(dtype)
    assert_equal(features, generator.integers(0, 3, n), num_classes=5)  # 3 and 4 are absent


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_equals_scikit_learn_for_other_numbers_of_neighbours(k: int) -> None:
    generator = np.random.default_rng(k)
    assert_equal(kinds(generator, 150), generator.integers(0, 4, 150), 4, n_neighbors=k)


def test_equals_scikit_learn_with_classes_of_one_to_seven_samples() -> None:
    labels = np.concatenate([np.full(c + 1, c) for c in range(7)] + [np.full(100, 7)])
    generator = np.random.default_rng(0)
    labels = generator.permutation(labels)
    features = np.concatenate(
        [kinds(generator, len(labels)), (labels == 7)[:, None] + 0.1 * generator.random((128, 1))],
        1,
    )
    assert_equal(features, labels, 8)


@pytest.mark.parametrize("rest", [1, 2, 3, 5, 7, 8])
def test_equals_scikit_learn_with_a_small_rest(rest: int) -> None:
    generator = np.random.default_rng(rest)
    labels = (np.arange(60) < rest).astype(int)
    assert_equal(kinds(generator, 60), generator.permutation(labels), 2)


def test_equals_scikit_learn_with_many_sparse_classes() -> None:
    generator = np.random.default_rng(1)
    assert_equal(kinds(generator, 400), generator.integers(0, 60, 400), 60)


def test_equals_scikit_learn_with_well_separated_classes() -> None:
    """Long runs of one class around points of another: neighbours lie far outside the window."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 5, 600)
    features = np.stack([labels + 0.01 * generator.random(600), labels * 1.0], axis=1)
    features[::50] = 2.0
    assert_equal(features, labels, 5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(5, 40), classes=st.integers(2, 6))
def test_equals_scikit_learn_on_any_small_sample(seed: int, n: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    features = kinds(generator, n)
    features[:, 5] = generator.integers(0, 3, n)
    assert_equal(features, generator.integers(0, classes, n), classes)


def plain_loop(column: np.ndarray, positive: np.ndarray, k: int = 3) -> float:
    """The estimator as the specification words it, for one column without ties."""
    kept = np.concatenate([np.flatnonzero(positive == g) for g in (True, False)
                           if (positive == g).sum() > 1])  # fmt: skip
    terms = []
    for i in kept:
        group = [j for j in kept if positive[j] == positive[i] and j != i]
        used = min(k, len(group))
        radius = np.nextafter(np.sort([abs(column[i] - column[j]) for j in group])[used - 1], 0)
        m = sum(abs(column[i] - column[j]) <= radius for j in kept)
        terms.append(digamma(used) - digamma(len(group) + 1) - digamma(m))
    return max(0.0, float(digamma(len(kept)) + np.mean(terms)))


def test_equals_a_plain_loop_over_all_pairs() -> None:
    generator = np.random.default_rng(3)
    features = generator.standard_normal((80, 3))
    labels = generator.integers(0, 4, 80)
    features[:, 1] += labels == 2
    matrix = mutual_information_matrix(features, labels, 4)
    for c in range(4):
        for k in range(3):
            expected = plain_loop(features[:, k], labels == c)
            assert float(matrix[c, k]) == pytest.approx(expected, abs=1e-9)


def test_tensors_of_any_layout_give_the_same_as_arrays() -> None:
    generator = np.random.default_rng(4)
    features, labels = generator.random((90, 5)).astype(np.float32), generator.integers(0, 3, 90)
    expected = mutual_information_matrix(features, labels)
    turned = torch.from_numpy(features.T.copy()).T.requires_grad_()
    assert torch.equal(mutual_information_matrix(turned, torch.from_numpy(labels)), expected)


def test_balanced_equals_scikit_learn_on_the_drawn_samples() -> None:
    generator = np.random.default_rng(5)
    features, labels = kinds(generator, 300), generator.integers(0, 6, 300)
    matrix = mutual_information_matrix(features, labels, 7, balanced=True, random_state=11)
    for c in range(6):
        mine, others = np.flatnonzero(labels == c), np.flatnonzero(labels != c)
        drawn = np.random.RandomState(11 + c).choice(others, size=len(mine), replace=False)
        rows = np.sort(np.concatenate([mine, drawn]))
        expected = mutual_info_classif(features[rows], labels[rows] == c, random_state=11)
        assert matrix[c].numpy() == pytest.approx(expected, abs=1e-9)
    assert torch.equal(matrix[6], torch.zeros(6, dtype=torch.float64))


def test_exact_zero_silences_dead_filters_only() -> None:
    generator = np.random.default_rng(6)
    features, labels = kinds(generator, 200), generator.integers(0, 3, 200)
    usual = mutual_information_matrix(features, labels)
    exact = mutual_information_matrix(features, labels, ties="exact-zero")
    assert float(exact[:, [2, 4]].abs().max()) == 0
    assert torch.equal(exact[:, [0, 1, 3, 5]], usual[:, [0, 1, 3, 5]])
    assert float(usual[:, 2].max()) > 0  # the seeded noise makes a dead filter a noise feature


def test_target_predictions_measures_what_the_network_answers() -> None:
    generator = np.random.default_rng(7)
    features = kinds(generator, 100)
    labels, predictions = generator.integers(0, 3, 100), generator.integers(0, 3, 100)
    asked = mutual_information_matrix(
        features, labels, 3, target="predictions", predictions=predictions
    )
    assert torch.equal(asked, mutual_information_matrix(features, predictions, 3))


def test_no_entry_exceeds_its_classes_entropy() -> None:
    generator = np.random.default_rng(8)
    labels = np.arange(2000) % 10
    features = (labels[:, None] == np.arange(10)) * generator.random((2000, 10))
    matrix = mutual_information_matrix(features, labels)
    entropy = mutual_information_bound(labels)
    assert entropy == pytest.approx(0.3251, abs=5e-5)
    assert float(matrix.max()) < entropy + 0.01
    assert mutual_information_score(matrix) == pytest.approx(0.3251, abs=0.005)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ([1000] * 10, 0.0044),
        ([311, 360, 450, 153, 199, 227], 0.0095),  # the mix of the VOC animals
    ],
)
def test_noise_reaches_the_specified_floor(shares: list[int], expected: float) -> None:
    labels = np.concatenate([np.full(count, c) for c, count in enumerate(shares)])
    generator = np.random.default_rng(9)
    features = generator.standard_normal((len(labels), 48))
    shuffled = generator.permutation(labels)
    score = mutual_information_score(mutual_information_matrix(features, shuffled))
    assert score == pytest.approx(expected, rel=0.2)
    informative = features + 3 * (labels[:, None] == 0)
    floor = mutual_information_floor(informative, labels, permutations=2)
    assert floor == pytest.approx(expected, rel=0.3)


def test_bounds() -> None:
    labels = np.arange(1000)
    assert mutual_information_bound(labels) == pytest.approx(0.0079, abs=5e-5)
    assert mutual_information_bound(labels, balanced=True) == pytest.approx(np.log(2))
    assert mutual_information_bound(np.zeros(5, int)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": np.ones((3, 2, 2))}, r"\(N, K\)"),
        ({"features": np.ones((4, 2))}, "4 samples, `labels` 3"),
        ({"features": np.array([[0, 1], [np.nan, 1], [0, 1.0]])}, "non-finite values in 1"),
        ({"labels": np.array([0, 1, 5])}, r"\[0, 1\], got 0 to 5"),
        ({"labels": np.array([0, 1, -1])}, "got -1 to 1"),
        ({"labels": np.array([0.0, 1, 1])}, "integers"),
        ({"features": np.ones((1, 2)), "labels": np.array([0])}, "at least 2 samples"),
        ({"n_neighbors": 0}, "`n_neighbors`"),
        ({"ties": "zero"}, "`ties`"),
        ({"target": "logits"}, "`target`"),
        ({"target": "predictions"}, "needs `predictions`"),
    ],
)
def test_bad_input_is_named(arguments: dict, message: str) -> None:
    usual = {"features": np.ones((3, 2)), "labels": np.array([0, 1, 1]), "num_classes": 2}
    with pytest.raises(ValueError, match=message):
        mutual_information_matrix(**{**usual, **arguments})
