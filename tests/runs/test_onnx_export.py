"""ONNX files against the networks that they were made of."""

import sys
import warnings
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import filterscope as fs
from filterscope.models import CifarResNet, create_image_network, create_part_network

pytestmark = pytest.mark.slow


def randomized(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise if "matrix" in name or "var" in name else tensor + noise / 9)
    return net


class Small(nn.Module):
    """A part-template convolution, an in-place ReLU after it, two fully connected layers."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.parts = fs.PartTemplateConv2d(3, 8, 3, padding=1, **options)
        self.conv = nn.Conv2d(8, 6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.relu(self.conv(self.parts(x))).mean((2, 3)))


def answer(file: Path, **inputs: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == list(inputs)
    arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
    return torch.from_numpy(session.run(["logits"], arrays)[0])


def close(found: Tensor, expected: Tensor) -> None:
    """Equal up to rounding: a hundred thousandth of the largest logit."""
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def images_like(side: int, count: int = 5) -> Tensor:
    """Images, the first one black and the last one grey: their maps are flat in the middle."""
    images = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(2))
    images[0] = 0
    images[-1] = 0.5
    return images


def residual(num_classes: int) -> nn.Module:
    """A residual network of the registry's kind, with norms and one block a stage."""
    return randomized(CifarResNet(8, num_classes))


def test_both_paths_of_gated_networks(tmp_path: Path) -> None:
    net = randomized(fs.GatedClassifier(residual(10), "layer3", 10, 64)).train()
    images, labels = images_like(16), torch.tensor([9, 0, 3, 3, 1])
    standard = fs.export_onnx(net, tmp_path / "standard.onnx", images_like(16, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        gated = fs.export_onnx(net, tmp_path / "gated.onnx", images, gated=True)
    assert all(module.training for module in net.modules())
    net.eval()
    for count in (1, 5):  # other numbers of images than those of the example
        few = images[:count], labels[:count]
        with torch.no_grad():
            close(answer(standard, images=few[0]), net(few[0]))
            close(answer(gated, images=few[0], labels=few[1]), net(*few))
            assert not torch.allclose(net(*few), net(few[0]), rtol=0.01)
    for label in (-1, 10):
        with pytest.raises(
            onnxruntime.capi.onnxruntime_pybind11_state.InvalidArgument, match="idx"
        ):
            answer(gated, images=images_like(16, 1), labels=torch.tensor([label]))


@pytest.mark.parametrize(
    ("categories", "options"),
    [
        (["bird"], {}),
        (["a", "b", "c"], {"shape": "l2", "learn_beta": True, "mu": "centroid"}),
        (["bird"], {"shape": "uniform_l1", "space": "index", "gamma": 1.5}),
    ],
)
def test_networks_with_part_templates(
    categories: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    layers, example = ["layer2", "layer3"], images_like(16, 2)
    net = fs.add_part_templates(residual(4), layers, categories, example_input=example, **options)
    file = fs.export_onnx(net.eval(), tmp_path / "net.onnx", example)
    with torch.no_grad():
        close(answer(file, images=images_like(16)), net(images_like(16)))


@pytest.mark.parametrize("mu", ["argmax", "centroid"])
def test_equal_peaks_are_told_apart_as_pytorch_does(mu: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Small(mu=mu).eval()
    file = fs.export_onnx(net, tmp_path / "net.onnx", images_like(9))
    images = images_like(9)
    images[1, :, 2, 2] = images[1, :, 7, 7] = 9.0  # two peaks of one height
    images[2] = images[2].round()
    with torch.no_grad():
        close(answer(file, images=images), net(images))


def test_gates_around_templates(tmp_path: Path) -> None:
    net = randomized(fs.GatedClassifier(Small(learn_beta=True), "parts", 5, 8)).eval()
    file = fs.export_onnx(net, tmp_path / "net.onnx", images_like(9), gated=True)
    labels = torch.tensor([2, 4, 1, 0, 1])
    with torch.no_grad():
        expected = net(images_like(9), labels)
        close(answer(file, images=images_like(9), labels=labels), expected)
        assert not torch.allclose(expected, net(images_like(9)), rtol=0.01)


@pytest.mark.full
@pytest.mark.parametrize("name", ["alexnet_parts", "vgg_m_parts", "vgg_s_parts", "vgg16_parts"])
def test_the_papers_networks(name: str, tmp_path: Path) -> None:
    net = create_part_network(name, ["a", "b"], image_size=160).eval()
    torch.manual_seed(0)
    for parameter in net.parameters():  # sizes of maps that stay what they are over the layers
        nn.init.kaiming_normal_(parameter) if parameter.dim() > 1 else nn.init.uniform_(parameter)
    file = fs.export_onnx(net, tmp_path / "net.onnx", images_like(160, 2))
    with torch.no_grad():
        close(answer(file, images=images_like(160, 3)), net(images_like(160, 3)))


def test_compiled_and_image_networks(tmp_path: Path) -> None:
    network = create_image_network("espcn", random_weights=True, scale=2)
    images = torch.rand(2, 1, 8, 8)
    compiled = torch.compile(network.model, backend="eager")
    file = fs.export_onnx(compiled, tmp_path / "net.onnx", images)
    with torch.no_grad():
        close(answer(file, images=images), network.model(images))


class Forked(nn.Module):
    """Cannot be exported: what it does hangs on the values."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Noisy(nn.Module):
    """Gives something else each time."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.rand_like(x)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: fs.export_onnx(Forked(), "f", torch.ones(2, 3)), RuntimeError, "cannot export"),
        (lambda: fs.export_onnx(Noisy(), "f", torch.ones(2, 3)), RuntimeError, "differ by"),
        (lambda: fs.export_onnx(Small(), "f", torch.ones(1, 3, 5, 5), gated=True), ValueError,
         "needs a GatedClassifier, got Small"),
        (lambda: fs.export_onnx(Small(), "f", torch.ones(0, 3, 5, 5)), ValueError, "hold images"),
        (lambda: fs.export_onnx(Small(), "f", torch.tensor(1.0)), ValueError, "hold images"),
        (lambda: fs.export_onnx(Small(), "f", [1]), TypeError, "must be a tensor, got list"),
        (lambda: fs.export_onnx("net", "f", torch.ones(1)), TypeError, "a network, got str"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported_leaves_no_file(
    call: Any, error: type[Exception], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert not any(tmp_path.iterdir())


def test_too_large_networks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filterscope.runs.onnx_export._MOST_BYTES", 100)
    with pytest.raises(ValueError, match="bytes of weights; an ONNX file holds 100"):
        fs.export_onnx(Small(), "f", torch.ones(1, 3, 5, 5))


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_without_its_libraries_the_extra_is_named(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{missing}: pip install filterscope\[onnx\]"):
        fs.export_onnx(Small(), "f", torch.ones(1, 3, 5, 5))
