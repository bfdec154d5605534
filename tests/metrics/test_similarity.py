"""Similarity of features and gate rows against plain loops."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import cosine

from filterscope.metrics.functional import gate_similarity, pair_rank


def samples(
    num_classes: int = 5, num_filters: int = 7
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, num_classes, (120,), generator=generator)
    wrong = torch.rand(120, generator=generator) < 0.4
    answers = torch.where(wrong, (labels + 1) % num_classes, labels)
    features = torch.rand(120, num_filters, generator=generator)
    return features, labels, answers, torch.rand(num_classes, num_filters, generator=generator)


def reference(
    features: torch.Tensor, at: torch.Tensor, labels: torch.Tensor, gate: torch.Tensor
) -> np.ndarray:
    rows = []
    for y in range(len(gate)):
        mean = features[at & (labels == y)].double().mean(dim=0).numpy()
        rows.append([1 - cosine(mean, gate[c].double().numpy()) for c in range(len(gate))])
    return np.array(rows)


def test_both_matrices_are_cosines_of_class_means() -> None:
    features, labels, answers, gate = samples()
    found = gate_similarity(features, labels, answers, gate)
    right = labels == answers
    for at, matrix, counts in (
        (right, found.tp, found.tp_counts),
        (~right, found.fn, found.fn_counts),
    ):
        assert matrix.dtype == torch.float64
        assert matrix.numpy() == pytest.approx(reference(features, at, labels, gate), abs=1e-12)
        assert counts.tolist() == torch.bincount(labels[at], minlength=5).tolist()
    assert found.undefined_tp == found.undefined_fn == 0
    assert found.chance == 0.2


def test_features_that_follow_the_gate_have_the_diagonal() -> None:
    labels = torch.arange(40) % 4
    answers = torch.where(torch.arange(40) < 20, labels, (labels + 1) % 4)
    gate = torch.eye(4).repeat_interleave(2, dim=1)
    found = gate_similarity(gate[answers] + 0.1, labels, answers, gate)
    assert found.diagonal_share_tp == 1
    assert found.diagonal_share_fn == 0
    assert found.fn.argmax(dim=1).tolist() == [1, 2, 3, 0]


def test_what_has_no_direction_is_undefined_and_counted() -> None:
    features = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    labels, answers = torch.tensor([0, 1, 0]), torch.tensor([0, 1, 2])
    gate = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    found = gate_similarity(features, labels, answers, gate)
    assert found.tp.isnan().tolist() == [[False, False, True], [True] * 3, [True] * 3]
    assert found.undefined_tp == 7
    assert found.tp_counts.tolist() == [1, 1, 0], "a class may have samples and no direction"
    assert found.diagonal_share_tp == 1
    assert found.diagonal_share_fn == 0, "equal entries are no maximum"
    assert found.fn[0, :2].tolist() == pytest.approx([math.sqrt(0.5)] * 2)
    assert found.order.tolist() == [0, 1, 2]


def test_a_network_without_errors_has_no_second_matrix() -> None:
    features, labels, _, gate = samples()
    found = gate_similarity(features, labels, labels, gate)
    assert found.fn.isnan().all()
    assert math.isnan(found.diagonal_share_fn)
    assert found.order.tolist() == list(range(5))


def test_a_gate_that_tells_no_class_apart_has_no_diagonal() -> None:
    features, labels, answers, gate = samples()
    assert gate_similarity(features, labels, answers, torch.ones_like(gate)).diagonal_share_tp == 0


def test_equal_gate_rows_are_no_maxima_by_rounding() -> None:
    generator = torch.Generator().manual_seed(0)
    for classes in range(2, 12):
        gate = torch.rand(1, 5 * classes + 2, generator=generator).repeat(classes, 1)
        features = torch.rand(40, gate.shape[1], generator=generator)
        labels = torch.arange(40) % classes
        assert gate_similarity(features, labels, labels, gate).diagonal_share_tp == 0.0


def test_the_order_keeps_the_tree_and_shortens_the_way_from_class_to_class() -> None:
    features, labels, answers, gate = samples(num_classes=6)
    found = gate_similarity(features, labels, answers, gate)
    rows, order = found.fn.numpy(), found.order.tolist()
    assert sorted(order) == list(range(6))

    def way(path: tuple[int, ...]) -> float:
        return sum(float(np.linalg.norm(rows[a] - rows[b])) for a, b in itertools.pairwise(path))

    tree = linkage(rows, method="average")
    clusters = [{c} for c in range(6)]
    for a, b, *_ in tree:
        clusters.append(clusters[int(a)] | clusters[int(b)])

    def keeps(path: tuple[int, ...]) -> bool:
        places = [sorted(path.index(c) for c in cluster) for cluster in clusters]
        return all(p[-1] - p[0] == len(p) - 1 for p in places)

    assert keeps(tuple(order))
    assert way(tuple(order)) <= way(tuple(leaves_list(tree)))
    # scipy's search is not exact, but no walk through the tree is much shorter
    shortest = min(way(path) for path in itertools.permutations(range(6)) if keeps(path))
    assert way(tuple(order)) <= 1.2 * shortest


def test_classes_without_errors_come_last() -> None:
    features, labels, answers, gate = samples()
    answers = torch.where((labels == 1) | (labels == 3), labels, answers)
    order = gate_similarity(features, labels, answers, gate).order.tolist()
    assert order[3:] == [1, 3]
    assert sorted(order[:3]) == [0, 2, 4]


def test_pairs_are_ranked_by_the_mean_of_both_entries() -> None:
    matrix = torch.rand(6, 6, generator=torch.Generator().manual_seed(1))
    pairs = list(itertools.combinations(range(6), 2))
    ranked = sorted(pairs, key=lambda p: -float(matrix[p] + matrix[p[::-1]]))
    for a, b in pairs:
        assert pair_rank(matrix, a, b) == pair_rank(matrix, b, a) == ranked.index((a, b)) + 1


def test_pairs_with_nan_come_last_and_equal_pairs_share_a_rank() -> None:
    matrix = torch.full((4, 4), 0.5)
    matrix[3] = float("nan")
    assert [pair_rank(matrix, a, b) for a, b in ((0, 1), (1, 2), (0, 3), (2, 3))] == [1, 1, 4, 4]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f, y, p, g: gate_similarity(f[:, :3], y, p, g), r"`gate` must be \(5, 3\)"),
        (lambda f, y, p, g: gate_similarity(f, y[:9], p, g), "`labels`"),
        (lambda f, y, p, g: gate_similarity(f, y, p[:9], g), "`predictions`"),
        (lambda f, y, p, g: gate_similarity(f, y + 1, p, g), r"`labels`.*1 to 5"),
        (lambda f, y, p, g: gate_similarity(f, y, p.float(), g), "`predictions`.*integers"),
        (lambda f, y, p, g: gate_similarity(f / 0, y, p, g), "`features` holds non-finite"),
        (lambda f, y, p, g: gate_similarity(f, y, p, g / 0), "`gate` holds non-finite"),
        (lambda f, y, p, g: gate_similarity(f[:0], y[:0], p[:0], g), "`features`"),
        (lambda f, y, p, g: pair_rank(g, 0, 1), "`similarity`"),
        (lambda f, y, p, g: pair_rank(torch.eye(3), 0, 3), "`b`"),
        (lambda f, y, p, g: pair_rank(torch.eye(3), -1, 0), "`a`"),
        (lambda f, y, p, g: pair_rank(torch.eye(3), 1, 1), "two classes"),
    ],
)
def test_bad_input_is_named(call: Callable[..., object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(*samples())
