"""Patch moments and class subspaces against convolutions and scikit-learn's PCA."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch.nn import functional as F

from filterscope.metrics.functional import (
    alignment_contrast,
    class_subspace_alignment,
    patch_moments,
)

GEOMETRIES = [
    {"kernel_size": 1, "stride": 1, "padding": 0, "dilation": 1},
    {"kernel_size": 3, "stride": 1, "padding": 1, "dilation": 1},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 1), "dilation": (1, 2)},
]


def images(num: int = 12, channels: int = 4, side: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(num, channels, side, side, generator=generator)
    return values, torch.randint(0, 3, (num,), generator=generator)


def plain_patches(
    image: torch.Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> torch.Tensor:
    """Cut patches by index, one position after the other."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = (
        (size, size) if isinstance(size, int) else size
        for size in (kernel_size, stride, padding, dilation)
    )
    padded = F.pad(image.double(), (pw, pw, ph, ph))
    rows = range(0, padded.shape[1] - dh * (kh - 1), sh)
    columns = range(0, padded.shape[2] - dw * (kw - 1), sw)
    cut = [
        padded[:, i : i + dh * (kh - 1) + 1 : dh, j : j + dw * (kw - 1) + 1 : dw].flatten()
        for i in rows
        for j in columns
    ]
    return torch.stack(cut)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_moments_are_those_of_the_patches(geometry: dict[str, Any]) -> None:
    values, labels = images()
    counts, sums, products = patch_moments(values, labels, num_classes=4, **geometry)
    for c in range(3):
        mine = [plain_patches(x, **geometry) for x in values[labels == c]]
        patches = torch.cat(mine)
        assert int(counts[c]) == len(patches)
        torch.testing.assert_close(sums[c], patches.sum(0))
        torch.testing.assert_close(products[c], patches.T @ patches)
    assert counts[3] == 0
    assert products[3].abs().sum() == 0


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_order_of_a_patch_is_that_of_a_filter(geometry: dict[str, Any], groups: int) -> None:
    values, labels = images()
    height, width = (
        (geometry["kernel_size"],) * 2
        if isinstance(geometry["kernel_size"], int)
        else geometry["kernel_size"]
    )
    weight = torch.randn(8, 4 // groups, height, width, generator=torch.manual_seed(1))
    options = {name: geometry[name] for name in ("stride", "padding", "dilation")}
    output = F.conv2d(values.double(), weight.double(), groups=groups, **options)
    _, sums, products = patch_moments(values, labels, num_classes=3, groups=groups, **geometry)
    d = sums.shape[-1]
    filters = weight.double().reshape(groups, 8 // groups, d)
    sums, products = sums.reshape(3, groups, d), products.reshape(3, groups, d, d)
    for c in range(3):
        own = output[labels == c]
        first = torch.einsum("gkd,gd->gk", filters, sums[c]).flatten()
        second = torch.einsum("gkd,gde,gke->gk", filters, products[c], filters).flatten()
        torch.testing.assert_close(first, own.sum((0, 2, 3)))
        torch.testing.assert_close(second, own.square().sum((0, 2, 3)))


def test_moments_of_batches_add_up() -> None:
    values, labels = images()
    whole = patch_moments(values, labels, num_classes=3, **GEOMETRIES[1])
    parts = [
        patch_moments(values[at], labels[at], num_classes=3, **GEOMETRIES[1])
        for at in torch.arange(12).split(5)
    ]
    for total, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(torch.stack(pieces).sum(0), total)


@pytest.mark.parametrize("variance", [0.3, 0.95])
def test_alignment_is_the_length_in_the_principal_subspace(variance: float) -> None:
    values, labels = images(num=40)
    geometry = GEOMETRIES[1]
    moments = patch_moments(values, labels, num_classes=3, **geometry)
    weights = torch.randn(5, 4, 3, 3, generator=torch.manual_seed(2))
    found = class_subspace_alignment(weights, *moments, variance)
    flat = weights.flatten(1).double().numpy()
    for c in range(3):
        mine = [plain_patches(x, **geometry) for x in values[labels == c]]
        patches = torch.cat(mine).numpy()
        basis = PCA(n_components=variance, svd_solver="full").fit(patches).components_
        expected = np.linalg.norm(flat @ basis.T, axis=1) / np.linalg.norm(flat, axis=1)
        assert found[c].numpy() == pytest.approx(expected, abs=1e-9)


def test_groups_see_their_own_patches() -> None:
    values, labels = images(num=30)
    weights = torch.randn(6, 2, 3, 3, generator=torch.manual_seed(3))
    moments = patch_moments(values, labels, num_classes=3, groups=2, **GEOMETRIES[1])
    assert moments[2].shape == (3, 2, 18, 18)
    found = class_subspace_alignment(weights, *moments)
    for g in range(2):
        part = patch_moments(values[:, 2 * g : 2 * g + 2], labels, num_classes=3, **GEOMETRIES[1])
        expected = class_subspace_alignment(weights[3 * g : 3 * g + 3], *part)
        torch.testing.assert_close(found[:, 3 * g : 3 * g + 3], expected)


def moments_of(patches: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return torch.tensor([len(patches)]), patches.sum(0)[None], (patches.T @ patches)[None]


def test_the_mean_patch_is_no_direction_of_the_subspace() -> None:
    along = torch.tensor([[1.0, 0, 0], [-1, 0, 0]]).double()
    moved = moments_of(along + torch.tensor([0.0, 100.0, 0.0]))
    found = class_subspace_alignment(torch.eye(3), *moved)
    assert found[0].tolist() == pytest.approx([1, 0, 0], abs=1e-6)


@pytest.mark.parametrize(("variance", "reached"), [(0.5, 1), (0.9, 1), (0.91, 2), (1.0, 2)])
def test_the_fewest_directions_that_hold_the_variance_are_taken(
    variance: float, reached: int
) -> None:
    patches = torch.tensor([[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]]).double()
    found = class_subspace_alignment(torch.eye(3), *moments_of(patches), variance)
    assert found[0].tolist() == pytest.approx([1.0] * reached + [0.0] * (3 - reached), abs=1e-9)


def test_what_has_no_direction_is_undefined() -> None:
    counts, sums, products = moments_of(torch.tensor([[1.0, 2.0]] * 4).double() / 3)
    weights = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert class_subspace_alignment(weights, counts, sums, products).isnan().all(), "one patch"
    spread = moments_of(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double())
    found = class_subspace_alignment(weights, *spread)
    assert found.isnan().tolist() == [[False, True]], "a filter of zeros"
    empty = class_subspace_alignment(weights, counts * 0, sums * 0, products * 0)
    assert empty.isnan().all(), "a class without patches"


def test_the_contrast_averages_own_and_other_classes() -> None:
    alignment = torch.rand(4, 6, generator=torch.manual_seed(4))
    owners = torch.tensor([0, 3, -1, 3, 1, 0])
    own = [float(alignment[c, k]) for k, c in enumerate(owners.tolist()) if c >= 0]
    others = [
        float(alignment[c, k])
        for k, owner in enumerate(owners.tolist())
        for c in range(4)
        if owner >= 0 and c != owner
    ]
    found = alignment_contrast(alignment, owners)
    assert found.own == pytest.approx(np.mean(own))
    assert found.others == pytest.approx(np.mean(others))
    assert found.difference == pytest.approx(np.mean(own) - np.mean(others))
    assert (found.num_filters, found.undefined) == (5, 0)
    alignment[3] = float("nan")
    found = alignment_contrast(alignment, owners)
    assert found.undefined == 5
    assert found.own == pytest.approx(np.mean([own[0], own[3], own[4]]))
    assert math.isnan(alignment_contrast(alignment, torch.full((6,), -1)).difference)


WEIGHTS = torch.ones(2, 4, 3, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, y: patch_moments(x[0], y, 3, 1, 1, 1, 3), "`inputs`"),
        (lambda x, y: patch_moments(x / 0, y, 3, 1, 1, 1, 3), "`inputs` must be finite"),
        (lambda x, y: patch_moments(x, y[:5], 3, 1, 1, 1, 3), "`labels`"),
        (lambda x, y: patch_moments(x, y, 3, 1, 1, 1, 2), r"`labels` must lie in \[0, 1\]"),
        (lambda x, y: patch_moments(x, y, 3, 1, 1, 1, 3, groups=3), "`groups` must divide 4"),
        (lambda x, y: patch_moments(x, y, 3, 1, 1, 1, 3, groups=0), "`groups`"),
    ],
)
def test_bad_input_of_moments_is_named(call: Callable[..., object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(*images())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda n, s, p: class_subspace_alignment(WEIGHTS[:, :3], n, s, p), "`sums`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS, n, s[:2], p), "`sums`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS, n, s, p[:, :3]), "`products`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS / 0, n, s, p), "`weights`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS[0, 0, 0], n, s, p), "`weights`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS, n, s, p, 0.0), "`variance`"),
        (lambda n, s, p: class_subspace_alignment(WEIGHTS, n, s, p, 1.5), "`variance`"),
        (lambda n, s, p: alignment_contrast(s[0], n), "`alignment`"),
        (lambda n, s, p: alignment_contrast(s, n), "`owners`"),
        (lambda n, s, p: alignment_contrast(torch.eye(3), torch.tensor([0, 1, 3])), "below 3"),
    ],
)
def test_bad_input_of_alignments_is_named(call: Callable[..., object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(*patch_moments(*images(), 3, 1, 1, 1, 3))
