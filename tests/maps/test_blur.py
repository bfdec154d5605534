"""Gaussian blur, against scipy and PyTorch's padding."""

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d, gaussian_filter
from torch.nn import functional as F

from filterscope.maps import gaussian_blur


def maps(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def kernel(sigma: float, size: int) -> np.ndarray:
    weights = np.exp(-0.5 * (np.arange(size) - size // 2) ** 2 / sigma**2)
    return weights / weights.sum()


@pytest.mark.parametrize("sigma", [0.4, 1.3, 5.0])
def test_without_a_kernel_size_it_is_scipys(sigma: float) -> None:
    image = maps(2, 21, 17)
    expected = [gaussian_filter(one.numpy(), sigma, mode="mirror", truncate=4.0) for one in image]
    np.testing.assert_allclose(gaussian_blur(image, sigma), np.stack(expected), rtol=1e-12)


@pytest.mark.parametrize(("sigma", "size"), [(30.0, 61), (5.0, 3), (1.0, 1), (2.0, 15)])
def test_it_is_a_convolution_with_reflected_borders(sigma: float, size: int) -> None:
    image = maps(2, 3, 70, 65)
    radius, weights = size // 2, torch.from_numpy(kernel(sigma, size))
    padded = F.pad(image, [radius] * 4, mode="reflect")
    rows = F.conv2d(padded.flatten(0, 1)[:, None], weights[None, None, :, None])
    expected = F.conv2d(rows, weights[None, None, None]).reshape(image.shape)
    torch.testing.assert_close(gaussian_blur(image, sigma, size), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("side", [1, 2, 3, 16])
def test_a_kernel_wider_than_the_map_is_reflected_again(side: int) -> None:
    image = maps(side, 16)
    weights = kernel(30.0, 61)
    expected = correlate1d(image.numpy(), weights, axis=0, mode="mirror")
    expected = correlate1d(expected, weights, axis=1, mode="mirror")
    blurred = gaussian_blur(image, 30.0, 61)
    np.testing.assert_allclose(blurred, expected, rtol=1e-12)


def test_a_walk_that_turns_round_at_each_end_gives_the_same() -> None:
    image, weights = maps(1, 16), kernel(30.0, 61)
    walked = []
    for start in range(16):
        total = 0.0
        for offset, weight in zip(range(-30, 31), weights, strict=True):
            place = start + offset
            while not 0 <= place <= 15:
                place = -place if place < 0 else 30 - place
            total += weight * float(image[0, place])
        walked.append(total)
    np.testing.assert_allclose(gaussian_blur(image, 30.0, 61)[0], walked, rtol=1e-12)


def test_a_constant_map_stays_and_maps_keep_shape_and_type() -> None:
    for dtype in (torch.float32, torch.float64):
        constant = torch.full((2, 1, 3, 16, 16), 1.7, dtype=dtype)
        blurred = gaussian_blur(constant, 30.0, 61)
        assert blurred.dtype == dtype
        torch.testing.assert_close(blurred, constant)
    assert torch.equal(gaussian_blur(maps(4, 4), 3.0, 1), maps(4, 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(5), 1.0), "`maps`"),
        ((torch.ones(0, 5), 1.0), "`maps`"),
        ((torch.ones(5, 5, dtype=torch.int64), 1.0), "`maps`"),
        ((torch.ones(5, 5), 0.0), "`sigma`"),
        ((torch.ones(5, 5), float("nan")), "`sigma`"),
        ((torch.ones(5, 5), float("inf")), "`sigma`"),
        ((torch.ones(5, 5), 1.0, 4), "`kernel_size`"),
        ((torch.ones(5, 5), 1.0, -1), "`kernel_size`"),
        ((torch.ones(5, 5), 1.0, 3.0), "`kernel_size`"),
    ],
)
def test_bad_input_is_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gaussian_blur(*arguments)
