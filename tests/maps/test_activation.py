"""Activation maps."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.gates import GatedClassifier
from filterscope.maps import activation_map

IMAGES = torch.randn(3, 3, 14, 11, generator=torch.Generator().manual_seed(1))


def test_the_map_is_the_layers_own_rectified_and_interpolated(
    model, signed_map, assert_untouched
) -> None:
    expected = torch.relu(signed_map(model, IMAGES))
    raw = activation_map(model, IMAGES, "top", size=None)
    torch.testing.assert_close(raw, expected)
    assert not raw.requires_grad
    for size, asked in (("input", (14, 11)), ((40, 7), (40, 7))):
        maps = activation_map(model, IMAGES, model.top, size=size)
        wide = F.interpolate(expected, size=asked, mode="bilinear", align_corners=False)
        torch.testing.assert_close(maps, wide)
    signed = activation_map(model, IMAGES, "top", activation=None, size=None)
    torch.testing.assert_close(signed, signed_map(model, IMAGES))
    assert bool((signed < 0).any())
    assert_untouched(model)


@pytest.mark.parametrize("filters", [5, [5], (7, 0, 7), torch.tensor([3, 1]), torch.tensor(2)])
def test_filters_come_in_the_order_asked_for(model, filters) -> None:
    every = activation_map(model, IMAGES, "top", size=None)
    listed = [filters] if isinstance(filters, int) else filters
    index = torch.as_tensor(listed).reshape(-1)
    assert torch.equal(activation_map(model, IMAGES, "top", filters, size=None), every[:, index])


def test_a_gated_network_is_read_on_its_standard_path(model, assert_untouched) -> None:
    expected = activation_map(model, IMAGES, "top")
    gated = GatedClassifier(model, "top", num_classes=5, num_filters=8)
    with torch.no_grad():
        gated.gate.matrix.fill_(0.25)
    assert torch.equal(activation_map(gated, IMAGES, "model.top"), expected)
    assert torch.equal(activation_map(gated, IMAGES, gated.layer), expected)
    with pytest.raises(ValueError, match=re.escape("near: model.top")):
        activation_map(gated, IMAGES, "top")
    assert_untouched(gated.unwrap())


def test_the_network_is_restored_after_an_error(model, assert_untouched) -> None:
    with pytest.raises(RuntimeError):
        activation_map(model, IMAGES[:, :2], "top")
    assert_untouched(model)


def test_features_are_no_map(model, assert_untouched) -> None:
    with pytest.raises(ValueError, match=r"'fc' must give a map .*\(3, 5\)"):
        activation_map(model, IMAGES, "fc")
    assert_untouched(model)


def test_a_layer_that_gives_no_tensor_or_does_not_run_once_is_refused() -> None:
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pair, self.relu, self.idle = Pair(), nn.ReLU(), nn.ReLU()

        def forward(self, x):
            return self.relu(self.relu(self.pair(x)[0]))

    with pytest.raises(ValueError, match="gives tuple"):
        activation_map(Net(), IMAGES, "pair")
    with pytest.raises(ValueError, match="'relu' ran 2 times"):
        activation_map(Net(), IMAGES, "relu")
    with pytest.raises(ValueError, match="'idle' ran 0 times"):
        activation_map(Net(), IMAGES, "idle")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": IMAGES[0]}, ValueError, r"`images` must be \(N, C, H, W\), got \(3, 14, 11\)"),
        ({"images": IMAGES[:0]}, ValueError, "`images`"),
        ({"images": IMAGES.long()}, ValueError, "floating point, got torch.int64"),
        ({"images": IMAGES.numpy()}, TypeError, "`images` must be a tensor, got ndarray"),
        ({"layer": "tap"}, ValueError, "unknown layer .*near: top"),
        ({"layer": 3}, TypeError, "`layer`"),
        ({"filters": 8}, ValueError, r"`filters` must lie in \[0, 7\]"),
        ({"filters": -1}, ValueError, "`filters`"),
        ({"filters": []}, ValueError, "`filters`"),
        ({"filters": [0.5]}, TypeError, "`filters` must be integers"),
        ({"filters": torch.ones(8, dtype=torch.bool)}, TypeError, "`filters` must be integers"),
        ({"size": "output"}, ValueError, "`size`"),
        ({"size": (0, 4)}, ValueError, "`size`"),
        ({"size": 4}, ValueError, "`size`"),
    ],
)
def test_bad_input_is_named(arguments, error, message) -> None:
    model = nn.Sequential()
    model.add_module("top", nn.Conv2d(3, 8, 3))
    with pytest.raises(error, match=message):
        activation_map(model, **{"images": IMAGES, "layer": "top", **arguments})


@pytest.mark.parametrize(
    "filters", [np.array([3, 0]), [np.int64(3), 0], [torch.tensor(3), 0], range(3, -1, -3)]
)
def test_filters_come_as_numpy_and_torch_give_them(filters) -> None:
    model, images = nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    net = nn.Sequential(model)
    expected = activation_map(net, images, "0")
    assert torch.equal(activation_map(net, images, "0", filters), expected[:, [3, 0]])
    for single in (np.int64(2), torch.tensor(2), np.array([2]).argmax() + 2):
        assert torch.equal(activation_map(net, images, "0", single), expected[:, [2]])
    for wrong in (2.0, True, "2", [0.5], np.array([[0]]), torch.tensor([True])):
        with pytest.raises(TypeError, match="`filters` must be integers"):
            activation_map(net, images, "0", wrong)
