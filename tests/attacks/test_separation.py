"""Cosines to class means and distances of classes, against plain loops."""

import math

import numpy as np
import pytest
import torch

from filterscope.attacks import (
    ClassDistances,
    ConvolutionLayer,
    class_cosines,
    class_distances,
    class_means,
)

LAYERS = (ConvolutionLayer("a", 0, 3), ConvolutionLayer("b", 3, 4), ConvolutionLayer("c", 4, 9))


@pytest.fixture
def features() -> torch.Tensor:
    return torch.randn(20, 9, generator=torch.Generator().manual_seed(0))


LABELS = torch.arange(20) % 4


def test_means_are_those_of_each_class(features) -> None:
    found = class_means(features, LABELS, 5)
    for c in range(4):
        expected = features[c == LABELS].double().mean(0)
        torch.testing.assert_close(found[c], expected)
    assert bool(found[4].isnan().all())


def test_cosines_are_those_of_each_image_and_layer(features) -> None:
    means = class_means(features, LABELS, 4)
    targets = (LABELS + 1) % 4
    found = class_cosines(features, targets, means, LAYERS).numpy()
    for i in range(20):
        for k, layer in enumerate(LAYERS):
            x = features[i, layer.columns].double().numpy()
            m = means[targets[i], layer.columns].numpy()
            assert found[i, k] == pytest.approx(x @ m / np.linalg.norm(x) / np.linalg.norm(m))
    assert np.abs(found[:, 1]) == pytest.approx(1), "a single filter has a sign and no angle"


def test_a_vector_of_zeros_has_no_cosine(features) -> None:
    means = class_means(features, LABELS, 4)
    features[3, :3] = 0
    found = class_cosines(features, LABELS, means, LAYERS)
    assert found.isnan().nonzero().tolist() == [[3, 0]]
    absent = class_cosines(features, LABELS + 1, class_means(features, LABELS, 6), LAYERS)
    assert bool(absent[LABELS == 3].isnan().all())
    assert not bool(absent[LABELS == 0].isnan().any())


def test_distances_are_those_of_all_pairs(features) -> None:
    found = class_distances(features, LABELS)
    within, between = [], []
    for i in range(20):
        for j in range(i + 1, 20):
            distance = float((features[i].double() - features[j].double()).norm())
            (within if LABELS[i] == LABELS[j] else between).append(distance)
    assert found.within == pytest.approx(np.mean(within))
    assert found.between == pytest.approx(np.mean(between))
    norm = float(features.double().norm(dim=1).mean())
    assert found.norm == pytest.approx(norm)
    assert found.relative_within == pytest.approx(np.mean(within) / norm)
    scaled = class_distances(10 * features, LABELS)
    assert scaled.between == pytest.approx(10 * found.between)
    assert scaled.relative_between == pytest.approx(found.relative_between)


def test_what_is_not_defined_is_nan(features) -> None:
    assert math.isnan(class_distances(features[:4], LABELS[:4]).within)
    assert math.isnan(class_distances(features, torch.zeros(20, dtype=torch.long)).between)
    assert math.isnan(ClassDistances(0.0, 0.0, 0.0).relative_within)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: class_means(f[0], LABELS, 4), r"`features` must be \(N, D\)"),
        (lambda f: class_means(f, LABELS[:3], 4), "`labels` must be 20 integers"),
        (lambda f: class_means(f, LABELS.double(), 4), "`labels` must be 20 integers"),
        (lambda f: class_means(f, LABELS, 3), r"`labels` must lie in \[0, 2\], got 0 to 3"),
        (lambda f: class_distances(f * math.nan, LABELS), "`features` must be finite"),
        (lambda f: class_cosines(f, LABELS, f[:4, :5], LAYERS), r"`means` must be \(C, 9\)"),
        (lambda f: class_cosines(f, LABELS, f[:4], ()), "`layers` do not fit"),
        (
            lambda f: class_cosines(f[:, :8], LABELS, f[:4, :8], LAYERS),
            "`layers` do not fit features with 8 columns",
        ),
        (lambda f: class_cosines(f, LABELS, f[:3], LAYERS), r"`classes` must lie in \[0, 2\]"),
    ],
)
def test_bad_input(features, call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(features)
