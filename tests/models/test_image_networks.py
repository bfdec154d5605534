import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from filterscope.models import (
    Bicubic,
    CycleGanGenerator,
    Edsr,
    ImageNetwork,
    PixelShuffleNet,
    create_image_network,
    describe_image_network,
    list_image_networks,
    luminance,
    rgb_to_ycbcr,
)

LEARNT = ["espcn", "edsr_baseline", "cyclegan", "fast_style"]
SUPER_RESOLUTION = ["espcn", "edsr_baseline"]


def random_pixels(height: int = 12, width: int = 16, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("name", LEARNT)
def test_random_weights_repeat_by_seed_and_leave_the_global_generator_alone(name: str) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, again = (create_image_network(name, random_weights=True, seed=1) for _ in range(2))
    assert torch.equal(torch.rand(1), expected)
    assert same(one.model, again.model)
    other = create_image_network(name, random_weights=True, seed=2)
    assert not same(one.model, other.model)
    assert one.source == "random weights, seed 1"


@pytest.mark.parametrize("name", LEARNT)
def test_networks_are_ready_to_be_read(name: str) -> None:
    network = create_image_network(name, random_weights=True)
    assert not any(module.training for module in network.model.modules())
    parameters = list(network.model.parameters())
    assert not any(parameter.requires_grad for parameter in parameters)
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.scale = 2


@pytest.mark.parametrize("name", ["bicubic", *LEARNT])
def test_pixels_go_in_and_come_out(name: str) -> None:
    options = {} if name == "bicubic" else {"random_weights": True}
    network = create_image_network(name, **options)
    pixels = random_pixels()
    prepared = network.prepare(pixels)
    assert prepared.shape == (1, network.channels, 12, 16) and prepared.dtype == torch.float32
    output = network.model(prepared)
    assert output.shape == (1, network.channels, 12 * network.scale, 16 * network.scale)
    painted = network.finish(output, pixels)
    assert painted.shape == (3, 12 * network.scale, 16 * network.scale)
    assert painted.dtype == torch.uint8
    assert torch.equal(network.finish(output[0], pixels), painted)


@pytest.mark.parametrize(
    ("name", "black", "white"),
    [("bicubic", 0, 1), ("espcn", 0, 1), ("edsr_baseline", 0, 255), ("cyclegan", -1, 1),
     ("fast_style", 0, 255)],
)  # fmt: skip
def test_black_and_white_are_what_the_authors_fed(name, black, white) -> None:
    options = {} if name == "bicubic" else {"random_weights": True}
    network = create_image_network(name, **options)
    for value, expected in ((0, black), (255, white)):
        pixels = torch.full((3, 8, 8), value, dtype=torch.uint8)
        prepared = network.prepare(pixels)
        torch.testing.assert_close(prepared, torch.full_like(prepared, expected))
        whole = prepared.repeat_interleave(network.scale, 2).repeat_interleave(network.scale, 3)
        assert bool((network.finish(whole, pixels) == value).all())
        beyond = whole + (1 if value else -1) * (white - black)
        assert bool((network.finish(beyond, pixels) == value).all())


def identity_network(channels: int, value_range: tuple[float, float], multiple: int = 1):
    return ImageNetwork("identity", nn.Identity(), 1, channels, "", value_range, multiple)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value_range", [(0.0, 1.0), (0.0, 255.0), (-1.0, 1.0)])
def test_an_identity_gives_the_picture_back(channels, value_range) -> None:
    network, pixels = identity_network(channels, value_range), random_pixels()
    painted = network.finish(network.model(network.prepare(pixels)), pixels)
    # a rounding of 1 / 255 is all that float32 may cost
    assert int((painted.int() - pixels.int()).abs().max()) <= (1 if channels == 1 else 0)


def test_luminance_beyond_the_range_keeps_the_colour_of_its_end() -> None:
    network = create_image_network("espcn", random_weights=True, scale=2)
    pixels = torch.tensor([200, 30, 90], dtype=torch.uint8).reshape(3, 1, 1).repeat(1, 2, 2)
    for beyond, end in ((1.4, 1.0), (-0.6, 0.0)):
        painted = [network.finish(torch.full((1, 1, 4, 4), v), pixels) for v in (beyond, end)]
        assert torch.equal(painted[0], painted[1])
        assert len(painted[0][:, 0, 0].unique()) > 1


def test_sides_are_cut_to_what_the_network_takes() -> None:
    network = create_image_network("fast_style", random_weights=True)
    pixels = random_pixels(11, 18)
    assert network.multiple == 4
    assert torch.equal(network.crop(pixels), pixels[:, :8, :16])
    output = network.model(network.prepare(pixels))
    assert network.finish(output, pixels).shape == (3, 8, 16)
    with pytest.raises(ValueError, match=r"`output` must be \(1, 3, 8, 16\)"):
        network.finish(torch.zeros(1, 3, 11, 18), pixels)


def test_luminance_networks_take_the_colour_of_the_bicubic_picture() -> None:
    network = create_image_network("espcn", random_weights=True, scale=3)
    smooth = Bicubic(4, "pil")(torch.rand(1, 3, 3, 4, generator=torch.Generator().manual_seed(2)))
    pixels = (80 + 90 * smooth[0].clamp(0, 1)).round().to(torch.uint8)  # nothing leaves the range
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    larger = picture.resize((48, 36), Image.Resampling.BICUBIC)
    expected = torch.from_numpy(np.array(larger)).permute(2, 0, 1)
    painted = network.finish(luminance(expected.float())[None] / 255, pixels)
    assert int((painted.int() - expected.int()).abs().max()) <= 1
    flat = network.finish(torch.full((1, 1, 36, 48), 0.5), pixels).float()
    assert float((luminance(flat) - 127.5).abs().max()) < 1
    colour = rgb_to_ycbcr(expected.float())[1:] - rgb_to_ycbcr(flat)[1:]
    assert float(colour.abs().max()) < 2


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("esrgan", {}, "unknown image network 'esrgan'; .*filterscope list image-networks"),
        ("edsr_base", {}, "near: edsr_baseline"),
        ("edsr", {}, "either `weights` .* or `random_weights=True`; neither came"),
        ("edsr", {"weights": "w.pt", "random_weights": True}, "both came"),
        ("bicubic", {"random_weights": True}, "bicubic has no weights"),
        ("bicubic", {"weights": "w.pt"}, "bicubic has no weights"),
        ("bicubic", {"scale": 5}, "`scale` of bicubic must be one of 2, 3, 4, got 5"),
        ("bicubic", {"kernel": "lanczos"}, "`kernel`"),
        ("edsr_baseline", {"random_weights": True, "scale": 8}, "one of 2, 3, 4, got 8"),
        ("cyclegan", {"random_weights": True, "scale": 2}, "one of 1, got 2"),
    ],
)
def test_bad_choices_are_refused(name, options, match) -> None:
    with pytest.raises(ValueError, match=match):
        create_image_network(name, **options)


@pytest.mark.parametrize(
    ("pixels", "error", "match"),
    [
        (torch.zeros(3, 8, 8), TypeError, "uint8, got torch.float32"),
        (np.zeros((3, 8, 8), np.uint8), TypeError, "uint8, got ndarray"),
        (torch.zeros(8, 8, 3, dtype=torch.uint8), ValueError, r"\(3, H, W\), got \(8, 8, 3\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), ValueError, r"\(3, H, W\)"),
        (torch.zeros(3, 7, 9, dtype=torch.uint8), ValueError, "7 x 9; cyclegan takes 8 x 8"),
    ],
)
def test_bad_pixels_are_refused(pixels, error, match) -> None:
    network = create_image_network("cyclegan", random_weights=True)
    with pytest.raises(error, match=match):
        network.prepare(pixels)
    with pytest.raises(error, match=match):
        network.finish(torch.zeros(1, 3, 8, 8), pixels)


@pytest.mark.parametrize("shape", [(1, 3, 24, 32), (2, 1, 24, 32), (1, 1, 12, 16), (24, 32)])
def test_output_of_another_picture_is_refused(shape) -> None:
    network = create_image_network("espcn", random_weights=True, scale=2)
    with pytest.raises(ValueError, match=r"`output` must be \(1, 1, 24, 32\)"):
        network.finish(torch.zeros(shape), random_pixels())


def test_every_name_is_listed_and_described() -> None:
    names = ["bicubic", "espcn", "edsr_baseline", "edsr", "cyclegan", "fast_style"]
    assert list_image_networks() == names
    assert all(describe_image_network(name) for name in names)
    with pytest.raises(ValueError, match="near: espcn"):
        describe_image_network("escpn")


def test_networks_are_the_public_classes() -> None:
    kinds = {"espcn": PixelShuffleNet, "edsr_baseline": Edsr, "cyclegan": CycleGanGenerator}
    for name, kind in kinds.items():
        assert type(create_image_network(name, random_weights=True).model) is kind


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_output_that_is_not_finite_is_no_picture(value: float) -> None:
    network = create_image_network("espcn", random_weights=True, scale=2)
    with pytest.raises(ValueError, match="non-finite"):
        network.finish(torch.full((1, 1, 24, 32), value), random_pixels())
