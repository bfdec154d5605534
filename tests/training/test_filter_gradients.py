"""Gradients of task and filter losses at the masked maps, against autograd and small steps."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope import load_run
from filterscope.data import ImageDataset, load_dataset
from filterscope.parts import PartTemplateNetwork, add_part_templates, part_losses
from filterscope.parts.peaks import peak_units
from filterscope.training import TrainSettings, gradients, train
from filterscope.training.gradients import filter_gradients
from filterscope.training.losses import Objective
from filterscope.training.part_training import FilterLosses

NAMES = ("filter_gradient_ratio", "filter_gradient_cosine", "masked_share")
TINY = TrainSettings(
    data="digit-parts", image_size=8, method="parts", mu="centroid", filter_loss="official",
    epochs=2, limit=24, limit_test=8, batch_size=6, lr=0.02, warmup=0, device="cpu",
    gradient_norms=True,
)  # fmt: skip
WEIGHTS = torch.tensor([0.3, 2.0])


class Net(nn.Module):
    """Two convolutions with square maps; a batch norm tells train from eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 5, 3), nn.ReLU())
        self.head = nn.Linear(5, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.second(self.first(x)).mean((2, 3))
        return self.head(pooled)


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_dataset("digit-parts", image_size=8, limit=24, limit_test=8)


@pytest.fixture
def doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in double precision, so that small steps are exact enough."""
    found = gradients._samples

    def samples(*arguments: object) -> object:
        return ((images.double(), labels) for images, labels in found(*arguments))

    monkeypatch.setattr(gradients, "_samples", samples)


@pytest.fixture
def network(digits: ImageDataset, doubles: None) -> PartTemplateNetwork:
    torch.manual_seed(0)
    net = add_part_templates(
        Net(), ("first", "second"), digits.categories, "l1", mu="centroid",
        example_input=torch.zeros(1, 3, 8, 8),
    )  # fmt: skip
    return net.double().train()


def objective_of(
    network: PartTemplateNetwork, digits: ImageDataset, factor: float = 1.0
) -> Objective:
    filters = FilterLosses.of(network, TINY, digits)
    return Objective("logistic", factor=factor, filters=filters)


def measure(
    network: PartTemplateNetwork, digits: ImageDataset, weights: Tensor = WEIGHTS,
    factor: float = 1.0, batch_size: int = 6,
) -> dict[str, float]:  # fmt: skip
    return filter_gradients(
        network, objective_of(network, digits, factor), weights, digits.train, digits.transform,
        torch.device("cpu"), batch_size=batch_size,
    )  # fmt: skip


def samples(digits: ImageDataset, batch_size: int) -> list[tuple[Tensor, Tensor]]:
    return list(gradients._samples(digits.train, batch_size, digits.transform, torch.device("cpu")))


def stepwise(network: PartTemplateNetwork, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Maps, masks, logits and task loss of a batch, written out without hooks."""
    net, maps, masked = network.model, [], []
    x = images
    for layer, mask in zip((net.first, net.second), network.masks, strict=True):
        x = layer.forward(x)  # past the hook that masks
        x = x if maps else x.detach().requires_grad_()
        maps.append(x)
        units = peak_units(x.detach(), "centroid")
        x = x * mask.templates_at(units, x.detach()).clamp_min(0)
        masked.append(x)
    logits = net.head(x.mean((2, 3)))[:, 0]
    signs = 2 * labels.double() - 1
    return [*maps, *masked, F.softplus(-signs * logits).mean()]


def test_both_gradients_equal_plain_autograd(
    network: PartTemplateNetwork, digits: ImageDataset
) -> None:
    found = measure(network, digits)
    network.eval()
    sums = torch.zeros(2, 5, dtype=torch.float64)
    for images, labels in samples(digits, 6):
        first, second, *masked, loss = stepwise(network, images, labels)
        of_task = torch.autograd.grad(loss, [first, second], retain_graph=True)
        pulls = torch.zeros((), dtype=torch.float64)
        for mask, maps, weight in zip(network.masks, (first, second), WEIGHTS, strict=True):
            with part_losses(mask, labels == 1, "official") as losses:
                mask(maps)
            pulls = pulls + weight * losses[0]
        of_filters = torch.autograd.grad(pulls, [first, second])
        for i, (a, b) in enumerate(zip(of_task, of_filters, strict=True)):
            shares = [masked[i].sum(), (first, second)[i].sum()]
            sums[i] += torch.stack([(a * a).sum(), (b * b).sum(), (a * b).sum(), *shares]).detach()
    task, filters, product, behind, before = sums.T
    expected = ((filters / task).sqrt(), product / (task * filters).sqrt(), behind / before)
    for name, value in zip(NAMES, expected, strict=True):
        assert found[name] == pytest.approx(float(value.mean()), rel=1e-6), name
    assert 0 < found["masked_share"] < 1
    assert abs(found["filter_gradient_cosine"]) < 1


def test_the_tasks_gradient_is_that_of_small_steps(
    network: PartTemplateNetwork, digits: ImageDataset
) -> None:
    """With one layer the ratio's denominator is what finite differences of the task give."""
    (images, labels), *_ = samples(digits, 6)
    network.eval()
    net, mask = network.model, network.masks[1]
    with torch.no_grad():
        maps = net.second.forward(net.first(images)).contiguous()
        chosen = mask.templates_at(peak_units(maps, "centroid"), maps).clamp_min(0)

        def task(values: Tensor) -> float:
            logits = net.head((values * chosen).mean((2, 3)))[:, 0]
            return float(F.softplus(-(2 * labels.double() - 1) * logits).mean())

        gradient = torch.zeros_like(maps)
        for place in range(maps.numel()):
            step = torch.zeros_like(maps)
            step.view(-1)[place] = 1e-5
            gradient.view(-1)[place] = (task(maps + step) - task(maps - step)) / 2e-5
    seen = gradients._Masked()
    *_, loss = (values := stepwise(network, images, labels))
    (of_task,) = torch.autograd.grad(loss, [values[1]])
    torch.testing.assert_close(of_task, gradient, atol=1e-9, rtol=1e-6)
    seen.add(of_task, 3 * of_task)
    numbers = seen.numbers()
    assert numbers["filter_gradient_ratio"] == pytest.approx(3)
    assert numbers["filter_gradient_cosine"] == pytest.approx(1)


def test_weights_and_factors_scale_the_ratio_alone(
    network: PartTemplateNetwork, digits: ImageDataset
) -> None:
    plain, heavy = measure(network, digits), measure(network, digits, 100 * WEIGHTS)
    damped = measure(network, digits, factor=4.0)
    assert heavy["filter_gradient_ratio"] == pytest.approx(100 * plain["filter_gradient_ratio"])
    assert damped["filter_gradient_ratio"] == pytest.approx(plain["filter_gradient_ratio"] / 4)
    for name in NAMES[1:]:
        assert heavy[name] == pytest.approx(plain[name])
        assert damped[name] == pytest.approx(plain[name])


def test_no_weight_is_no_pull_and_dead_filters_give_nan(
    network: PartTemplateNetwork, digits: ImageDataset
) -> None:
    none = measure(network, digits, torch.zeros(2))
    assert none["filter_gradient_ratio"] == 0
    assert math.isnan(none["filter_gradient_cosine"])
    with torch.no_grad():
        network.model.head.weight.zero_()
    silent = measure(network, digits)
    assert math.isnan(silent["filter_gradient_ratio"])
    with torch.no_grad():
        network.model.second[0].bias.fill_(-100.0)
    dead = measure(network, digits)
    assert math.isnan(dead["masked_share"])


def test_the_network_is_left_as_it_was(network: PartTemplateNetwork, digits: ImageDataset) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    measure(network, digits)
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", ["l1", "uniform_l2"])
def test_a_run_notes_three_numbers_an_epoch(tmp_path: Path, shape: str) -> None:
    settings = dataclasses.replace(TINY, template=shape, image_size=16)
    history = load_run(train(settings, tmp_path / "run")).history
    assert len(history) == 2
    for row in history:
        assert all(math.isfinite(row[name]) for name in NAMES)
        assert row["filter_gradient_ratio"] > 0
        assert -1 <= row["filter_gradient_cosine"] <= 1
        assert 0 < row["masked_share"] <= 1
    # the weight is divided by the number of the epoch
    assert history[1]["filter_gradient_ratio"] != history[0]["filter_gradient_ratio"]


def test_standard_runs_have_no_filter_losses(tmp_path: Path) -> None:
    settings = dataclasses.replace(TINY, method="standard", epochs=1, image_size=16)
    history = load_run(train(settings, tmp_path / "run")).history
    assert not set(NAMES) & set(history[-1])
