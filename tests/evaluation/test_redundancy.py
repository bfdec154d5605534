"""Owners of filters by hand, and the correlation part of a run against plain numpy."""

import dataclasses

import numpy as np
import pytest
import torch

from filterscope.evaluation.part import Part, Subject
from filterscope.evaluation.redundancy import correlation_part, filter_owners
from filterscope.runs import Run


def test_a_filter_belongs_to_the_one_class_that_its_gate_opens_it_for() -> None:
    gate = torch.tensor(
        [[1.0, 0.2, 0.6, 0.5, 0.5], [0.0, 1.0, 1.0, 0.5, 0.0], [0.3, 0.51, 0.0, 0.5, 1.0]]
    )
    mi = torch.full((3, 5), 9.0)
    # filters 1 and 2 are shared, 3 is open for nobody: one half is not above one half
    assert filter_owners(gate, mi).tolist() == [0, -1, -1, -1, 2]
    assert filter_owners(gate, mi).dtype == torch.int64


def test_without_a_gate_a_filter_belongs_to_the_class_of_its_largest_information() -> None:
    mi = torch.tensor([[0.1, 0.0, 0.2], [0.3, 0.0, 0.1]])
    assert filter_owners(None, mi).tolist() == [1, 0, 0]


def test_correlations_of_a_run_equal_plain_cosines(measured_run: Run) -> None:
    arrays, metrics = measured_run.arrays, measured_run.evaluation["metrics"]
    weights = measured_run.classifier.layer3[2].conv2.weight.detach().double().flatten(1).numpy()
    unit = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.testing.assert_allclose(arrays["correlation"], cosines, atol=1e-5)
    off = ~np.eye(64, dtype=bool)
    assert metrics["redundancy_0_1"] == pytest.approx((cosines >= 0.1).mean(), abs=1e-3)
    assert metrics["redundancy_0_1_off_diagonal"] == pytest.approx(
        (cosines[off] >= 0.1).mean(), abs=1e-3
    )
    assert metrics["redundancy_0_1_absolute"] == pytest.approx(
        (np.abs(cosines[off]) >= 0.1).mean(), abs=1e-3
    )
    thresholds = arrays["redundancy_thresholds"]
    assert (thresholds[0], thresholds[-1]) == (0, 1)
    for suffix in ("", "_off_diagonal", "_absolute"):
        curve = arrays[f"redundancy_curve{suffix}"]
        assert len(curve) == len(thresholds)
        assert np.all(np.diff(curve) <= 0)


def test_correlation_between_classes_is_the_mean_over_pairs(measured_run: Run) -> None:
    arrays, metrics = measured_run.arrays, measured_run.evaluation["metrics"]
    assert metrics["inter_class_correlation_m"] == 6
    strongest = [np.argsort(-row, kind="stable")[:6] for row in arrays["mean_features"]]
    values = [
        arrays["correlation"][i, j]
        for c in range(10) for d in range(10) if c != d
        for i in strongest[c] for j in strongest[d]
    ]  # fmt: skip
    assert len(values) == 10 * 9 * 36
    assert metrics["inter_class_correlation"] == pytest.approx(np.mean(values), abs=1e-6)


def test_blocks_compare_filters_of_one_owner_with_the_others(measured_run: Run) -> None:
    arrays, metrics = measured_run.arrays, measured_run.evaluation["metrics"]
    owners, strength = arrays["filter_owners"], np.abs(arrays["correlation"])
    within, between = [], []
    for i in range(64):
        for j in range(64):
            if i != j and owners[i] >= 0 and owners[j] >= 0:
                (within if owners[i] == owners[j] else between).append(strength[i, j])
    if within and between:
        assert metrics["block_within"] == pytest.approx(np.mean(within), abs=1e-6)
        assert metrics["block_between"] == pytest.approx(np.mean(between), abs=1e-6)
        assert metrics["block_ratio"] == pytest.approx(np.mean(within) / np.mean(between))


def test_a_class_without_images_leaves_out_what_needs_strongest_filters(
    subject: Subject,
) -> None:
    means = subject.mean_features.clone()
    means[4] = float("nan")
    part = correlation_part(dataclasses.replace(subject, mean_features=means))
    assert "inter_class_correlation" not in part.metrics
    assert "redundancy_0_1" in part.metrics


def test_without_a_convolution_of_that_width_there_is_nothing(subject: Subject) -> None:
    wide = dataclasses.replace(subject, mean_features=torch.zeros(10, 65))
    assert correlation_part(wide) == Part()
