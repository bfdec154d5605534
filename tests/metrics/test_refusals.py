"""Input that would give a plausible but wrong number is refused."""

import pytest
import torch

from filterscope.metrics import ClassMeanFeatures
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
