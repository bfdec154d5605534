"""What learns nothing from the gated path: the loop's step against plain autograd."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.heads import head_name
from filterscope.data import batches, load_dataset
from filterscope.models import create_model
from filterscope.training import TrainSettings, loop, train
from filterscope.training.network import build_network
from filterscope.training.optimizers import make_optimizers, ungated_parameters

DIGITS = load_dataset("digits", limit=20, limit_test=10)
LR, LAMBDA1, LAMBDA2 = 0.05, 3.0, 1e-2
# One step: plain gradient descent on one batch.
STEP = TrainSettings(
    method="gated", scheme="joint", warmup=0, epochs=1, limit=24, limit_test=10, batch_size=24,
    lr=LR, momentum=0.0, weight_decay=0.0, schedule="constant", lambda1=LAMBDA1, lambda2=LAMBDA2,
    gated_freeze=("head",), device="cpu",
)  # fmt: skip


def first_batch(settings: TrainSettings) -> tuple[Tensor, Tensor]:
    dataset = load_dataset("digits", limit=settings.limit, limit_test=settings.limit_test)
    batch = next(
        batches(
            dataset.train, settings.batch_size, transform=dataset.transform,
            augmentation=dataset.augmentation, shuffle=True, seed=settings.seed, epoch=0,
            drop_last=True, workers=0,
        )
    )  # fmt: skip
    return batch.images, batch.labels


def gradients(
    settings: TrainSettings, *, gated: float
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Start weights of the run, and the gradients of CE(standard) + gated lambda1 CE(gated)."""
    net = build_network(settings, DIGITS).module
    start = {name: p.detach().clone() for name, p in net.model.named_parameters()}
    images, labels = first_batch(settings)
    features: list[Tensor] = []
    plain = copy.deepcopy(net.unwrap()).train().to(memory_format=torch.channels_last)
    handle = plain.layer3.register_forward_hook(lambda _m, _i, out: features.append(out))
    images = images.contiguous(memory_format=torch.channels_last)
    loss = F.cross_entropy(plain(images), labels)
    handle.remove()
    gate = net.gate.matrix.detach()[labels][:, :, None, None]
    head = plain.get_submodule(head_name(plain))
    gated_logits = head((features[0] * gate).mean((2, 3)))
    total = loss + gated * LAMBDA1 * F.cross_entropy(gated_logits, labels)
    found = torch.autograd.grad(total, list(plain.parameters()))
    return start, dict(zip(start, found, strict=True))


def check_step(
    name: str, start: dict[str, Tensor], ours: dict[str, Tensor], gradient: Tensor
) -> None:
    """Compare a step with a gradient; rounding may turn a ReLU at zero, a few parts in 1,000."""
    taken = (start[name] - ours[name]) / LR
    exact = name.startswith("linear.")
    error = float((taken - gradient).norm() / gradient.norm())
    assert error < (1e-4 if exact else 0.02), f"{name}: {error}"


@pytest.fixture(scope="module", params=[None, (6, 4)], ids=["learned gate", "fixed gate"])
def settings(request: pytest.FixtureRequest) -> TrainSettings:
    return dataclasses.replace(STEP, fixed_gate=request.param)


def test_the_head_follows_the_standard_path_and_the_trunk_both(
    settings: TrainSettings, tmp_path: Path
) -> None:
    ours = load_file(train(settings, tmp_path / "run") / "model.safetensors")
    start, alone = gradients(settings, gated=0.0)
    _, joint = gradients(settings, gated=1.0)
    for name in start:
        expected = (alone if name.startswith("linear.") else joint)[name]
        check_step(name, start, ours, expected)
    for name in start:  # the two are far from each other
        assert float((alone[name] - joint[name]).norm() / joint[name].norm()) > 0.3, name


def test_without_it_the_head_follows_both_paths(settings: TrainSettings, tmp_path: Path) -> None:
    free = dataclasses.replace(settings, gated_freeze=())
    ours = load_file(train(free, tmp_path / "run") / "model.safetensors")
    start, joint = gradients(free, gated=1.0)
    for name in start:
        check_step(name, start, ours, joint[name])


def test_any_part_can_be_left_out(settings: TrainSettings, tmp_path: Path) -> None:
    parts = dataclasses.replace(settings, gated_freeze=("layer1", "linear"))
    ours = load_file(train(parts, tmp_path / "run") / "model.safetensors")
    start, alone = gradients(parts, gated=0.0)
    _, joint = gradients(parts, gated=1.0)
    for name in start:
        left_out = name.startswith(("layer1.", "linear."))
        expected = (alone if left_out else joint)[name]
        check_step(name, start, ours, expected)


def test_the_gate_learns_as_before(tmp_path: Path) -> None:
    """The first gated step moves the gate by Adam's rate, whatever the head learns."""
    gates = [
        load_file(train(chosen, tmp_path / str(i)) / "gate.safetensors")["matrix"]
        for i, chosen in enumerate((STEP, dataclasses.replace(STEP, gated_freeze=())))
    ]
    assert torch.equal(*gates)
    assert not torch.equal(gates[0], torch.ones(10, 64))


def test_standard_warmup_epochs_train_everything(tmp_path: Path) -> None:
    warm = dataclasses.replace(STEP, warmup=1)
    ours = load_file(train(warm, tmp_path / "run") / "model.safetensors")
    start, alone = gradients(warm, gated=0.0)
    for name in start:
        check_step(name, start, ours, alone[name])


def test_frozen_parts_need_no_taking_back(tmp_path: Path) -> None:
    frozen = dataclasses.replace(STEP, freeze=("linear",))
    ours = load_file(train(frozen, tmp_path / "run") / "model.safetensors")
    start = dict(build_network(frozen, DIGITS).classifier.named_parameters())
    assert torch.equal(ours["linear.weight"], start["linear.weight"])
    assert not torch.equal(ours["conv1.weight"], start["conv1.weight"])


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet20", "linear"),
        ("resnet50_cifar", "fc"),
        ("alexnet_cifar", "classifier.6"),
        ("alexnet", "classifier.6"),
        ("resnet18", "fc"),
        ("densenet121", "classifier"),
        ("googlenet", "fc"),
        ("mobilenet_v3_small", "classifier.3"),
        ("efficientnet_b0", "classifier.1"),
        ("squeezenet1_1", "classifier.1"),
    ],
)
def test_head_is_the_layer_that_gives_the_logits(name: str, head: str) -> None:
    model = create_model(name, 10)
    settings = dataclasses.replace(STEP, model=name)
    found = ungated_parameters(model, settings)
    expected = list(model.get_submodule(head).parameters())
    assert len(found) == len(expected) == 2
    assert all(ours is theirs for ours, theirs in zip(found, expected, strict=True))
    assert found[0].shape[0] == 10


def test_a_module_of_that_name_comes_first() -> None:
    model = nn.Sequential()
    model.add_module("head", nn.Conv2d(3, 4, 1))
    model.add_module("last", nn.Linear(4, 2))
    found = ungated_parameters(model, STEP)
    assert [tuple(p.shape) for p in found] == [(4, 3, 1, 1), (4,)]


def test_a_prefix_is_a_whole_name() -> None:
    """ "layer1" is not "layer10"."""
    model = nn.Sequential()
    for name in ("layer1", "layer10"):
        model.add_module(name, nn.Linear(3, 3))
    found = ungated_parameters(model, dataclasses.replace(STEP, gated_freeze=("layer1",)))
    assert [id(p) for p in found] == [id(p) for p in model.layer1.parameters()]


@pytest.mark.parametrize("scheme", ["alternate", "joint"])
def test_unknown_parts_are_answered_with_near_ones(tmp_path: Path, scheme: str) -> None:
    settings = dataclasses.replace(STEP, gated_freeze=("layer33",), scheme=scheme)
    with pytest.raises(ValueError, match=r"part in `gated_freeze` 'layer33'; near: .*layer3"):
        train(settings, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_network_without_layers_has_no_head() -> None:
    with pytest.raises(ValueError, match="part in `gated_freeze` 'head'"):
        ungated_parameters(nn.Sequential(nn.ReLU()), STEP)


def test_the_alternate_scheme_leaves_the_parts_alone_in_gated_steps(tmp_path: Path) -> None:
    settings = dataclasses.replace(STEP, scheme="alternate", period=1, gated_epochs=1)
    ours = load_file(train(settings, tmp_path / "run") / "model.safetensors")
    start = dict(build_network(settings, DIGITS).classifier.named_parameters())
    for name in ("linear.weight", "linear.bias"):
        assert torch.equal(ours[name], start[name])
    assert not torch.equal(ours["conv1.weight"], start["conv1.weight"])


def test_the_alternate_scheme_takes_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network(dataclasses.replace(STEP, scheme="alternate"), DIGITS)
    settings = dataclasses.replace(STEP, scheme="alternate")
    optimizers = make_optimizers(network, settings, 0.1)
    trained = {id(p) for group in optimizers.gated_weights.param_groups for p in group["params"]}
    left_out = {id(p) for p in network.classifier.linear.parameters()}
    everything = {id(p) for p in network.classifier.parameters()}
    assert trained == everything - left_out
    joint = make_optimizers(build_network(STEP, DIGITS), STEP, 0.1)
    assert joint.gated_weights is None


@pytest.mark.slow
def test_two_processes_take_back_what_one_does(
    tmp_path: Path, train_together: Callable[..., list[dict[str, Tensor]]]
) -> None:
    """Classes are spread unevenly over the processes, and so is what is taken back."""
    one = dataclasses.replace(
        STEP, limit=96, limit_test=41, batch_size=32, epochs=3, warmup=1, momentum=0.9
    )
    (single,) = train_together(one, tmp_path / "one", own_network=True)
    first, second = train_together(
        dataclasses.replace(one, devices=2), tmp_path / "two", own_network=True
    )
    for name in single:
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], single[name], atol=1e-6, rtol=0)


def test_a_cut_run_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(STEP, epochs=3, warmup=1, momentum=0.9, gradient_norms=True)
    whole = train(settings, tmp_path / "whole")
    write = loop.write_checkpoint

    def stop(*arguments: object) -> None:
        write(*arguments)
        if len(arguments[-1]) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut")
    cut = train(settings, tmp_path / "cut", resume=True)
    for file in ("model.safetensors", "gate.safetensors"):
        ours, theirs = load_file(whole / file), load_file(cut / file)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
