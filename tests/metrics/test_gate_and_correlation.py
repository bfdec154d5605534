"""Gate statistics, overlap, correlations and class means against plain loops."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from filterscope import fixed_gate
from filterscope.metrics.functional import (
    class_mean_features,
    filter_correlation,
    gate_mi_overlap,
    gate_statistics,
    inter_class_correlation,
    redundancy,
    strongest_elements,
)


def test_statistics_of_the_fixed_gate() -> None:
    statistics = gate_statistics(fixed_gate(10, 6, 4))
    assert statistics.density == pytest.approx(0.15625)
    assert statistics.monopolised.tolist() == [6] * 10
    assert statistics.filters_of_class.tolist() == [10] * 10
    assert statistics.shared_by.tolist() == [0, 60, *[0] * 8, 4]
    assert (statistics.class_pairs - torch.eye(10, dtype=torch.long) * 6 == 4).all()


def test_statistics_equal_plain_counts() -> None:
    gate = torch.rand(5, 30, generator=torch.Generator().manual_seed(0))
    statistics = gate_statistics(gate, threshold=0.4)
    is_open = gate.numpy() > 0.4
    for c, d in itertools.product(range(5), repeat=2):
        assert statistics.class_pairs[c, d] == (is_open[c] & is_open[d]).sum()
    assert statistics.monopolised.sum() == statistics.shared_by[1]
    assert statistics.shared_by.sum() == 30
    assert statistics.least_density == 0.2


def test_overlap_of_equal_matrices_is_perfect_and_chance_is_low() -> None:
    gate = fixed_gate(5, 8, 0)
    overlap = gate_mi_overlap(gate * 0.3, gate)
    assert (overlap.argmax_agreement, overlap.jaccard, overlap.num_elements) == (1.0, 1.0, 40)
    assert overlap.argmax_chance == 0.2
    # a random class hits with 1 / 5: |A and B| is about 8 of 40, so J about 8 / 72
    assert overlap.jaccard_chance == pytest.approx(8 / 72, abs=0.02)


def test_overlap_counts_elements() -> None:
    gate = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.2]])
    mi = torch.tensor([[0.9, 0.8, 0.0], [0.1, 0.7, 0.3]])
    overlap = gate_mi_overlap(mi, gate, permutations=0)
    assert overlap.jaccard == pytest.approx(2 / 4)  # {00, 11} of {00, 11, 02, 01}
    assert overlap.argmax_agreement == pytest.approx(1 / 3)
    assert strongest_elements(mi, 3).int().tolist() == [[1, 1, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match=r"both be \(C, K\)"):
        gate_mi_overlap(mi[:, :2], gate)


def test_correlation_is_the_cosine_of_flattened_weights() -> None:
    weights = torch.randn(12, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weights[3] = 0
    correlation = filter_correlation(weights).numpy()
    expected = cosine_similarity(weights.flatten(1).double().numpy())
    expected[3, 3] = 1.0  # a filter is itself, even a dead one
    assert correlation == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ValueError, match="non-finite"):
        filter_correlation(torch.full((2, 2), float("nan")))
    with pytest.raises(ValueError, match=r"\(K, ...\)"):
        filter_correlation(torch.ones(3))


@pytest.mark.parametrize("variant", ["all", "off_diagonal", "absolute"])
def test_redundancy_equals_a_double_loop(variant: str) -> None:
    correlation = filter_correlation(torch.randn(9, 5, generator=torch.Generator().manual_seed(1)))
    exact = float(correlation[0, 1].abs())  # "at least s" includes s itself
    thresholds = torch.tensor([-1.0, 0.0, exact, 0.5, 1.0], dtype=torch.float64)
    values = redundancy(correlation, thresholds, variant)
    for s, value in zip(thresholds.tolist(), values, strict=True):
        pairs = [
            abs(float(correlation[i, j])) if variant == "absolute" else float(correlation[i, j])
            for i, j in itertools.product(range(9), repeat=2)
            if variant == "all" or i != j
        ]
        assert float(value) == pytest.approx(sum(pair >= s for pair in pairs) / len(pairs))
    assert redundancy(correlation, 0.1).shape == ()


def test_inter_class_correlation_equals_the_sum_over_ordered_pairs() -> None:
    generator = torch.Generator().manual_seed(2)
    correlation = filter_correlation(torch.randn(15, 6, generator=generator))
    means = torch.rand(4, 15, generator=generator)
    strongest = [np.argsort(-row)[:3] for row in means.numpy()]
    total = sum(
        float(correlation[i, j])
        for a, b in itertools.permutations(range(4), 2)
        for i in strongest[a]
        for j in strongest[b]
    )
    assert inter_class_correlation(correlation, means, m=3) == pytest.approx(total / (4 * 3 * 9))
    for bad, message in (({"m": 16}, "`m`"), ({"m": 0}, "`m`")):
        with pytest.raises(ValueError, match=message):
            inter_class_correlation(correlation, means, **bad)
    with pytest.raises(ValueError, match="`mean_features`"):
        inter_class_correlation(correlation, means[:, :4], m=1)


def test_class_means_equal_numpy() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(50, 4, generator=generator)
    labels = torch.randint(0, 3, (50,), generator=generator)
    means = class_mean_features(features, labels, 4)
    for c in range(3):
        assert means[c].numpy() == pytest.approx(features[labels == c].double().numpy().mean(0))
    assert bool(means[3].isnan().all())
    with pytest.raises(ValueError, match="`labels` must lie"):
        class_mean_features(features, labels, 2)
