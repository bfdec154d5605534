import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from filterscope.models import Bicubic

KERNELS = ["torch", "matlab", "pil"]


def keys(distance: float, a: float) -> float:
    d = abs(distance)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def mirrored(i: int, size: int) -> int:
    while not 0 <= i < size:
        i = -1 - i if i < 0 else 2 * size - 1 - i
    return i


def by_hand(line: list[float], scale: int, kernel: str) -> list[float]:
    """One line, from the definitions of the three programs."""
    a = -0.75 if kernel == "torch" else -0.5
    size, found = len(line), []
    for position in range(scale * size):
        centre = (position + 0.5) / scale - 0.5
        total = weight = 0.0
        for tap in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
            if kernel == "pil" and not 0 <= tap < size:
                continue
            i = mirrored(tap, size) if kernel == "matlab" else min(max(tap, 0), size - 1)
            total += keys(centre - tap, a) * line[i]
            weight += keys(centre - tap, a)
        found.append(total / weight)
    return found


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_agrees_with_the_definition_along_both_sides(kernel, scale, size) -> None:
    line = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(size))
    expected = torch.tensor(by_hand(line.tolist(), scale, kernel), dtype=torch.float64)
    wide = line.expand(1, 1, 5, size)
    found = Bicubic(scale, kernel)(wide)
    torch.testing.assert_close(found[0, 0, 3], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(Bicubic(scale, kernel)(wide.mT), found.mT, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_is_what_torch_and_pillow_do(scale) -> None:
    picture = torch.rand(1, 1, 9, 12, generator=torch.Generator().manual_seed(0))
    size = (9 * scale, 12 * scale)
    expected = F.interpolate(picture, size=size, mode="bicubic", align_corners=False)
    torch.testing.assert_close(Bicubic(scale)(picture), expected, rtol=1e-5, atol=1e-5)
    pillow = Image.fromarray(picture[0, 0].numpy()).resize(size[::-1], Image.Resampling.BICUBIC)
    found = Bicubic(scale, "pil")(picture)[0, 0]
    torch.testing.assert_close(found, torch.from_numpy(np.array(pillow)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_keeps_what_is_even_and_the_gentler_kernel_keeps_slopes(kernel) -> None:
    even = Bicubic(3, kernel)(torch.full((1, 2, 5, 6), 0.7, dtype=torch.float64))
    torch.testing.assert_close(even, torch.full_like(even, 0.7), rtol=0, atol=1e-13)
    slope = torch.arange(12, dtype=torch.float64).expand(1, 1, 4, 12)
    larger = Bicubic(4, kernel)(slope)[0, 0, 7, 8:-8]
    straight = bool((larger.diff() - 0.25).abs().max() < 1e-12)
    assert straight == (kernel != "torch")


@pytest.mark.parametrize("kernel", KERNELS)
def test_is_linear_and_can_be_differentiated(kernel) -> None:
    model = Bicubic(2, kernel).double()
    x, z = torch.randn(2, 1, 2, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(model(2 * x - 3 * z), 2 * model(x) - 3 * model(z))
    assert torch.autograd.gradcheck(model, x.clone().requires_grad_())
    assert not model.state_dict()


@pytest.mark.parametrize("scale", [1, 0, -2])
def test_other_scales_are_refused(scale) -> None:
    with pytest.raises(ValueError, match="`scale` must be at least 2"):
        Bicubic(scale)


@pytest.mark.parametrize("scale", [2.5, 2.0, "3", True])
def test_a_scale_is_a_whole_number(scale) -> None:
    with pytest.raises(TypeError, match="`scale` must be a whole number"):
        Bicubic(scale)


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"torch, matlab, pil.*'lanczos'"):
        Bicubic(2, "lanczos")
