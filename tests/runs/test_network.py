"""Networks from runs, files and names."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, squeezenet1_1

from filterscope.core.pretrained import write_tensors
from filterscope.models import create_model
from filterscope.runs import load_network, load_run
from filterscope.training import TrainSettings, train


def saved(model: nn.Module, file: Path) -> Path:
    write_tensors(file, model.state_dict())
    return file


def test_the_file_tells_the_number_of_classes(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = create_model("resnet20", 7)
    network = load_network(model="resnet20", weights=saved(model, tmp_path / "w.safetensors"))
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(network.model(images), model.eval()(images))
    assert network.classes == tuple(f"class {k}" for k in range(7))
    assert not network.model.training
    assert not any(p.requires_grad for p in network.model.parameters())
    assert (network.name, network.source) == ("resnet20", f"weights {tmp_path / 'w.safetensors'}")


def test_a_head_that_is_a_convolution_tells_it_too(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    torch.save({"state_dict": squeezenet1_1(num_classes=5).state_dict()}, file)
    assert len(load_network(model="squeezenet1_1", weights=file, image_size=64).classes) == 5


def test_the_transform_is_the_publishers_unless_told() -> None:
    network = load_network(model="squeezenet1_1", random_weights=True)
    assert (network.transform.image_size, network.transform.resize) == (224, 256)
    assert network.classes[:2] == ("tench", "goldfish")
    small = load_network(model="squeezenet1_1", random_weights=True, image_size=112)
    assert (small.transform.image_size, small.transform.resize) == (112, 128)
    told = load_network(
        model="resnet20", random_weights=True, image_size=16, resize=18, mean=(0, 0, 0),
        std=(1, 1, 1),
    )  # fmt: skip
    assert told.transform.to_dict() == {
        "image_size": 16, "resize": 18, "mean": (0, 0, 0), "std": (1, 1, 1), "stretch": False
    }  # fmt: skip


def test_normalize_is_what_the_transform_does() -> None:
    network = load_network(model="resnet20", random_weights=True)
    pixels = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    expected = network.transform.normalize(pixels)
    torch.testing.assert_close(network.transform.standardize(pixels.float() / 255), expected)
    assert network.transform.standardize(pixels.double() / 255).dtype == torch.float64


def test_random_weights_follow_their_seed_and_leave_the_generator_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (
        load_network(model="resnet20", random_weights=True, seed=seed).model.state_dict()
        for seed in (3, 3, 4)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first["conv1.weight"], again["conv1.weight"])
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])


def test_inception_is_read_as_torchvision_reads_it(tmp_path: Path) -> None:
    file = saved(create_model("googlenet", 3), tmp_path / "w.safetensors")
    with pytest.warns(UserWarning, match="transform_input"):
        network = load_network(model="googlenet", weights=file)
    assert network.model.transform_input
    half = (0.5, 0.5, 0.5)
    plain = load_network(model="googlenet", weights=file, mean=half, std=half)
    pixels = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(
        network.model(network.transform.standardize(pixels)),
        plain.model(plain.transform.standardize(pixels)),
        rtol=1e-3, atol=1e-4,
    )  # fmt: skip


def test_a_run_brings_its_classes_and_transform(tmp_path: Path) -> None:
    settings = TrainSettings(
        method="gated", epochs=1, warmup=0, scheme="joint", limit=40, limit_test=20, batch_size=20
    )
    folder = train(settings, tmp_path / "gated")
    network, run = load_network(folder), load_run(folder)
    assert (network.name, network.classes, network.transform) == (
        "gated", run.classes, run.transform
    )  # fmt: skip
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(network.model(images), run.model(images))
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"digit {k}" for k in range(10)))
    assert load_network(folder, classes=names).classes[3] == "digit 3"
    names.write_text("zero\none\n")
    with pytest.raises(ValueError, match=r"`classes` names 2 classes, the run has 10"):
        load_network(folder, classes=names)
    with pytest.raises(ValueError, match="`image_size` does not go with `run`"):
        load_network(folder, image_size=32)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, "either `run`, a run folder, or `model`"),
        ({"run": "a", "model": "resnet20"}, "either `run`"),
        ({"run": "a", "weights": "b"}, "`weights` does not go with `run`"),
        ({"model": "resnet20"}, "got none"),
        ({"model": "resnet21"}, "near: resnet32, resnet20"),
        ({"model": "resnet20", "weights": "a", "random_weights": True}, "weights, random_weights"),
        ({"model": "resnet21", "random_weights": True}, "near: resnet32, resnet20"),
        ({"model": "resnet20", "pretrained": "default"}, "no published weights"),
        ({"model": "resnet81", "pretrained": "default"}, "near: resnet18"),
        ({"model": "resnet18", "pretrained": "v7"}, "IMAGENET1K_V1"),
        ({"model": "alexnet", "random_weights": True, "image_size": 32}, "no images of 32 pixels"),
        ({"model": "resnet20", "random_weights": True, "std": (1, 0, 1)}, "`std` must be above 0"),
        (
            {"model": "resnet20", "random_weights": True, "std": (1, 1, float("inf"))},
            "`std` must be finite",
        ),
    ],
)
def test_bad_arguments_are_told(arguments: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        load_network(**arguments)


def test_bad_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_network(model="resnet20", weights=tmp_path / "nowhere")
    other = saved(resnet18(), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="has no head that fits resnet20"):
        load_network(model="resnet20", weights=other)
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no weights")
    with pytest.raises(ValueError, match="not readable as weights"):
        load_network(model="resnet20", weights=broken)
    with pytest.raises(FileNotFoundError, match="one class a line"):
        load_network(model="resnet20", random_weights=True, classes=tmp_path / "nowhere")
