"""Networks and runs as folders: written, read, damaged."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import filterscope as fs
from filterscope.core.pretrained import read_tensors, write_tensors
from filterscope.data import Transform
from filterscope.models import create_image_network, create_model, create_part_network
from filterscope.parts import PartTemplateNetwork, fit_template
from filterscope.runs import Pretrained
from filterscope.runs.pretrained import save_pretrained
from filterscope.training import TrainSettings, train

LABELS = torch.tensor([0, 3])


def randomized(net: nn.Module, seed: int = 0) -> nn.Module:
    """Weights, norm statistics and gates that a fresh network does not have."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(noise if "matrix" in name or "var" in name else tensor + noise / 9)
            elif name.endswith("batches"):
                tensor.fill_(7)
    return net.eval()


def gated() -> nn.Module:
    return randomized(fs.GatedClassifier(create_model("resnet20", 4), "layer3", 4, 64))


def gated_parts() -> nn.Module:
    parts = create_part_network("resnet20", ["a", "b", "c", "d"], image_size=32, learn_beta=True)
    return randomized(fs.GatedClassifier(parts, "model.layer3", 4, 64, activation=None))


def same(one: nn.Module, other: nn.Module, images: Tensor, *labels: Tensor) -> None:
    assert type(one) is type(other)
    assert not other.training
    torch.testing.assert_close(other.state_dict(), one.state_dict(), rtol=0, atol=0)
    expected = one(images, *labels)
    assert expected.std() > 1e-4
    assert torch.equal(other(images, *labels), expected)


@pytest.mark.parametrize("make", [gated, gated_parts])
def test_gates_come_back_with_what_they_are_around(make: Any, tmp_path: Path) -> None:
    net, images = make(), torch.randn(2, 3, 32, 32)
    fs.save_pretrained(net, tmp_path)
    again = fs.from_pretrained(tmp_path)
    same(net, again, images, LABELS)
    same(net, again, images)
    assert again.activation is net.activation
    assert again.layer_name == net.layer_name
    assert type(again.model) is type(net.model)


LARGE = [
    pytest.param(f"{name}_parts", marks=pytest.mark.full) for name in ("vgg_m", "vgg_s", "vgg16")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet_parts", *LARGE])
def test_the_papers_networks_come_back_by_name(name: str, tmp_path: Path) -> None:
    net = create_part_network(name, ["bird"], "uniform_l1", space="index", image_size=160).eval()
    fs.save_pretrained(net, tmp_path, classes=["no bird", "bird"])
    saved = fs.load_pretrained(tmp_path)
    assert saved.classes == ("no bird", "bird")
    assert saved.model.layer_names == net.layer_names
    same(net, saved.model, torch.randn(2, 3, 160, 160))
    size = sum((tmp_path / f"{part}.safetensors").stat().st_size for part in ("model", "parts"))
    assert size < 4.01 * sum(p.numel() for p in net.parameters()) + 10_000


class Small(nn.Module):
    """An architecture of somebody's own with a part-template convolution."""

    def __init__(self, width: int = 6, **options: Any) -> None:
        super().__init__()
        self.stem = fs.PartTemplateConv2d(3, width, 3, padding=1, **options)
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).mean((2, 3)))


FITTED = fit_template(torch.tensor([[[2.0, 2.0], [2.0, 8.0]], [[1.0, 1.0], [8.0, 4.0]]]), 10)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"shape": "l2", "learn_beta": True, "num_categories": 2, "mu": "centroid"},
    {"shape": FITTED},
    {"shape": lambda rows, columns: 1 - rows.abs() - columns.abs()},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("with_gate", [False, True])
def test_own_networks_with_part_template_convolutions(
    options: dict[str, Any], with_gate: bool, tmp_path: Path
) -> None:
    net = randomized(Small(**options))
    if with_gate:
        net = randomized(fs.GatedClassifier(net, "stem", 4, 6))
    fs.save_pretrained(net, tmp_path)
    arguments = (torch.randn(2, 3, 9, 9), *([LABELS] if with_gate else []))
    same(net, fs.from_pretrained(tmp_path, Small(**options)), *arguments)
    with pytest.raises(ValueError, match="an instance of it as `model`"):
        fs.from_pretrained(tmp_path)
    plain = nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten())
    with pytest.raises(ValueError, match=r"with settings of layer 'stem.templates', unlike"):
        fs.from_pretrained(tmp_path, plain)
    with pytest.raises(ValueError, match=r"layer 'stem.templates'.*not index"):
        fs.from_pretrained(tmp_path, Small(shape="uniform_l1", space="index"))


def test_masks_outside_of_a_network_are_not_lost_silently(tmp_path: Path) -> None:
    model = create_model("resnet20", 4)
    net = fs.GatedClassifier(model, "layer3", 4, 64)
    fs.add_part_templates(model, ["layer3"], ["a"], example_input=torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="'layer3' is masked"):
        fs.save_pretrained(net, tmp_path / "net")
    fs.save_pretrained(gated().model, tmp_path / "plain")  # the gate changes nothing without labels


@pytest.mark.parametrize("name", ["resnet20", "alexnet_cifar", "timm:resnet10t"])
def test_plain_and_compiled_networks(name: str, tmp_path: Path) -> None:
    net = randomized(create_model(name, 4))
    fs.save_pretrained(torch.compile(net, backend="eager"), tmp_path)
    same(net, fs.from_pretrained(tmp_path), torch.randn(2, 3, 32, 32))
    assert create_model(name, 4, weights=tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bicubic", {"scale": 3, "kernel": "matlab"}),
        ("espcn", {"random_weights": True, "scale": 3}),
        ("edsr_baseline", {"random_weights": True, "scale": 2}),
        ("cyclegan", {"random_weights": True}),
        ("fast_style", {"random_weights": True}),
    ],
)
def test_image_networks(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    network = create_image_network(name, **options)
    fs.save_pretrained(network, tmp_path)
    again = fs.from_pretrained(tmp_path)
    pixels = torch.randint(0, 256, (3, 16, 20), dtype=torch.uint8)
    assert torch.equal(network.model(network.prepare(pixels)), again.model(again.prepare(pixels)))
    described = [{k: v for k, v in vars(n).items() if k != "model"} for n in (network, again)]
    assert described[0] == described[1]
    with pytest.raises(ValueError, match="`model` is not for"):
        fs.from_pretrained(tmp_path, nn.Identity())
    with pytest.raises(ValueError, match="not for a ImageNetwork"):
        fs.save_pretrained(network, tmp_path, classes=["a"])


def test_classes_and_transform_come_back(tmp_path: Path) -> None:
    transform = Transform(image_size=32, resize=40, mean=(0.1, 0.2, 0.3))
    fs.save_pretrained(gated(), tmp_path, classes=["é", "b", "c", "d"], transform=transform)
    saved = fs.load_pretrained(tmp_path)
    assert isinstance(saved, Pretrained)
    assert saved.classes == ("é", "b", "c", "d")
    assert saved.transform == transform
    assert saved.path == tmp_path
    fs.save_pretrained(saved.model, tmp_path)
    assert fs.load_pretrained(tmp_path).transform is None
    with pytest.raises(ValueError, match="different names"):
        fs.save_pretrained(saved.model, tmp_path, classes=["a", "a"])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Small runs of three methods, one of them from a folder with an absolute path."""
    made = {}
    for method in ("standard", "gated", "gated-parts"):
        settings = TrainSettings(
            method=method, scheme="joint", warmup=0, epochs=1, limit=40, limit_test=20,
            batch_size=20, data_root="/somewhere/private" if method == "gated" else None,
        )  # fmt: skip
        made[method] = train(settings, tmp_path_factory.mktemp("runs") / method)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("method", ["standard", "gated", "gated-parts"])
def test_runs_are_shared_as_run_and_as_network(
    runs: dict[str, Path], method: str, tmp_path: Path
) -> None:
    run = fs.load_run(runs[method])
    folder = fs.save_pretrained(run, tmp_path / "shared")
    names = {path.name for path in folder.iterdir()}
    assert not names & {"last.ckpt", "arrays.npz", "report.html"}
    assert not any("/somewhere" in p.read_text() for p in folder.iterdir() if p.suffix in TEXTS)
    again = fs.load_run(folder)
    images = torch.randn(3, 3, 8, 8)
    labels = [] if method == "standard" else [torch.tensor([1, 2, 9])]
    same(run.model, again.model, images, *labels)
    assert again.config == {**run.config, "data_root": None}
    for name in ("classes", "layer", "transform", "history", "described", "environment"):
        assert getattr(again, name) == getattr(run, name)
    saved = fs.load_pretrained(folder)
    same(run.model, saved.model, images, *labels)
    assert (saved.classes, saved.transform) == (run.classes, run.transform)
    same(run.model, fs.from_pretrained(runs[method]), images, *labels)  # the run folder itself
    with pytest.raises(FileExistsError, match="holds something"):
        fs.save_pretrained(run, runs[method])
    with pytest.raises(ValueError, match="`model` is not for"):
        fs.load_pretrained(runs[method], nn.Identity())


TEXTS = (".json", ".yaml", ".csv")


# what a folder may hold that is wrong


def change(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"filterscope_schema": 2}, "has schema 2; this filterscope reads up to 1"),
        ({"filterscope_schema": "1"}, "not written by filterscope"),
        ({"filterscope_schema": None}, "not written by filterscope"),
        (
            {"kind": "transformer"},
            "'transformer'; this filterscope knows network, gated",
        ),
        ({"kind": ["network"]}, "this filterscope knows"),
        ({"kind": "part-template-network"}, "`layers` in the config.json of .* must be list"),
        ({"architecture": {"name": "resnet2O", "num_classes": 4}}, "resnet20"),
        ({"architecture": "resnet20"}, "`architecture` .* must be dict"),
        ({"architecture": {"name": "resnet20", "num_classes": 10**12}}, "its weights hold"),
        ({"architecture": {"name": "resnet32", "num_classes": 4}}, "layer1.3.conv1.weight"),
        ({"architecture": {"name": "resnet20", "num_classes": 5}}, "linear.weight"),
        ({"num_filters": 10**12}, "must hold a `matrix`"),
        ({"num_filters": True}, "`num_filters` .* must be int, got 'True'"),
        ({"density_bound": 7.0}, "density"),
        ({"density_bound": "1"}, "`density_bound` .* must be float"),
        ({"layer": "layer9"}, "layer1"),
        ({"rectified": "yes"}, "`rectified` .* must be bool"),
        ({"transform": {"image_size": "a"}}, "not the description of a transform"),
        ({"classes": "abc"}, "`classes` .* must be list"),
        ({"wrapped": 3}, "`wrapped` .* must be dict"),
        ({"wrapped": {"kind": "else"}}, "an instance of it"),
    ],
)
def test_configurations_that_do_not_hold_are_refused(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    fs.save_pretrained(gated(), tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        fs.load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"templates": {"shape": "l3"}}, "no usable templates: `shape` must be one of"),
        ({"templates": {"shape": [2, 1]}}, "rising borders"),
        ({"templates": {"shape": []}}, "rising borders"),
        ({"templates": {"shape": ["a"]}}, "no usable templates"),
        ({"templates": {"space": "index"}}, "no usable templates"),
        ({"templates": {"shape": "l1", "colour": 1}}, "no usable templates"),
        ({"num_filters": [64.0]}, "list of int"),
        ({"layers": []}, "list of str"),
        ({"layers": ["layer4"]}, "layer3"),
        ({"layers": ["layer3", "layer2"]}, "as many"),
        ({"num_filters": [10**12]}, "as many filters"),
        ({"class_statistic": "mean"}, "'peak' or 'sum'"),
    ],
)
def test_templates_that_do_not_hold_are_refused(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    net = create_part_network("resnet20", ["a", "b"], image_size=32)
    fs.save_pretrained(net, tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        fs.load_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "esrgan"}, "image network"),
        ({"scale": 2}, "`scale` is 2, but the weights"),
        ({"name": "fast_style"}, "does not fit FastStyleGenerator"),
        ({"name": None}, "`name` .* must be str"),
        ({"kernel": "lanczos"}, "needs either `weights`"),
    ],
)
def test_image_networks_that_do_not_hold_are_refused(
    values: dict[str, Any], message: str, tmp_path: Path
) -> None:
    fs.save_pretrained(create_image_network("espcn", random_weights=True, scale=3), tmp_path)
    change(tmp_path, **values)
    with pytest.raises(ValueError, match=message):
        fs.load_pretrained(tmp_path)


def test_wrong_tensors_are_named_and_pickles_never_opened(tmp_path: Path) -> None:
    class Run:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "ran"),)

    file = tmp_path / "model.safetensors"
    fs.save_pretrained(gated(), tmp_path)
    tensors = read_tensors(file)
    write_tensors(file, {**tensors, "linear.weight": torch.zeros(4, 63)})
    with pytest.raises(ValueError, match=r"linear\.weight.*\[4, 63\]"):
        fs.from_pretrained(tmp_path)
    write_tensors(file, {k: v for k, v in tensors.items() if k != "layer1.0.bn1.bias"})
    with pytest.raises(ValueError, match=r"layer1\.0\.bn1\.bias"):
        fs.from_pretrained(tmp_path)
    torch.save({"model": Run()}, file)
    with pytest.raises(ValueError, match="not readable as safetensors"):
        fs.from_pretrained(tmp_path)
    file.unlink()
    torch.save({"model": Run()}, tmp_path / "model.ckpt")
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors"):
        fs.from_pretrained(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_saved_says_so(tmp_path: Path) -> None:
    net = fs.GatedClassifier(create_model("resnet20", 4), "layer3", 4, 64, activation=torch.sigmoid)
    with pytest.raises(ValueError, match="`activation` that is a function"):
        fs.save_pretrained(net, tmp_path)
    with pytest.raises(TypeError, match="`network` must be"):
        fs.save_pretrained(torch.zeros(3), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        fs.load_pretrained(tmp_path)
    assert not any(tmp_path.iterdir())


def test_gates_around_templates_are_read_by_the_function(tmp_path: Path) -> None:
    gated_parts().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"filterscope\.from_pretrained"):
        fs.GatedClassifier.from_pretrained(tmp_path, create_model("resnet20", 4))
    with pytest.raises(ValueError, match="gated-classifier"):
        PartTemplateNetwork.from_pretrained(tmp_path, create_model("resnet20", 4))


def test_folders_of_the_first_version_are_read(tmp_path: Path) -> None:
    net = gated()
    save_pretrained(net, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for later in ("described", "classes", "transform"):
        del config[later]
    (tmp_path / "config.json").write_text(json.dumps(config))
    same(net, fs.from_pretrained(tmp_path), torch.randn(2, 3, 32, 32), LABELS)
