"""Clusters and their match against brute force."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from filterscope.metrics.functional import cluster_centres

GATE = torch.tensor([[1.0, 1, 0, 0, 0, 1], [0, 0, 1, 1, 0, 1], [0, 0, 0, 0, 1, 1]])


def blobs(noise: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (90,), generator=generator)
    return 2 * GATE[labels] + noise * torch.rand(90, 6, generator=generator), labels


def test_centres_come_back_in_the_order_of_the_gate_rows() -> None:
    features, labels = blobs()
    found = cluster_centres(features, GATE)
    assert torch.equal(found.assignment, labels)
    means = torch.stack([features[labels == c].double().mean(0) for c in range(3)])
    torch.testing.assert_close(found.centres, means)
    assert found.mean_cosine > 0.999
    assert found.mean_cosine == pytest.approx(float(found.cosines.mean()))
    assert found.chance < 0.9
    turned = cluster_centres(features, GATE.flip(0))
    assert torch.equal(turned.centres, found.centres.flip(0))
    assert torch.equal(turned.assignment, 2 - labels)


def best_match(centres: np.ndarray, rows: np.ndarray) -> float:
    def total(order: tuple[int, ...]) -> float:
        return sum(
            float(centres[i] @ rows[c] / np.linalg.norm(centres[i]) / np.linalg.norm(rows[c]))
            for i, c in enumerate(order)
        )

    return max(total(order) for order in itertools.permutations(range(len(rows)))) / len(rows)


def test_the_match_is_the_best_of_all_and_chance_permutes_the_columns() -> None:
    features = torch.rand(60, 6, generator=torch.Generator().manual_seed(1))
    found = cluster_centres(features, GATE, random_state=3, n_init=2)
    centres = KMeans(3, n_init=2, random_state=3).fit(features.double().numpy()).cluster_centers_
    rows = GATE.double().numpy()
    assert found.mean_cosine == pytest.approx(best_match(centres, rows))
    shuffle = np.random.RandomState(3)
    chance = [best_match(centres, rows[:, shuffle.permutation(6)]) for _ in range(20)]
    assert found.chance == pytest.approx(np.mean(chance))


def test_every_sample_is_nearest_to_the_centre_of_its_class() -> None:
    features = torch.rand(60, 6, generator=torch.Generator().manual_seed(2))
    found = cluster_centres(features, GATE)
    assert torch.equal(torch.cdist(features.double(), found.centres).argmin(1), found.assignment)


def test_features_of_double_precision_are_left_as_they_are() -> None:
    features = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = features.clone()
    cluster_centres(features, torch.eye(4)[:3])
    assert torch.equal(features, before)


def test_one_seed_gives_one_result() -> None:
    features = torch.rand(60, 6, generator=torch.Generator().manual_seed(3))
    first, again = cluster_centres(features, GATE), cluster_centres(features, GATE)
    assert torch.equal(first.centres, again.centres)
    assert first.chance == again.chance


def test_what_has_no_direction_is_undefined_and_counted() -> None:
    features = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 3.0], [0.0, 3.1]])
    found = cluster_centres(features, torch.eye(2))
    assert found.undefined == 1
    assert found.cosines.isnan().tolist() == [True, False]
    assert found.mean_cosine == pytest.approx(1)
    assert found.assignment.tolist() == [0, 0, 1, 1]
    nothing = cluster_centres(torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1))
    assert nothing.undefined == 2
    assert math.isnan(nothing.mean_cosine)
    assert math.isnan(nothing.chance)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda f: cluster_centres(f[:2], GATE), "2 samples for 3 clusters"),
        (lambda f: cluster_centres(f[:, :4], GATE), r"`gate` must be \(C, 4\)"),
        (lambda f: cluster_centres(f[0], GATE), "`features`"),
        (lambda f: cluster_centres(f / 0, GATE), "`features` holds non-finite"),
        (lambda f: cluster_centres(f, GATE[0]), "`gate`"),
        (lambda f: cluster_centres(f, GATE, n_init=0), "`n_init`"),
    ],
)
def test_bad_input_is_named(call: Callable[[torch.Tensor], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(blobs()[0])
