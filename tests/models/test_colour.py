import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.models import luminance, rgb_to_ycbcr, ycbcr_to_rgb


def all_sorts_of_colours() -> torch.Tensor:
    steps = torch.arange(0, 256, 15, dtype=torch.uint8)
    return torch.cartesian_prod(steps, steps, steps).T.reshape(3, len(steps) ** 2, len(steps))


def test_agrees_with_pillow_to_its_rounding() -> None:
    pixels = all_sorts_of_colours()
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    expected = torch.from_numpy(np.array(picture.convert("YCbCr"))).permute(2, 0, 1)
    beyond = rgb_to_ycbcr(pixels.double()) - expected
    # it cuts fractions off, of tables that are themselves rounded
    assert float((beyond - 0.5).abs().max()) < 0.55


def test_there_and_back_again() -> None:
    pixels = all_sorts_of_colours().double()
    torch.testing.assert_close(ycbcr_to_rgb(rgb_to_ycbcr(pixels)), pixels, rtol=0, atol=1e-11)


def test_back_agrees_with_pillow() -> None:
    pixels = all_sorts_of_colours()  # read as Y, Cb, Cr
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy(), mode="YCbCr").convert("RGB")
    expected = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    found = ycbcr_to_rgb(pixels.double()).clamp(0, 255)
    assert float((found - expected).abs().max()) <= 1.01  # Pillow's tables round in between


def test_luminance_is_the_first_of_the_three_in_any_range_and_batch() -> None:
    pixels = torch.rand(2, 5, 3, 4, 6, dtype=torch.float64)
    torch.testing.assert_close(luminance(pixels), rgb_to_ycbcr(pixels)[..., :1, :, :])
    assert luminance(torch.ones(3, 1, 1)).item() == pytest.approx(1)


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb, luminance])
@pytest.mark.parametrize("shape", [(1, 4, 4), (4, 4, 3), (3, 4), (2, 4, 4)])
def test_other_shapes_are_refused(function, shape) -> None:
    with pytest.raises(ValueError, match=r"\(\.\.\., 3, H, W\)"):
        function(torch.zeros(shape))


@pytest.mark.parametrize("function", [rgb_to_ycbcr, ycbcr_to_rgb, luminance])
def test_integers_are_refused(function) -> None:
    with pytest.raises(ValueError, match=r"floating point, got torch\.uint8"):
        function(torch.zeros(3, 4, 4, dtype=torch.uint8))
