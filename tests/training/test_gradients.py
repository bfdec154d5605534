"""Gradient norms of the two paths against plain autograd."""

import csv
import dataclasses
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope import load_run
from filterscope.data import ImageDataset, load_dataset
from filterscope.gates import ClassGate, GatedClassifier
from filterscope.models import create_model
from filterscope.training import TrainSettings, gradients, loop, train
from filterscope.training.gradients import path_gradients

NAMES = ("gradient_standard", "gradient_gated", "gradient_cosine")
TINY = TrainSettings(
    method="gated", scheme="joint", warmup=1, epochs=3, limit=60, limit_test=20, batch_size=20,
    lr=0.02, device="cpu", gradient_norms=True,
)  # fmt: skip


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digits", limit=60, limit_test=20)


@pytest.fixture
def network() -> GatedClassifier:
    torch.manual_seed(0)
    model = create_model("resnet20", 10)
    matrix = torch.rand(10, 64, generator=torch.Generator().manual_seed(1))
    gate = ClassGate(10, 64)
    with torch.no_grad():
        gate.matrix.copy_(matrix / matrix.amax(0))
    return GatedClassifier(model, "layer3", gate=gate).train()


def flat(loss: Tensor, model: nn.Module) -> Tensor:
    found = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return torch.cat([gradient.flatten().double() for gradient in found])


def measure(network: GatedClassifier, digits: ImageDataset) -> dict[str, float]:
    return path_gradients(network, digits.train, digits.transform, torch.device("cpu"))


def test_norms_and_cosine_equal_plain_gradients(
    network: GatedClassifier, digits: ImageDataset
) -> None:
    found = measure(network, digits)
    raw = torch.stack([digits.train.raw(i) for i in range(len(digits.train))])
    images, labels = digits.transform.normalize(raw), digits.train.labels
    model = network.unwrap().eval()
    features: list[Tensor] = []
    model.layer3.register_forward_hook(lambda _m, _i, out: features.append(out))
    standard = flat(F.cross_entropy(model(images), labels), model)
    model(images)
    gated_features = features[1].mean((2, 3)) * network.gate.matrix.detach()[labels]
    gated = flat(F.cross_entropy(model.linear(gated_features), labels), model)
    assert tuple(found) == NAMES
    assert found["gradient_standard"] == pytest.approx(float(standard.norm()), rel=1e-3)
    assert found["gradient_gated"] == pytest.approx(float(gated.norm()), rel=1e-3)
    cosine = float(standard @ gated / standard.norm() / gated.norm())
    assert found["gradient_cosine"] == pytest.approx(cosine, abs=1e-3)
    assert 0 < cosine < 1


def test_an_open_gate_gives_the_same_gradient(
    network: GatedClassifier, digits: ImageDataset
) -> None:
    with torch.no_grad():
        network.gate.matrix.fill_(1.0)
    found = measure(network, digits)
    assert found["gradient_gated"] == pytest.approx(found["gradient_standard"], rel=1e-5)
    assert found["gradient_cosine"] == pytest.approx(1, abs=1e-6)


def test_frozen_weights_are_left_out_and_no_gradient_has_no_cosine(
    network: GatedClassifier, digits: ImageDataset
) -> None:
    whole = measure(network, digits)
    for name, parameter in network.model.named_parameters():
        parameter.requires_grad_(name.startswith("linear."))
    head = measure(network, digits)
    assert 0 < head["gradient_standard"] < whole["gradient_standard"]
    with torch.no_grad():
        network.model.linear.weight.zero_()
    for name, parameter in network.model.named_parameters():
        parameter.requires_grad_(name == "conv1.weight")
    nothing = measure(network, digits)
    assert nothing["gradient_standard"] == nothing["gradient_gated"] == 0
    assert math.isnan(nothing["gradient_cosine"])


def test_the_network_is_left_as_it_was(network: GatedClassifier, digits: ImageDataset) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    measure(network, digits)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_evenly_spaced_images_are_looked_at(
    network: GatedClassifier, digits: ImageDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "IMAGES", 7)
    ours = measure(network, digits)
    monkeypatch.setattr(gradients, "IMAGES", 256)
    spaced = [round(i * (len(digits.train) - 1) / 6) for i in range(7)]
    some = dataclasses.replace(digits, train=digits.train.take(torch.tensor(spaced)))
    assert ours == pytest.approx(measure(network, some))


@pytest.mark.parametrize("scheme", ["joint", "alternate"])
def test_noting_gradients_changes_no_bit_of_the_run(tmp_path: Path, scheme: str) -> None:
    noted = dataclasses.replace(TINY, scheme=scheme, period=2, gated_epochs=1)
    with_norms = train(noted, tmp_path / "with")
    without = train(dataclasses.replace(noted, gradient_norms=False), tmp_path / "without")
    for file in ("model.safetensors", "gate.safetensors"):
        ours, theirs = load_file(with_norms / file), load_file(without / file)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    rows, plain = load_run(with_norms).history, load_run(without).history
    for row, other in zip(rows, plain, strict=True):
        assert set(row) - set(other) == set(NAMES)
        assert {k: row[k] for k in other if k != "seconds"} == {
            k: v for k, v in other.items() if k != "seconds"
        }


def test_the_history_has_three_columns(tmp_path: Path) -> None:
    folder = train(TINY, tmp_path / "run")
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for row in rows:
        values = [float(row[name]) for name in NAMES]
        assert all(math.isfinite(value) for value in values)
        assert values[0] > 0
        assert -1 <= values[2] <= 1 + 1e-6
    # the gate is open until the first gated epoch
    assert float(rows[0]["gradient_standard"]) == pytest.approx(float(rows[0]["gradient_gated"]))
    assert float(rows[2]["gradient_standard"]) != float(rows[2]["gradient_gated"])


def test_the_last_row_is_the_finished_networks(tmp_path: Path, digits: ImageDataset) -> None:
    run = load_run(train(TINY, tmp_path / "run"))
    found = path_gradients(run.model, digits.train, run.transform, torch.device("cpu"))
    for name in NAMES:
        assert run.history[-1][name] == pytest.approx(found[name], rel=1e-3)


def test_standard_runs_have_no_second_path(tmp_path: Path) -> None:
    run = load_run(train(dataclasses.replace(TINY, method="standard"), tmp_path / "run"))
    assert not set(NAMES) & set(run.history[-1])


def test_a_resumed_run_has_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_run(train(TINY, tmp_path / "whole")).history
    write = loop.write_checkpoint

    def stop(*arguments: object) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(TINY, tmp_path / "cut")
    cut = load_run(train(TINY, tmp_path / "cut", resume=True)).history
    for ours, theirs in zip(whole, cut, strict=True):
        assert [ours[name] for name in NAMES] == [theirs[name] for name in NAMES]
