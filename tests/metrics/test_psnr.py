import math

import pytest
import torch

from filterscope.metrics.functional import peak_signal_noise_ratio as psnr


def by_hand(picture, reference, border, peak):
    channels, height, width = picture.shape
    total = count = 0
    for c in range(channels):
        for i in range(border, height - border):
            for j in range(border, width - border):
                total += (float(picture[c, i, j]) - float(reference[c, i, j])) ** 2
                count += 1
    return 10 * math.log10(peak**2 / (total / count))


@pytest.mark.parametrize(("border", "peak"), [(0, 255.0), (3, 255.0), (2, 1.0)])
def test_agrees_with_a_plain_loop(border: int, peak: float) -> None:
    generator = torch.Generator().manual_seed(0)
    picture, reference = torch.rand(2, 2, 9, 11, generator=generator) * peak
    found = psnr(picture, reference, border=border, peak=peak)
    assert found == pytest.approx(by_hand(picture, reference, border, peak), rel=1e-12)


def test_integers_do_not_wrap_around() -> None:
    dark, light = torch.zeros(4, 4, dtype=torch.uint8), torch.full((4, 4), 255, dtype=torch.uint8)
    assert psnr(dark, light) == psnr(light, dark) == pytest.approx(0)


def test_equal_pictures_have_no_noise() -> None:
    assert psnr(torch.ones(2, 2), torch.ones(2, 2)) == math.inf


def test_the_border_is_left_out() -> None:
    picture, reference = torch.zeros(7, 7), torch.zeros(7, 7)
    picture[0], picture[:, -1] = 100, 100
    assert psnr(picture, reference, border=1) == math.inf
    assert psnr(picture, reference) < 20


@pytest.mark.parametrize(
    ("shapes", "options", "match"),
    [
        (((1, 4, 4), (4, 4)), {}, "one shape"),
        (((4,), (4,)), {}, r"\(\.\.\., H, W\)"),
        (((4, 6), (4, 6)), {"border": 2}, "leaves nothing"),
        (((0, 4, 6), (0, 4, 6)), {}, "leaves nothing"),
        (((4, 4), (4, 4)), {"border": -1}, "`border`"),
        (((4, 4), (4, 4)), {"peak": 0.0}, "`peak`"),
        (((4, 4), (4, 4)), {"peak": math.nan}, "`peak`"),
    ],
)
def test_bad_input_is_refused(shapes, options, match) -> None:
    with pytest.raises(ValueError, match=match):
        psnr(torch.zeros(shapes[0]), torch.ones(shapes[1]), **options)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="non-finite"):
        psnr(torch.full((3, 3), value), torch.ones(3, 3))
    with pytest.raises(ValueError, match="non-finite"):
        psnr(torch.ones(3, 3), torch.full((3, 3), value))
