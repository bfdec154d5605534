"""Input that would give a plausible but wrong number is refused."""

import pytest
import torch

from filterscope.metrics import ClassMeanFeatures, functional
from filterscope.metrics.functional import (
    class_mean_features,
    gate_mi_overlap,
    gate_statistics,
    inter_class_correlation,
    mutual_information_bound,
    mutual_information_floor,
    mutual_information_matrix,
    redundancy,
    strongest_elements,
)

NAN = torch.full((2, 2), float("nan"))


def test_class_means_do_not_spread_a_column_over_the_filters() -> None:
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        ClassMeanFeatures(2, 3).update(torch.ones(4, 1), torch.zeros(4, dtype=torch.long))


def test_class_means_take_no_fractions_for_classes() -> None:
    with pytest.raises(ValueError, match="integers"):
        class_mean_features(torch.ones(2, 1), torch.tensor([0.9, 0.1]), 2)


def test_an_absent_class_has_no_strongest_filters() -> None:
    means = torch.tensor([[1.0, 2.0], [float("nan")] * 2])
    with pytest.raises(ValueError, match="finite"):
        inter_class_correlation(torch.eye(2), means, m=1)
    with pytest.raises(ValueError, match=r"\(C, K\)"):
        inter_class_correlation(torch.eye(2), torch.ones(2), m=1)


def test_matrices_with_nan_are_refused() -> None:
    for call in (
        lambda: gate_statistics(NAN),
        lambda: gate_mi_overlap(NAN, torch.eye(2)),
        lambda: strongest_elements(NAN, 1),
        lambda: redundancy(NAN, 0.1),
    ):
        with pytest.raises(ValueError, match="non-finite"):
            call()


@pytest.mark.parametrize("count", [-1, 5])
def test_impossible_numbers_of_elements_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="`count`"):
        strongest_elements(torch.eye(2), count)


def test_bounds_and_floors_check_their_numbers() -> None:
    labels = torch.tensor([0, 1, 2])
    with pytest.raises(ValueError, match="`num_classes` is 2"):
        mutual_information_bound(labels, 2)
    with pytest.raises(ValueError, match="-1 to 1"):
        mutual_information_bound(labels - 1)
    with pytest.raises(ValueError, match="`permutations`"):
        mutual_information_floor(torch.ones(3, 1), labels, permutations=0)


def test_bfloat16_features_are_taken() -> None:
    features, labels = torch.rand(40, 2).bfloat16(), torch.arange(40) % 2
    expected = mutual_information_matrix(features.double(), labels)
    assert torch.equal(mutual_information_matrix(features, labels), expected)


@pytest.mark.parametrize("length", [1e-200, 1e200])
def test_extreme_features_have_the_cosines_of_ordinary_ones(length: float) -> None:
    features = torch.tensor([[1.0, 0.0], [1.0, 2.0]], dtype=torch.float64)
    labels, gate = torch.tensor([0, 1]), torch.eye(2)
    wanted = functional.gate_similarity(features, labels, labels, gate)
    found = functional.gate_similarity(features * length, labels, labels, gate)
    torch.testing.assert_close(found.tp, wanted.tp)
    agreed = functional.gate_agreement(features * length, gate)
    assert agreed.cosine == pytest.approx(functional.gate_agreement(features, gate).cosine)
    assert agreed.cosine_chance == pytest.approx(
        functional.gate_agreement(features, gate).cosine_chance
    )


def test_maps_beyond_single_precision_are_refused() -> None:
    maps = torch.full((2, 4, 4), 1e300, dtype=torch.float64)
    masks, labels = torch.ones(2, 4, 4, dtype=torch.bool), torch.tensor([0, 1])
    for call in (
        lambda: functional.map_localization(maps, masks, labels, 2),
        lambda: functional.activation_thresholds(maps[:, None]),
        lambda: functional.activation_localization(maps[:, None], masks, labels, 2),
    ):
        with pytest.raises(ValueError, match="beyond single precision"):
            call()
