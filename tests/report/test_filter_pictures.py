"""Signed pictures: sign, scale and middle; figures of singular triplets."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from filterscope.linear import LinearInterpreter
from filterscope.report.filter_pictures import (
    eigen_figure,
    reconstruction_figure,
    signed_picture,
)
from filterscope.report.theme import DARK, LIGHT, render


def test_zero_is_mid_grey_and_the_scale_is_symmetric() -> None:
    values = torch.tensor([[[0.0, 2.0]], [[-4.0, 4.0]], [[1.0, -1.0]]])
    pixels, scale = signed_picture(values)
    assert scale == 4 and pixels.shape == (1, 2, 3) and pixels.dtype == np.uint8
    assert pixels.tolist() == [[[128, 1, 160], [192, 255, 96]]]
    mirrored, _ = signed_picture(-values)
    assert np.abs(pixels.astype(int) + mirrored - 256).max() <= 1


def test_one_channel_is_grey_and_a_given_scale_cuts() -> None:
    pixels, scale = signed_picture(np.array([[0.0, 5.0, -1.0]]), scale=2)
    assert scale == 2 and pixels[0].tolist() == [[128] * 3, [255] * 3, [65] * 3]
    assert (signed_picture(np.array([[[0.0, 5.0, -1.0]]]), scale=2)[0] == pixels).all()


def test_zeros_have_no_scale() -> None:
    pixels, scale = signed_picture(torch.zeros(3, 2, 2))
    assert scale == 0 and (pixels == 128).all()


@pytest.mark.parametrize("bad", [torch.zeros(2, 3, 3), torch.zeros(3), torch.zeros(1, 3, 3, 3),
                                 torch.full((2, 2), torch.nan), torch.zeros(0, 3)])  # fmt: skip
def test_wrong_pictures(bad) -> None:
    with pytest.raises(ValueError, match="`picture`"):
        signed_picture(bad)
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="`scale`"):
            signed_picture(torch.ones(2, 2), scale)


@pytest.fixture(scope="module")
def triplets():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.PixelShuffle(2))
    return LinearInterpreter(model, torch.rand(1, 3, 6, 8)).svd(7)


def size(figure, theme):
    return Image.open(io.BytesIO(render(lambda _: figure, theme, 60))).size


@pytest.mark.parametrize("side", ["input", "output"])
def test_eigen_figures_state_sign_and_scale(side, triplets) -> None:
    figure = eigen_figure(triplets, LIGHT, side)
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert len(titles) == 7 and all("±" in title for title in titles)
    assert "largest entry of u is positive" in figure.get_suptitle()
    shown = figure.axes[0].images[0].get_array()
    first = triplets.right[0] if side == "input" else triplets.left[0] * triplets.values[0]
    assert (shown == signed_picture(first)[0]).all()
    assert min(size(figure, LIGHT)) > 100
    assert len([a for a in eigen_figure(triplets, DARK, side, most=2).axes if a.images]) == 2


def test_reconstruction_figure(triplets) -> None:
    figure = reconstruction_figure(triplets, DARK, (0, 2, 7, 100))
    assert [axis.get_title().splitlines()[0] for axis in figure.axes] == [
        "r", "r + 2 triplets", "r + 7 triplets", "F x0", "r + F x0"]  # fmt: skip
    assert min(size(figure, DARK)) > 100
    with pytest.raises(ValueError, match="`steps`"):
        reconstruction_figure(triplets, LIGHT, (8,))


def test_wrong_figures(triplets) -> None:
    with pytest.raises(ValueError, match="`side`"):
        eigen_figure(triplets, LIGHT, "left")
    with pytest.raises(ValueError, match="`most`"):
        eigen_figure(triplets, LIGHT, most=0)
