"""Gradient maps, against finite differences and a plain loop."""

import pytest
import torch
from torch import nn

from filterscope.gates import GatedClassifier
from filterscope.maps import GRAD_MAP_PRESETS, gaussian_blur, grad_map, input_gradients

IMAGES = torch.randn(3, 3, 12, 10, generator=torch.Generator().manual_seed(3))


def plain_gradients(model, signed_map, images, activation=torch.relu) -> torch.Tensor:
    """One image and one filter at a time, each with its own forward pass: (N, K, C, H, W)."""
    rows = []
    for image in images:
        row = []
        for k in range(8):
            source = image[None].clone().requires_grad_()
            value = signed_map(model, source)[0, k]
            value = value if activation is None else activation(value)
            row.append(torch.autograd.grad(value.mean(), source)[0][0])
        rows.append(torch.stack(row))
    return torch.stack(rows)


@pytest.mark.parametrize("activation", [torch.relu, None, torch.nn.functional.silu])
def test_gradients_are_those_of_one_filter_and_one_image_at_a_time(
    model, signed_map, assert_untouched, activation
) -> None:
    expected = plain_gradients(model, signed_map, IMAGES, activation)
    gradients = torch.stack(list(input_gradients(model, IMAGES, "top", activation=activation)), 1)
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-7)
    some = list(input_gradients(model, IMAGES, "top", [6, 2], activation=activation))
    torch.testing.assert_close(torch.stack(some, 1), expected[:, [6, 2]], rtol=1e-4, atol=1e-7)
    assert_untouched(model)


def test_gradients_are_finite_differences(model, signed_map) -> None:
    model.double()
    images = IMAGES[:1].double()
    (gradient,) = input_gradients(model, images, "top", 4)
    step = 1e-6
    for place in [(0, 0, 0), (2, 5, 7), (1, 11, 9), (0, 6, 3)]:
        moved = [images.clone(), images.clone()]
        moved[0][(0, *place)] += step
        moved[1][(0, *place)] -= step
        up, down = (torch.relu(signed_map(model, m))[0, 4].mean().item() for m in moved)
        slope = (up - down) / (2 * step)
        assert float(gradient[(0, *place)]) == pytest.approx(slope, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_the_map_is_built_as_specified(model, signed_map, assert_untouched, preset) -> None:
    gradients = plain_gradients(model, signed_map, IMAGES).double()
    maps = grad_map(model, IMAGES, "top", preset=preset)
    assert maps.shape == (3, 8, 12, 10)
    assert not maps.requires_grad
    sigma, size = {"paper": (5.0, 41), "official": (30.0, 61)}[preset]
    for n in range(3):
        for k in range(8):
            norm = gradients[n, k].square().sum(0).sqrt()
            rms = norm.square().mean().sqrt()
            expected = gaussian_blur(norm / rms if rms > 0 else norm, sigma, size)
            torch.testing.assert_close(maps[n, k].double(), expected, rtol=1e-4, atol=1e-5)
    assert_untouched(model)


def test_the_presets_are_the_papers_and_its_codes() -> None:
    assert (GRAD_MAP_PRESETS["paper"].sigma, GRAD_MAP_PRESETS["paper"].kernel_size) == (5.0, None)
    official = GRAD_MAP_PRESETS["official"]
    assert (official.sigma, official.kernel_size) == (30.0, 61)
    assert set(GRAD_MAP_PRESETS) == {"paper", "official"}


def test_a_filter_that_never_fires_has_a_zero_map(model) -> None:
    for preset in GRAD_MAP_PRESETS:
        before = grad_map(model, IMAGES, "top", preset=preset)
        assert before[:, 3].any()
        bias = model.top.bias[3].item()
        with torch.no_grad():
            model.top.bias[3] = -1e6
        maps = grad_map(model, IMAGES, "top", preset=preset)
        assert not maps[:, 3].any()
        others = [0, 1, 2, 4, 5, 6, 7]
        assert torch.equal(maps[:, others], before[:, others])
        with torch.no_grad():
            model.top.bias[3] = bias


@pytest.mark.parametrize("factor", [1e-30, 1e-15, 1e15])
def test_the_size_of_a_gradient_does_not_matter(model, factor: float) -> None:
    expected = grad_map(model, IMAGES, "top")
    with torch.no_grad():
        model.top.weight *= factor
        model.top.bias *= factor
    torch.testing.assert_close(grad_map(model, IMAGES, "top"), expected, rtol=1e-3, atol=1e-4)


def test_gradients_are_recorded_wherever_the_caller_is(model, assert_untouched) -> None:
    expected = grad_map(model, IMAGES, "top", [0, 1])
    with torch.no_grad():
        assert torch.equal(grad_map(model, IMAGES, "top", [0, 1]), expected)
    with torch.inference_mode():
        torch.testing.assert_close(grad_map(model, IMAGES.clone(), "top", [0, 1]), expected)
    tracked = IMAGES.clone().requires_grad_()
    assert torch.equal(grad_map(model, tracked, "top", [0, 1]), expected)
    assert tracked.grad is None
    assert_untouched(model)


def test_the_network_is_back_before_the_first_gradient_and_frozen_ones_work(
    model, assert_untouched
) -> None:
    gradients = input_gradients(model, IMAGES, "top")
    assert_untouched(model)
    first = next(gradients)
    assert_untouched(model)
    model.requires_grad_(False)
    assert torch.equal(next(input_gradients(model, IMAGES, "top")), first)


def test_the_forward_pass_is_run_once(model) -> None:
    calls = []
    handle = model.stem.register_forward_hook(lambda *_: calls.append(1))
    grad_map(model, IMAGES, "top")
    handle.remove()
    assert len(calls) == 1


def test_a_gated_network_is_read_on_its_standard_path(model) -> None:
    expected = grad_map(model, IMAGES, "top", [2])
    gated = GatedClassifier(model, "top", num_classes=5, num_filters=8)
    with torch.no_grad():
        gated.gate.matrix.fill_(0.25)
    assert torch.equal(grad_map(gated, IMAGES, "model.top", [2]), expected)


def test_bad_input_is_named(model, assert_untouched) -> None:
    with pytest.raises(ValueError, match="unknown preset 'papers'; near: paper"):
        grad_map(model, IMAGES, "top", preset="papers")
    with pytest.raises(ValueError, match=r"'fc' must give a map"):
        grad_map(model, IMAGES, "fc")
    with pytest.raises(ValueError, match="unknown layer"):
        input_gradients(model, IMAGES, "nowhere")
    with pytest.raises(ValueError, match="`images`"):
        input_gradients(model, IMAGES.long(), "top")
    with pytest.raises(ValueError, match=r"`filters` must lie in \[0, 7\]"):
        input_gradients(model, IMAGES, "top", [8])
    with pytest.raises(ValueError, match="non-finite"):
        grad_map(model, torch.full_like(IMAGES, float("nan")), "top", activation=torch.square)
    assert_untouched(model)


def test_a_map_that_does_not_depend_on_the_images_is_refused() -> None:
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach() * 2

    with pytest.raises(ValueError, match="does not depend on the images"):
        input_gradients(nn.Sequential(Cut()), IMAGES, "0")


def test_a_preset_scales_with_the_images_and_none_leaves_the_map_unblurred() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    images = torch.rand(2, 3, 16, 16)
    plain = grad_map(model, images, "1", preset=None)
    assert torch.allclose(plain.square().mean((2, 3)), torch.ones(2, 4), atol=1e-4)
    half = GRAD_MAP_PRESETS["official"].scaled(16 / 128)
    assert (half.sigma, half.kernel_size) == (3.75, 9)
    expected = gaussian_blur(plain, 3.75, 9)
    torch.testing.assert_close(grad_map(model, images, "1", preset=half), expected)


def test_a_preset_of_another_kind_is_named() -> None:
    with pytest.raises(TypeError, match="`preset` must be a name, a GradMapPreset or None, got 5"):
        grad_map(nn.Sequential(nn.Conv2d(3, 4, 3)), torch.rand(1, 3, 8, 8), "0", preset=5.0)


def test_a_map_that_parameters_alone_make_has_no_gradient() -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place, self.conv = nn.Conv2d(1, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x) + self.place(torch.ones(1, 1, 1, 1))

    with pytest.raises(ValueError, match="does not depend on the images"):
        grad_map(Table(), torch.rand(1, 3, 8, 8), "place")


def test_instance_norms_in_a_network_channels_last() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.SiLU(), nn.Conv2d(4, 4, 3))
    expected = grad_map(model, IMAGES[:1], "3")
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(grad_map(model, IMAGES[:1], "3"), expected, rtol=1e-4, atol=1e-5)
