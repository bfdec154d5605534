"""Weights in the layout of MatConvNet, made here in small."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.models import load_weights
from filterscope.models.classic import PixelRange

MEAN = (120.0, 115.0, 101.0)


class Small(nn.Module):
    """Two convolutions and a linear layer, as the classic networks are built."""

    def __init__(self, classes: int = 3, stride: int = 2, ranged: bool = True) -> None:
        super().__init__()
        self.features = nn.Sequential()
        if ranged:
            self.features.add_module("input", PixelRange())
        self.features.add_module("conv1", nn.Conv2d(3, 4, 3, stride))
        self.features.add_module("relu1", nn.ReLU())
        self.features.add_module("conv2", nn.Conv2d(4, 6, 3, padding=1, groups=2))
        self.features.add_module("relu2", nn.ReLU())
        self.classifier = nn.Linear(6 * 5 * 5, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.features(x).flatten(1))
        return logits


def layer(kind: str, name: str, **entries: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, **entries}


def kernels(classes: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    numbers = np.random.default_rng(0)
    shapes = [(3, 3, 3, 4), (3, 3, 2, 6), (5, 5, 6, classes)]
    return [
        (numbers.normal(size=s).astype(np.float32), numbers.normal(size=(s[-1], 1))) for s in shapes
    ]


def network(
    classes: int = 3, stride: int = 2, old: bool = False, picture: Any = None
) -> dict[str, Any]:
    """A file's content, with convolutions, ReLUs and what stands around them."""
    layers = np.empty((1, 6), dtype=object)
    places = {"stride": [[stride, stride]], "pad": [[0, 0, 0, 0]]}
    settings = [places, {"stride": 1.0, "pad": [[1, 1, 1, 1]]}, {"stride": [[1, 1]], "pad": 0.0}]
    for i, ((kernel, bias), where) in enumerate(zip(kernels(classes), settings, strict=True)):
        cell = np.empty((1, 2), dtype=object)
        cell[0, 0], cell[0, 1] = kernel, bias
        weights = {"filters": kernel, "biases": bias} if old else {"weights": cell}
        layers[0, 2 * i] = layer("conv", f"conv{i + 1}", **weights, **where)
        layers[0, 2 * i + 1] = layer("relu" if i < 2 else "softmax", f"relu{i + 1}")
    average = np.broadcast_to(MEAN, (11, 11, 3)) if picture is None else picture
    normalization = {"averageImage": average, "imageSize": [[11, 11, 3]]}
    if old:
        return {"layers": layers, "normalization": normalization}
    return {"layers": layers, "meta": {"normalization": normalization}}


def write(content: dict[str, Any], folder: Path) -> Path:
    scipy.io.savemat(folder / "net.mat", content)
    return folder / "net.mat"


def expected_logits(pixels: torch.Tensor, stride: int = 2) -> torch.Tensor:
    """What the file's network gives for pixels from 0 to 255, written from its layout."""
    (k1, b1), (k2, b2), (k3, b3) = (
        (torch.from_numpy(k.transpose(3, 2, 0, 1).copy()).double(), torch.from_numpy(b).ravel())
        for k, b in kernels()
    )
    x = pixels.double() - torch.tensor(MEAN, dtype=torch.float64).reshape(1, 3, 1, 1)
    x = F.relu(F.conv2d(x, k1, b1, stride))
    x = F.relu(F.conv2d(x, k2, b2, padding=1, groups=2))
    return F.conv2d(x, k3, b3).flatten(1)


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
    return (pixels / 255 - mean) / std


@pytest.mark.parametrize("ranged", [True, False])
@pytest.mark.parametrize("form", ["new", "old", "below net", "three means"])
def test_the_network_answers_as_the_file_says(tmp_path: Path, ranged: bool, form: str) -> None:
    content = network(old=form == "old", picture=[MEAN] if form == "three means" else None)
    file = write({"net": content} if form == "below net" else content, tmp_path)
    model = Small(ranged=ranged).eval()
    assert load_weights(model, file) == ()
    torch.manual_seed(1)
    pixels = torch.rand(2, 3, 11, 11) * 255
    with torch.no_grad():
        logits = model(normalised(pixels)).double()
    expected = expected_logits(pixels)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-3 * float(expected.std()))


def test_a_head_of_other_classes_is_left_out(tmp_path: Path) -> None:
    model = Small(classes=5)
    before = model.classifier.weight.clone()
    assert load_weights(model, write(network(), tmp_path)) == (
        "classifier.weight",
        "classifier.bias",
    )
    assert torch.equal(model.classifier.weight, before)


def test_a_single_class_whose_last_axis_matlab_drops_is_read(tmp_path: Path) -> None:
    content = network(classes=1)
    kernel = content["layers"][0, 4]["weights"][0, 0]
    content["layers"][0, 4]["weights"][0, 0] = kernel[:, :, :, 0]
    model = Small(classes=1)
    assert load_weights(model, write(content, tmp_path)) == ()
    assert torch.equal(
        model.classifier.weight[0], torch.from_numpy(kernel[..., 0].transpose(2, 0, 1).ravel())
    )


def test_a_network_with_new_layers_takes_what_lies_below(tmp_path: Path) -> None:
    model = Small(classes=7)
    model.filterscope_new_layers = ("classifier",)
    left = load_weights(model, write(network(), tmp_path))
    assert left == ("classifier.weight", "classifier.bias")
    kernel = torch.from_numpy(kernels()[1][0].transpose(3, 2, 0, 1).copy())
    assert torch.equal(model.features.get_submodule("conv2").weight, kernel)


def test_another_stride_padding_or_number_of_layers_is_refused(tmp_path: Path) -> None:
    file = write(network(stride=1), tmp_path)
    with pytest.raises(ValueError, match=r"`features.conv1` has stride \[1, 1\], .* \[2, 2\]"):
        load_weights(Small(), file)
    content = network()
    content["layers"][0, 2]["pad"] = [[0, 1, 0, 1]]
    with pytest.raises(ValueError, match=r"pad \[0, 1, 0, 1\], the network's has \[1, 1, 1, 1\]"):
        load_weights(Small(), write(content, tmp_path))
    with pytest.raises(ValueError, match="3 convolutions, the network 1 layers"):
        load_weights(nn.Sequential(nn.Conv2d(3, 4, 3)), write(network(), tmp_path))
    wider = Small()
    wider.features.conv2 = nn.Conv2d(4, 8, 3, padding=1)
    with pytest.raises(ValueError, match=r"of another shape features.conv2"):
        load_weights(wider, write(network(), tmp_path))


def broken(change: str) -> dict[str, Any]:
    content = network()
    first = content["layers"][0, 0]
    if change == "no layers":
        del content["layers"]
    elif change == "no type":
        del first["type"]
    elif change == "no weights":
        del first["weights"]
    elif change == "empty weights":
        first["weights"] = np.empty((0, 0), dtype=object)
    elif change == "text":
        first["weights"][0, 0] = "numbers"
    elif change == "no mean":
        content["meta"]["normalization"] = {"imageSize": [[11, 11, 3]]}
    else:
        content["meta"]["normalization"]["averageImage"] = np.zeros((4, 4))
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no layers", "it has no `layers`"),
        ("no type", "a layer has no `type`"),
        ("no weights", "the layer for `features.conv1` has no weights"),
        ("empty weights", "the layer for `features.conv1` has no weights"),
        ("text", "weights that are no numbers"),
        ("no mean", "averageImage"),
        ("flat mean", r"averageImage of shape \(4, 4\)"),
    ],
)
def test_another_structure_is_refused(tmp_path: Path, change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_weights(Small(), write(broken(change), tmp_path))


def test_damaged_missing_and_hdf5_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="do not exist"):
        load_weights(Small(), tmp_path / "none.mat")
    damaged = tmp_path / "damaged.mat"
    damaged.write_bytes(write(network(), tmp_path).read_bytes()[:400])
    with pytest.raises(ValueError, match="not readable as a MATLAB file"):
        load_weights(Small(), damaged)
    # the header of version 7.3, which is HDF5 behind it
    text = b"MATLAB 7.3 MAT-file".ljust(124)
    damaged.write_bytes(text + b"\x00\x02IM" + bytes(400))
    with pytest.raises(ValueError, match=r"version 7.3; save it again"):
        load_weights(Small(), damaged)


def test_torchvision_s_vgg16_has_range_and_mean_in_its_first_convolution(tmp_path: Path) -> None:
    model = Small(ranged=False)
    load_weights(model, write(network(), tmp_path))
    kernel, bias = kernels()[0]
    spread = 255 * np.array([0.229, 0.224, 0.225])
    offset = 255 * np.array([0.485, 0.456, 0.406]) - np.array(MEAN)
    weight = model.features.get_submodule("conv1").weight.detach().numpy()
    np.testing.assert_allclose(
        weight, kernel.transpose(3, 2, 0, 1) * spread[None, :, None, None], rtol=1e-5
    )
    moved = bias.ravel() + np.einsum("hwio,i->o", kernel, offset)
    np.testing.assert_allclose(
        model.features.get_submodule("conv1").bias.detach().numpy(), moved, rtol=1e-4
    )
