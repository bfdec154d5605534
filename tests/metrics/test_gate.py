"""Gate statistics and the overlap of a gate with the MI matrix, against counts made otherwise."""

import itertools
import math

import numpy as np
import pytest
import torch

from filterscope import fixed_gate
from filterscope.metrics.functional import gate_mi_overlap, gate_statistics, strongest_elements


def random_gate(classes: int, filters: int, seed: int = 0) -> torch.Tensor:
    gate = torch.rand(classes, filters, generator=torch.Generator().manual_seed(seed))
    return gate / gate.max(dim=0).values


def jaccard_of_sets(a: set[tuple[int, int]], b: set[tuple[int, int]]) -> float:
    return len(a & b) / len(a | b)


def open_places(gate: torch.Tensor, threshold: float = 0.5) -> set[tuple[int, int]]:
    return {
        (c, k)
        for c, row in enumerate(gate.tolist())
        for k, entry in enumerate(row)
        if entry > threshold
    }


def largest_places(matrix: torch.Tensor, count: int) -> set[tuple[int, int]]:
    ranked = sorted(
        ((-entry, c, k) for c, row in enumerate(matrix.tolist()) for k, entry in enumerate(row))
    )
    return {(c, k) for _, c, k in ranked[:count]}


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_statistics_equal_counts_of_a_plain_loop(threshold: float) -> None:
    classes, filters = 5, 24
    gate = random_gate(classes, filters)
    gate[:, 3] = 0.0  # a filter of no class
    statistics = gate_statistics(gate, threshold)
    opened = open_places(gate, threshold)
    owners = {k: [c for c in range(classes) if (c, k) in opened] for k in range(filters)}
    assert statistics.density == pytest.approx(sum(sum(row) for row in gate.tolist()) / 120)
    assert statistics.least_density == 1 / classes
    assert statistics.threshold == threshold
    for c in range(classes):
        assert int(statistics.filters_of_class[c]) == sum(c in names for names in owners.values())
        assert int(statistics.monopolised[c]) == sum(names == [c] for names in owners.values())
        for d in range(classes):
            both = sum(c in names and d in names for names in owners.values())
            assert int(statistics.class_pairs[c, d]) == both
    assert statistics.shared_by.tolist() == [
        sum(len(names) == n for names in owners.values()) for n in range(classes + 1)
    ]


def test_an_entry_equal_to_the_threshold_is_closed() -> None:
    gate = torch.tensor([[0.5, 1.0], [1.0, 0.5]])
    assert gate_statistics(gate).filters_of_class.tolist() == [1, 1]
    assert gate_statistics(gate, threshold=0.49).filters_of_class.tolist() == [2, 2]


def test_statistics_of_the_fixed_gate_are_those_it_was_built_with() -> None:
    statistics = gate_statistics(fixed_gate(10, 6, 4))
    assert statistics.density == pytest.approx((10 * 6 + 10 * 4) / (10 * 64))
    assert statistics.monopolised.tolist() == [6] * 10
    assert statistics.shared_by.tolist() == [0, 60, *[0] * 8, 4]


def test_density_is_one_when_all_is_open_and_one_of_c_when_nothing_is_shared() -> None:
    assert gate_statistics(torch.ones(4, 7)).density == 1.0
    one_hot = torch.eye(4)[:, [0, 1, 2, 3, 0, 1]]
    assert gate_statistics(one_hot).density == gate_statistics(one_hot).least_density == 0.25


def test_density_takes_entries_without_their_sign() -> None:
    assert gate_statistics(torch.tensor([[-1.0, 0.5], [0.0, 0.5]])).density == 0.5


def test_a_gate_under_training_is_counted_without_a_graph() -> None:
    gate = random_gate(3, 5).requires_grad_()
    statistics = gate_statistics(gate)
    assert not statistics.filters_of_class.requires_grad
    assert gate_mi_overlap(gate, gate).argmax_agreement == 1.0


@pytest.mark.parametrize("shape", [(4,), (2, 3, 4), (0, 3), (3, 0)])
def test_a_gate_that_is_no_matrix_is_refused(shape: tuple[int, ...]) -> None:
    gate = torch.ones(shape)
    with pytest.raises(ValueError, match=r"`gate` must be \(C, K\)"):
        gate_statistics(gate)
    with pytest.raises(ValueError, match=r"`gate` must be \(C, K\)"):
        gate_mi_overlap(gate, gate)


def test_overlap_refuses_matrices_of_different_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(3, 4\) and `gate` \(4, 3\) must both be \(C, K\)"):
        gate_mi_overlap(torch.ones(3, 4), torch.ones(4, 3))


@pytest.mark.parametrize(("classes", "filters"), [(2, 5), (6, 16), (10, 64)])
def test_a_gate_agrees_perfectly_with_itself(classes: int, filters: int) -> None:
    gate = random_gate(classes, filters)
    overlap = gate_mi_overlap(0.3 * gate, gate)
    assert overlap.argmax_agreement == 1.0
    assert overlap.jaccard == 1.0
    assert overlap.argmax_chance == 1 / classes
    assert overlap.num_elements == len(open_places(gate))


def test_a_gate_open_where_information_is_least_never_agrees() -> None:
    gate = torch.eye(4)
    overlap = gate_mi_overlap(1 - gate, gate)
    assert (overlap.argmax_agreement, overlap.jaccard) == (0.0, 0.0)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_overlap_equals_sets_of_places(threshold: float) -> None:
    mi, gate = random_gate(5, 20, seed=1) * 0.3, random_gate(5, 20, seed=2)
    overlap = gate_mi_overlap(mi, gate, threshold)
    opened = open_places(gate, threshold)
    assert overlap.num_elements == len(opened)
    assert overlap.jaccard == pytest.approx(
        jaccard_of_sets(opened, largest_places(mi, len(opened)))
    )
    agreeing = sum(
        max(range(5), key=lambda c, k=k: float(mi[c, k]))
        == max(range(5), key=lambda c, k=k: float(gate[c, k]))
        for k in range(20)
    )
    assert overlap.argmax_agreement == pytest.approx(agreeing / 20)


def test_chance_is_the_mean_over_all_orders_of_the_columns() -> None:
    mi, gate = random_gate(3, 6, seed=3), random_gate(3, 6, seed=4)
    strongest = largest_places(mi, len(open_places(gate)))
    every_order = [
        jaccard_of_sets(open_places(gate[:, list(order)]), strongest)
        for order in itertools.permutations(range(6))
    ]
    draws = 2000
    overlap = gate_mi_overlap(mi, gate, permutations=draws)
    error = float(np.std(every_order)) / math.sqrt(draws)
    assert error > 0
    assert overlap.jaccard_chance == pytest.approx(float(np.mean(every_order)), abs=4 * error)
    other_seed = gate_mi_overlap(mi, gate, permutations=draws, random_state=1)
    assert other_seed.jaccard_chance != overlap.jaccard_chance
    assert other_seed.jaccard_chance == pytest.approx(float(np.mean(every_order)), abs=4 * error)


def test_chance_of_a_one_hot_gate_is_that_of_a_random_class() -> None:
    classes, each = 5, 40
    gate = fixed_gate(classes, each, 0)
    overlap = gate_mi_overlap(0.3 * gate, gate)
    # of the C * each open entries the share 1 / C stays open: |A and B| = |A| / C
    assert overlap.jaccard_chance == pytest.approx(1 / (2 * classes - 1), rel=0.1)


def test_chance_is_undefined_without_permutations_and_jaccard_without_open_entries() -> None:
    gate = torch.eye(3)
    assert math.isnan(gate_mi_overlap(gate, gate, permutations=0).jaccard_chance)
    closed = gate_mi_overlap(gate, 0.4 * gate)
    assert closed.num_elements == 0
    assert math.isnan(closed.jaccard)


@pytest.mark.parametrize("count", [0, 1, 7, 30])
def test_strongest_elements_are_the_largest(count: int) -> None:
    matrix = random_gate(5, 6, seed=5) - 0.5
    matrix[0, :] = torch.arange(6) / 7.0  # column maxima are equal: keep the entries distinct
    matrix += torch.arange(30).reshape(5, 6) * 1e-4
    marked = strongest_elements(matrix, count)
    assert marked.dtype == torch.bool
    assert marked.shape == matrix.shape
    expected = set(matrix.flatten().topk(count).indices.tolist())
    assert set(marked.flatten().nonzero().flatten().tolist()) == expected


def test_equal_elements_are_taken_in_the_order_of_the_matrix() -> None:
    marked = strongest_elements(torch.tensor([[0.2, 0.5, 0.5], [0.5, 0.5, 0.1]]), 3)
    assert marked.int().tolist() == [[0, 1, 1], [1, 0, 0]]
    # an unstable sort would shuffle this many equal entries
    pattern = [1, 0, 1]
    many = strongest_elements(torch.tensor(pattern * 200, dtype=torch.float32).reshape(20, 30), 100)
    assert many.flatten().int().tolist() == pattern * 50 + [0] * 450
