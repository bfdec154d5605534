import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.Image import Resampling
from torch import nn

from filterscope.core.pretrained import write_tensors
from filterscope.metrics.functional import peak_signal_noise_ratio
from filterscope.models import (
    CycleGanGenerator,
    Edsr,
    ImageNetwork,
    PixelShuffleNet,
    create_image_network,
    luminance,
)

LEARNT = ["espcn", "edsr_baseline", "cyclegan", "fast_style"]  # "edsr" is large: once below
SUPER_RESOLUTION = ["espcn", "edsr_baseline"]


def save(tensors: dict[str, torch.Tensor], file: Path) -> Path:
    if file.suffix == ".safetensors":
        write_tensors(file, tensors)
    else:
        torch.save(tensors, file)
    return file


def same(one: nn.Module, other: nn.Module) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("espcn", ".pt"), ("espcn", ".safetensors"), ("edsr_baseline", ".safetensors"),
     ("cyclegan", ".pt"), ("fast_style", ".safetensors")],
)  # fmt: skip
def test_weights_of_files_are_loaded_unchanged(name: str, suffix: str, tmp_path: Path) -> None:
    source = create_image_network(name, random_weights=True, seed=5)
    file = save(source.model.state_dict(), tmp_path / f"weights{suffix}")
    network = create_image_network(name, weights=file)
    assert same(network.model, source.model)
    assert network.source == f"weights{suffix}" and network.scale == source.scale


def test_weights_of_a_parallel_network_and_of_a_training_state(tmp_path: Path) -> None:
    source = create_image_network("espcn", random_weights=True).model
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    file = save({"state_dict": state, "epoch": 3}, tmp_path / "w.pth")
    assert same(create_image_network("espcn", weights=str(file)).model, source)


@pytest.mark.parametrize("name", SUPER_RESOLUTION)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_weights_know_their_scale(name: str, scale: int, tmp_path: Path) -> None:
    source = create_image_network(name, random_weights=True, scale=scale)
    file = save(source.model.state_dict(), tmp_path / "w.pt")
    assert create_image_network(name, weights=file).scale == scale
    assert create_image_network(name, weights=file, scale=scale).scale == scale
    with pytest.raises(ValueError, match=f"`scale` is 8, but the weights in .* for {scale}$"):
        create_image_network(name, weights=file, scale=8)


def test_the_full_network_and_its_baseline_are_told_apart(tmp_path: Path) -> None:
    full = create_image_network("edsr", random_weights=True)
    baseline = create_image_network("edsr_baseline", random_weights=True)
    assert len(full.model.state_dict()) == 142 and len(baseline.model.state_dict()) == 78
    files = {
        "edsr": save(full.model.state_dict(), tmp_path / "full.pt"),
        "edsr_baseline": save(baseline.model.state_dict(), tmp_path / "baseline.pt"),
    }
    assert same(create_image_network("edsr", weights=files["edsr"]).model, full.model)
    with pytest.raises(ValueError, match=r"another network: expected tail.0.0.weight of 1024"):
        create_image_network("edsr", weights=files["edsr_baseline"])
    with pytest.raises(ValueError, match=r"another network: expected tail.0.0.weight of 256"):
        create_image_network("edsr_baseline", weights=files["edsr"])


@pytest.mark.parametrize("other", ["espcn", "edsr_baseline", "fast_style"])
def test_weights_of_another_network_are_refused(other: str, tmp_path: Path) -> None:
    source = create_image_network(other, random_weights=True).model
    file = save(source.state_dict(), tmp_path / "w.pt")
    for name in [*LEARNT, "edsr"]:
        if name != other:
            with pytest.raises(ValueError, match=re.escape(str(file))) as caught:
                create_image_network(name, weights=file)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "old"), [("espcn", False), ("espcn", True), ("fast_style", False)]
)
def test_pickled_modules_are_refused_with_the_way_out(name, old, tmp_path: Path) -> None:
    model = create_image_network(name, random_weights=True).model
    file = tmp_path / "model_epoch_30.pth"
    torch.save(model, file, _use_new_zipfile_serialization=not old)
    with pytest.raises(ValueError, match=r"pickled module") as caught:
        create_image_network(name, weights=file)
    message = str(caught.value)
    assert str(file) in message and "\n" not in message
    assert "torch.save(model.state_dict(), 'weights.pt')" in message
    way_out = torch.load(file, weights_only=False)
    torch.save(way_out.state_dict(), tmp_path / "weights.pt")
    assert same(create_image_network(name, weights=tmp_path / "weights.pt").model, model)


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.pt do not exist"):
        create_image_network("espcn", weights=tmp_path / "absent.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"damaged\.pt is not readable as weights"):
        create_image_network("espcn", weights=tmp_path / "damaged.pt")


def test_parameters_are_counted_as_published(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (nn.Conv2d, nn.ConvTranspose2d):  # their weights would take long to draw
        monkeypatch.setattr(kind, "reset_parameters", lambda layer: None)
    networks = [PixelShuffleNet(4), Edsr(4), Edsr.full(4), CycleGanGenerator()]
    counts = [sum(one.numel() for one in network.parameters()) for network in networks]
    assert counts[:2] == [61_680, 1_517_595]
    assert [round(count / 1e6, 2) for count in counts[2:]] == [43.09, 11.38]


def set5(kind: str, scale: int = 3) -> list[Image.Image]:
    folder = Path(os.environ["FILTERSCOPE_DATA"]) / "super_resolution" / "Set5" / f"x{scale}"
    pictures = [Image.open(file).convert("RGB") for file in sorted(folder.glob(f"*_{kind}.png"))]
    assert len(pictures) == 5
    return pictures


def as_pixels(picture: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def bilinear_small(scale: int) -> list[Image.Image]:
    pictures = set5("HR", scale)
    assert not any(side % scale for picture in pictures for side in picture.size)
    return [
        picture.resize((picture.width // scale, picture.height // scale), Resampling.BILINEAR)
        for picture in pictures
    ]


def mean_psnr(network: ImageNetwork, small: list[Image.Image]) -> float:
    """On luminance of the finished 8-bit picture, a border of the scale left out."""
    found = []
    for picture, less in zip(set5("HR", network.scale), map(as_pixels, small), strict=True):
        more = network.finish(network.model(network.prepare(less)), less)
        pair = [luminance(pixels.float()) for pixels in (more, as_pixels(picture))]
        found.append(peak_signal_noise_ratio(*pair, border=network.scale))
    return sum(found) / len(found)


def tutorial_network() -> ImageNetwork:
    weights = Path(os.environ["FILTERSCOPE_DATA"]) / "weights" / "espcn_x3_superres.pt"
    return create_image_network("espcn", weights=weights)


def bicubic(kernel: str) -> ImageNetwork:
    return create_image_network("bicubic", scale=3, kernel=kernel)


@pytest.mark.data
def test_super_resolution_of_set5_is_as_good_as_measured_elsewhere() -> None:
    small = bilinear_small(3)
    assert mean_psnr(tutorial_network(), small) == pytest.approx(29.73, abs=0.05)
    for kernel, expected in (("pil", 28.34), ("matlab", 28.34), ("torch", 28.64)):
        assert mean_psnr(bicubic(kernel), small) == pytest.approx(expected, abs=0.05)


@pytest.mark.data
def test_on_another_reduction_the_lead_over_a_steep_kernel_is_gone() -> None:
    small = set5("LR")
    learnt = mean_psnr(tutorial_network(), small)
    assert learnt == pytest.approx(29.35, abs=0.05)
    assert learnt - mean_psnr(bicubic("torch"), small) < 0.1


@pytest.mark.data
@pytest.mark.parametrize("style", ["la_muse", "wave"])
def test_styles_repaint_a_photograph(style: str) -> None:
    weights = Path(os.environ["FILTERSCOPE_DATA"]) / "weights" / f"fast_style_{style}.pt"
    network = create_image_network("fast_style", weights=weights)
    assert len(network.model.state_dict()) == len(torch.load(weights, weights_only=True)) == 48
    pixels = as_pixels(set5("HR")[1])
    painted = network.finish(network.model(network.prepare(pixels)), pixels)
    pair = [luminance(one.float()).flatten() for one in (painted, pixels)]
    assert float(torch.corrcoef(torch.stack(pair))[0, 1]) > 0.4  # the same scene
    assert peak_signal_noise_ratio(painted, pixels) < 20  # in other colours
