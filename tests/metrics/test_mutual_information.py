"""The MI matrix against scikit-learn, a plain loop, and the specification's facts."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
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


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        (4, np.float64),
        (9, np.float32),
        (15, np.float64),
        (16, np.float64),
        (60, np.float32),
        (60, np.float64),
        (900, np.float32),
        (900, np.float64),
    ],
)
def test_equals_scikit_learn_on_all_kinds_of_features(n: int, dtype: type) -> None:
    generator = np.random.default_rng(n)
    features = kinds(generator, n).astype(dtype)
    assert_equal(features, generator.integers(0, 3, n), num_classes=4)  # 3 is absent


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("exponent", [3, 9, 15])
def test_equals_scikit_learn_on_constants_so_large_that_their_noise_ties(
    exponent: int, k: int
) -> None:
    # the noise is relative to the magnitude, so few distinct numbers are left of a large constant
    generator = np.random.default_rng(exponent)
    labels = generator.permutation(np.repeat([0, 1, 2, 3], [1, 4, 9, 26]))
    features = np.full((40, 2), 10.0**exponent)
    features[:, 1] += generator.integers(0, 2, 40)
    assert_equal(features, labels, 4, n_neighbors=k)


def test_equals_scikit_learn_on_repeated_rows_and_columns() -> None:
    generator = np.random.default_rng(12)
    rows = np.repeat(generator.standard_normal((20, 1)), 6, axis=0)
    labels = np.repeat(generator.integers(0, 3, 20), 6)
    assert_equal(np.concatenate([rows, rows], axis=1), labels, 3)
    conflicting = generator.permutation(labels)  # the same row under several classes
    assert_equal(np.concatenate([rows, rows], axis=1), conflicting, 3)


@pytest.mark.parametrize("random_state", [1, 17])
def test_equals_scikit_learn_for_other_seeds_of_the_noise(random_state: int) -> None:
    generator = np.random.default_rng(13)
    features, labels = kinds(generator, 80), generator.integers(0, 2, 80)
    matrix = mutual_information_matrix(features, labels, random_state=random_state).numpy()
    expected = mutual_info_classif(features, labels == 1, random_state=random_state)
    assert matrix[1] == pytest.approx(expected, abs=1e-9)
    usual = mutual_information_matrix(features, labels).numpy()
    noisy = [1, 2, 3, 4]  # columns whose ties the noise breaks
    assert (matrix[:, noisy] != usual[:, noisy]).any()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_equals_scikit_learn_for_other_numbers_of_neighbours(k: int) -> None:
    generator = np.random.default_rng(k)
    assert_equal(kinds(generator, 150), generator.integers(0, 4, 150), 4, n_neighbors=k)


@pytest.mark.parametrize(("k", "most"), [(1, 4), (3, 7), (5, 11)])
def test_equals_scikit_learn_with_classes_as_small_as_its_brute_force_takes(
    k: int, most: int
) -> None:
    generator = np.random.default_rng(0)
    sizes = [*range(1, most + 2), 60]
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    noise = generator.random(len(labels))
    features = np.stack(
        [
            generator.standard_normal(len(labels)),
            np.where(generator.random(len(labels)) < 0.6, 0.0, noise),
            (labels == len(sizes) - 1) + 0.1 * noise,
        ],
        axis=1,
    )
    assert_equal(features, labels, len(sizes), n_neighbors=k)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("rest", [1, 2, 3, 7, 8])
def test_equals_scikit_learn_with_a_small_rest(rest: int, k: int) -> None:
    generator = np.random.default_rng(rest)
    labels = (np.arange(60) < rest).astype(int)
    features = kinds(generator, 60)[:, :3]
    assert_equal(features, generator.permutation(labels), 2, n_neighbors=k)


@pytest.mark.parametrize("rest", [1, 2, 5])
def test_equals_scikit_learn_with_a_small_rest_of_several_classes(rest: int) -> None:
    generator = np.random.default_rng(rest)
    labels = generator.permutation(np.concatenate([np.arange(1, rest + 1), np.zeros(30, int)]))
    assert_equal(kinds(generator, len(labels))[:, :2], labels, rest + 1)


def test_equals_scikit_learn_with_forty_classes_of_few_samples() -> None:
    generator = np.random.default_rng(1)
    zero_inflated = kinds(generator, 160)[:, [1]]
    assert_equal(zero_inflated, generator.integers(0, 40, 160), 40)


def test_equals_scikit_learn_with_many_samples_of_many_classes() -> None:
    generator = np.random.default_rng(14)
    features, labels = kinds(generator, 900), generator.integers(0, 40, 900)
    features[:, 3] += labels  # informative and tied
    assert_equal(features, labels, 40)


def test_equals_scikit_learn_with_well_separated_classes() -> None:
    """Long runs of one class around points of another: neighbours lie far outside the window."""
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 5, 600)
    features = np.stack([labels + 0.01 * generator.random(600), labels * 1.0], axis=1)
    features[::50] = 2.0
    assert_equal(features, labels, 5)


@settings(max_examples=30, deadline=None)
@given(
    labels=st.lists(st.integers(0, 2), min_size=2, max_size=24),
    kind=st.integers(0, 6),
    k=st.integers(1, 5),
    seed=st.integers(0, 10**6),
)
def test_equals_scikit_learn_on_any_small_sample(
    labels: list[int], kind: int, k: int, seed: int
) -> None:
    classes = np.array(labels)
    sizes = np.bincount(classes, minlength=3)
    # scikit-learn itself fails where no group has two samples
    assume(all(max(size, len(labels) - size) > 1 for size in sizes))
    generator = np.random.default_rng(seed)
    columns = np.column_stack([kinds(generator, len(labels)), classes])
    assert_equal(columns[:, [kind]], classes, 3, n_neighbors=k)


def test_two_samples_of_two_classes_give_zero() -> None:
    """Here scikit-learn has no answer: every group is a single point."""
    matrix = mutual_information_matrix(np.array([[0.0], [1.0]]), np.array([0, 1]))
    assert matrix.tolist() == [[0.0], [0.0]]


def plain_loop(features: np.ndarray, positive: np.ndarray, k: int) -> np.ndarray:
    """The estimator as section B2 of the specification words it, over all pairs of points."""
    deviations = features.std(axis=0)
    scaled = features / np.where(deviations < 1e-14, 1.0, deviations)
    magnitude = np.maximum(1, np.abs(scaled).mean(axis=0))
    noise = np.random.RandomState(0).standard_normal(features.shape)
    scaled = scaled + 1e-10 * magnitude * noise
    kept = [i for i in range(len(positive)) if (positive == positive[i]).sum() > 1]
    estimates = []
    for x in scaled.T:
        terms = []
        for i in kept:
            group = [j for j in kept if positive[j] == positive[i] and j != i]
            used, count = min(k, len(group)), len(group) + 1
            if used >= count // 2:  # the brute-force form of the distance
                distances = [
                    np.sqrt(max(0.0, (x[i] ** 2 - 2 * (x[i] * x[j])) + x[j] ** 2)) for j in group
                ]
            else:
                distances = [abs(x[i] - x[j]) for j in group]
            radius = np.nextafter(np.sort(distances)[used - 1], 0)
            m = sum(abs(x[i] - x[j]) <= radius for j in kept)
            terms.append(digamma(used) - digamma(count) - digamma(m))
        estimates.append(max(0.0, float(digamma(len(kept)) + np.mean(terms))))
    return np.array(estimates)


@pytest.mark.parametrize("k", [1, 3])
def test_equals_a_plain_loop_over_all_pairs(k: int) -> None:
    generator = np.random.default_rng(3)
    labels = generator.permutation(np.repeat([0, 1, 2, 3, 4], [1, 5, 12, 20, 25]))
    features = np.stack(
        [
            generator.standard_normal(63) + (labels == 2),
            np.where(generator.random(63) < 0.6, 0.0, generator.random(63)),
            np.full(63, 0.5),
            np.round(3 * generator.random(63)) + (labels == 4),
        ],
        axis=1,
    )
    matrix = mutual_information_matrix(features, labels, 6, k).numpy()
    assert matrix.max() > 0.1
    for c in range(6):
        assert matrix[c] == pytest.approx(plain_loop(features, labels == c, k), abs=1e-9)


def test_renaming_the_classes_permutes_the_rows() -> None:
    generator = np.random.default_rng(15)
    features, labels = kinds(generator, 120), generator.integers(0, 5, 120)
    names = generator.permutation(5)
    matrix = mutual_information_matrix(features, labels, 5).numpy()
    renamed = mutual_information_matrix(features, names[labels], 5).numpy()
    assert renamed[names] == pytest.approx(matrix, abs=1e-12)


def test_the_number_of_classes_is_by_default_one_more_than_the_largest_label() -> None:
    features = np.random.default_rng(16).random((30, 2))
    labels = np.arange(30) % 2 * 3
    matrix = mutual_information_matrix(features, labels)
    assert matrix.shape == (4, 2)
    assert matrix.dtype == torch.float64
    assert torch.equal(mutual_information_matrix(features, labels, 6)[:4], matrix)


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


def test_balanced_takes_all_of_a_class_that_outnumbers_its_rest() -> None:
    generator = np.random.default_rng(17)
    features, labels = kinds(generator, 90), (generator.random(90) < 0.2).astype(int)
    assert 7 < labels.sum() < 45
    matrix = mutual_information_matrix(features, labels, balanced=True).numpy()
    expected = mutual_info_classif(features, labels == 0, random_state=0)  # every sample
    assert matrix[0] == pytest.approx(expected, abs=1e-9)
    mine, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    drawn = np.random.RandomState(1).choice(others, size=len(mine), replace=False)
    rows = np.sort(np.concatenate([mine, drawn]))
    expected = mutual_info_classif(features[rows], labels[rows] == 1, random_state=0)
    assert matrix[1] == pytest.approx(expected, abs=1e-9)
    alone = mutual_information_matrix(features, np.zeros(90, int), balanced=True)
    assert float(alone.abs().max()) == 0  # nothing to tell apart


def test_balanced_lifts_the_bound_of_a_rare_class_to_ln_2() -> None:
    generator = np.random.default_rng(18)
    labels = np.arange(2000) // 40  # 50 classes
    detector = (labels == 3)[:, None] + 0.1 * generator.random((2000, 1))
    plain = mutual_information_matrix(detector, labels)[3, 0]
    balanced = mutual_information_matrix(detector, labels, balanced=True)[3, 0]
    assert float(plain) == pytest.approx(mutual_information_bound(labels), abs=0.005)
    assert float(balanced) == pytest.approx(np.log(2), abs=0.02)


def test_exact_zero_silences_dead_filters_only() -> None:
    generator = np.random.default_rng(6)
    features, labels = kinds(generator, 200), generator.integers(0, 3, 200)
    usual = mutual_information_matrix(features, labels)
    exact = mutual_information_matrix(features, labels, ties="exact-zero")
    assert float(exact[:, [2, 4]].abs().max()) == 0
    assert torch.equal(exact[:, [0, 1, 3, 5]], usual[:, [0, 1, 3, 5]])
    assert float(usual[:, 2].max()) > 0  # the seeded noise makes a dead filter a noise feature


def test_exact_zero_holds_for_balanced_samples_too() -> None:
    generator = np.random.default_rng(19)
    features, labels = kinds(generator, 200), generator.integers(0, 3, 200)
    usual = mutual_information_matrix(features, labels, balanced=True)
    exact = mutual_information_matrix(features, labels, balanced=True, ties="exact-zero")
    assert float(usual[:, [2, 4]].max()) > 0
    assert float(exact[:, [2, 4]].abs().max()) == 0
    assert torch.equal(exact[:, [0, 1, 3, 5]], usual[:, [0, 1, 3, 5]])


def test_target_predictions_measures_what_the_network_answers() -> None:
    generator = np.random.default_rng(7)
    features = kinds(generator, 100)
    labels, predictions = generator.integers(0, 3, 100), generator.integers(0, 3, 100)
    asked = mutual_information_matrix(
        features, labels, 3, target="predictions", predictions=predictions
    )
    assert torch.equal(asked, mutual_information_matrix(features, predictions, 3))
    unasked = mutual_information_matrix(features, labels, 3, predictions=predictions)
    assert torch.equal(unasked, mutual_information_matrix(features, labels, 3))
    assert not torch.equal(asked, unasked)


def test_no_entry_exceeds_its_classes_entropy() -> None:
    generator = np.random.default_rng(8)
    labels = np.arange(2000) % 10
    features = (labels[:, None] == np.arange(10)) * generator.random((2000, 10))
    matrix = mutual_information_matrix(features, labels)
    entropy = mutual_information_bound(labels)
    assert entropy == pytest.approx(0.3251, abs=5e-5)
    assert float(matrix.max()) < entropy + 0.01
    assert mutual_information_score(matrix) == pytest.approx(0.3251, abs=0.005)


def test_each_class_is_bounded_by_its_own_entropy() -> None:
    generator = np.random.default_rng(20)
    sizes = np.array([20, 80, 300, 600, 1000])
    labels = generator.permutation(np.repeat(np.arange(5), sizes))
    one_hot = labels[:, None] == np.arange(5)
    features = np.concatenate(
        [one_hot + 0.1 * generator.random((2000, 5)), one_hot * generator.random((2000, 5))], 1
    )
    matrix = mutual_information_matrix(features, labels).numpy()
    share = sizes / 2000
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert (matrix.max(axis=1) <= entropy + 0.002).all()
    assert np.diag(matrix) == pytest.approx(entropy, abs=0.002)  # perfect detectors reach it
    assert mutual_information_bound(labels) == pytest.approx(entropy.max())


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
    assert mutual_information_score(mutual_information_matrix(informative, labels)) > 10 * floor


def test_dead_filters_reach_the_floor_of_noise() -> None:
    labels = np.repeat(np.arange(6), [311, 360, 450, 153, 199, 227])
    dead = np.full((1700, 48), 0.25)
    score = mutual_information_score(mutual_information_matrix(dead, labels))
    assert score == pytest.approx(0.0095, rel=0.3)
    assert mutual_information_score(mutual_information_matrix(dead, labels, ties="exact-zero")) == 0


def test_the_floor_is_the_mean_score_over_permuted_labels() -> None:
    generator = np.random.default_rng(21)
    features, labels = kinds(generator, 60), generator.integers(0, 3, 60)
    shuffle = np.random.RandomState(5)
    scores = [
        np.stack(
            [
                mutual_info_classif(features, shuffled == c, random_state=5, n_neighbors=2)
                for c in range(3)
            ]
        )
        .max(axis=0)
        .mean()
        for shuffled in (shuffle.permutation(labels), shuffle.permutation(labels))
    ]
    floor = mutual_information_floor(
        features, labels, n_neighbors=2, random_state=5, permutations=2
    )
    assert floor == pytest.approx(np.mean(scores), abs=1e-9)


def test_the_score_is_the_mean_over_filters_of_their_largest_entry() -> None:
    matrix = torch.tensor([[0.1, 0.5, 0.0], [0.4, 0.2, 0.0]])
    assert mutual_information_score(matrix) == pytest.approx((0.4 + 0.5 + 0.0) / 3)


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 3), (3, 0)])
def test_the_score_needs_a_matrix(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(C, K\)"):
        mutual_information_score(torch.ones(shape))


def test_bounds() -> None:
    labels = np.arange(1000)
    assert mutual_information_bound(labels) == pytest.approx(0.0079, abs=5e-5)
    assert mutual_information_bound(labels, balanced=True) == pytest.approx(np.log(2))
    assert mutual_information_bound(np.zeros(5, int)) == 0
    assert mutual_information_bound(np.zeros(5, int), balanced=True) == 0
    assert mutual_information_bound(torch.arange(100) % 10, 12) == pytest.approx(0.3251, abs=5e-5)
    animals = np.repeat(np.arange(6), [311, 360, 450, 153, 199, 227])
    assert mutual_information_bound(animals) == pytest.approx(0.578, abs=5e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": np.ones((3, 2, 2))}, r"\(N, K\)"),
        ({"features": np.ones(3)}, r"\(N, K\)"),
        ({"features": np.ones((3, 0))}, r"\(N, K\)"),
        ({"features": np.ones((4, 2))}, "4 samples, `labels` 3"),
        ({"features": np.array([[0, np.inf], [np.nan, 1], [0, 1.0]])}, "non-finite values in 2"),
        ({"labels": np.ones((3, 1), int)}, "integers"),
        ({"labels": torch.tensor([0.0, 1.0, 1.0])}, "integers"),
        ({"labels": np.array([True, False, True])}, "integers"),
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
