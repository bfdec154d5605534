"""Part templates through the loop: every loss, resuming to the bit, together with gates."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from filterscope import GatedClassifier, load_run
from filterscope.data import ImageDataset, load_dataset
from filterscope.models import PartNetwork, create_model
from filterscope.parts import PartTemplateNetwork, part_losses
from filterscope.training import PRESETS, TrainSettings, loop, network, preset, train
from filterscope.training.losses import Objective, step_loss
from filterscope.training.network import build_network
from filterscope.training.part_training import FilterLosses, category_shares

TINY = TrainSettings(
    method="parts", image_size=24, repeat=False, epochs=2, batch_size=8, lr=0.02, warmup=0,
    device="cpu", workers=0,
)  # fmt: skip
SEVERAL = {"learn_beta": True, "mu": "centroid", "filter_loss": "official", "filter_weight": 0.01}

MakeBlobs = Callable[..., str]


@pytest.fixture(scope="module")
def bird(blobs: MakeBlobs) -> str:
    return blobs("bird")


@pytest.fixture(scope="module")
def three(blobs: MakeBlobs) -> str:
    return blobs("bird", "cow", "dog")


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier with a batch norm, made where a ResNet is asked for."""
    made = network.create_model

    def create(name: str, num_classes: int, **options: Any) -> nn.Module:
        if name != "resnet20":
            return made(name, num_classes, **options)
        model = made(name, num_classes)
        model.layer1, model.layer2 = model.layer1[:1], model.layer2[:1]
        model.layer3 = model.layer3[:1]
        return model

    monkeypatch.setattr(network, "create_model", create)
    monkeypatch.setattr("filterscope.runs.load.create_model", create)


def settings(data: str, **changes: Any) -> TrainSettings:
    return dataclasses.replace(TINY, data=data, **changes)


def dataset_of(chosen: TrainSettings) -> ImageDataset:
    return load_dataset(chosen.data, image_size=chosen.image_size, repeat=chosen.repeat)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    files = sorted(folder.glob("*.safetensors"))
    return {f"{f.stem}.{key}": value for f in files for key, value in load_file(f).items()}


def same_bits(one: Path, other: Path) -> bool:
    ours, theirs = tensors(one), tensors(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("kind", ["exact", "paper", "official"])
@pytest.mark.parametrize("schedule", ["inverse", "magnitude"])
def test_one_category_is_trained_with_a_single_logit(
    tmp_path: Path, bird: str, kind: Any, schedule: Any
) -> None:
    folder = train(settings(bird, filter_loss=kind, filter_schedule=schedule), tmp_path / "run")
    run = load_run(folder)
    assert isinstance(run.model, PartTemplateNetwork)
    assert run.parts is run.model
    assert run.classes == ("neg", "bird")
    assert run.task_loss == "logistic"
    images = torch.randn(3, 3, 24, 24)
    assert run.model(images).shape == (3, 1)
    assert torch.equal(run.classifier(images), run.model(images))
    masked = []
    handle = run.classifier.get_submodule("layer3").register_forward_hook(
        lambda _m, _i, out: masked.append(out)
    )
    run.model(images)
    handle.remove()
    assert bool((masked[0] == 0).any()), "the loaded network is masked"
    for row in run.history:
        assert row["test_error"] == pytest.approx(1 - row["test_accuracy"])
        assert row["filter_loss"] is not None
    assert (folder / "parts.safetensors").is_file()
    plain = create_model("resnet20", 1).state_dict().keys()
    assert load_file(folder / "model.safetensors").keys() <= plain


@pytest.mark.parametrize("method", ["parts", "standard"])
@pytest.mark.parametrize("loss", ["softmax", "logistic"])
def test_several_categories_and_their_baseline(
    tmp_path: Path, three: str, method: Any, loss: Any
) -> None:
    chosen = settings(three, method=method, task_loss=loss, **SEVERAL)
    run = load_run(train(chosen, tmp_path / "run"))
    assert run.model(torch.randn(2, 3, 24, 24)).shape == (2, 3)
    assert (run.parts is not None) == (method == "parts")
    last = run.history[-1]
    assert (last["filter_loss"] is None) == (method == "standard")
    if loss == "softmax":
        assert last["train_error"] == pytest.approx(1 - last["train_accuracy"])
    if run.parts is not None:
        mask = run.parts.masks[0]
        assert int(mask.batches) == 2 * 3
        assert float(mask.class_strengths.min()) > 0
        assert not bool((mask.beta == 2).all())


def test_standard_training_and_templates_start_from_the_same_network(bird: str) -> None:
    chosen = settings(bird)
    data = dataset_of(chosen)
    masked = build_network(chosen, data)
    plain = build_network(dataclasses.replace(chosen, method="standard"), data)
    ours, theirs = masked.classifier.state_dict(), plain.classifier.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert plain.num_logits == 1


@pytest.mark.parametrize(
    "changes",
    [SEVERAL, {"method": "gated-parts", "scheme": "joint", "warmup": 1, **SEVERAL}],
    ids=["parts", "gated-parts"],
)
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, three: str, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    chosen = settings(three, epochs=3, **changes)
    whole = train(chosen, tmp_path / "whole")
    write = loop.write_checkpoint

    def stop(file: Path, net: Any, optimizers: Any, own: Any, rows: list[Any]) -> None:
        write(file, net, optimizers, own, rows)
        if len(rows) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(chosen, tmp_path / "cut")
    interrupted = load_run(tmp_path / "cut")
    assert interrupted.parts is not None
    assert int(interrupted.parts.masks[0].batches) > 0, "statistics are in the checkpoint"
    torch.rand(7)
    assert same_bits(whole, train(chosen, tmp_path / "cut", resume=True))
    for ours, theirs in zip(load_run(whole).history, load_run(tmp_path / "cut").history,
                            strict=True):  # fmt: skip
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.parametrize("scheme", ["joint", "alternate"])
def test_gates_and_templates_in_one_network(tmp_path: Path, bird: str, scheme: Any) -> None:
    chosen = settings(bird, method="gated-parts", scheme=scheme, period=2, lambda2=0.1)
    run = load_run(train(chosen, tmp_path / "run"))
    assert isinstance(run.model, GatedClassifier)
    assert isinstance(run.parts, PartTemplateNetwork)
    assert run.gate is not None
    assert run.gate.matrix.shape == (2, 64)
    images, labels = torch.randn(2, 3, 24, 24), torch.tensor([0, 1])
    standard, gated = run.model.both(images, labels)
    torch.testing.assert_close(standard, run.model(images))
    assert gated.shape == (2, 1)
    assert run.history[-1]["gap"] is not None


def test_a_gate_below_a_mask_is_refused_where_the_paths_share_a_pass(bird: str) -> None:
    chosen = settings(bird, method="gated-parts", scheme="joint", layer="layer2")
    with pytest.raises(ValueError, match=r"`layer` 'layer2' is gated below .*alternate"):
        build_network(dataclasses.replace(chosen, mask_layers=("layer3",)), dataset_of(chosen))


def test_the_networks_of_the_papers_have_two_masks_and_the_gate_above_both(bird: str) -> None:
    chosen = settings(bird, model="alexnet_parts", image_size=128, method="gated-parts")
    chosen = dataclasses.replace(chosen, scheme="joint")
    built = build_network(chosen, dataset_of(chosen))
    assert isinstance(built.classifier, PartNetwork)
    assert built.parts is not None
    assert built.parts.layer_names == ("features.relu5", "pool6")
    assert built.layer == "pool6"
    alone = build_network(dataclasses.replace(chosen, method="parts"), dataset_of(chosen))
    assert alone.layer == "relu6"
    before = dataclasses.replace(chosen, method="parts", second_mask="before_pool")
    other = build_network(before, dataset_of(chosen)).parts
    assert other is not None
    assert other.layer_names == ("features.relu5", "relu6")


def test_the_step_adds_the_weighted_filter_losses(bird: str) -> None:
    chosen = settings(bird)
    data = dataset_of(chosen)
    net = build_network(chosen, data).parts
    assert net is not None
    net.eval()  # so that a second pass gives the same
    images, labels = torch.randn(6, 3, 24, 24), torch.tensor([0, 1, 1, 0, 1, 0])
    objective = Objective("logistic", filters=FilterLosses.of(net, chosen, data), factor=3.0)
    loss = step_loss(net, None, "standard", images, labels, chosen, objective, torch.tensor([7.0]))
    with part_losses(net, labels == 1, "exact") as losses:
        logits = net(images)
    task = nn.functional.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
    torch.testing.assert_close(loss.total, 3 * task + 7 * losses[0])
    torch.testing.assert_close(loss.task, task)
    assert loss.filters is not None
    torch.testing.assert_close(loss.filters, losses[0].detach())


def test_class_weights_act_on_single_logits_as_on_pairs(bird: str) -> None:
    logits, labels = torch.randn(5, 1), torch.tensor([0, 1, 1, 0, 1])
    weights = torch.tensor([2.0, 0.5])
    pair = torch.cat([torch.zeros(5, 1), logits], 1)
    expected = nn.functional.cross_entropy(pair, labels, weights)
    torch.testing.assert_close(Objective("logistic", weights).task(logits, labels), expected)


def test_the_weight_follows_the_size_of_the_maps(bird: str) -> None:
    chosen = settings(bird)
    data = dataset_of(chosen)
    net = build_network(chosen, data).parts
    assert net is not None
    sizes = FilterLosses.of(net, chosen, data).map_sizes(
        data.train, data.transform, torch.device("cpu")
    )
    net.eval()
    maps: list[torch.Tensor] = []
    handle = net.masks[0].register_forward_pre_hook(lambda _m, inputs: maps.append(inputs[0]))
    with torch.no_grad():
        for i in range(len(data.train)):
            net(data.transform.normalize(data.train.raw(i)[None]))
    handle.remove()
    expected = torch.stack([m.flatten(2).amax(2).mean() for m in maps]).mean()
    torch.testing.assert_close(sizes, expected[None])


def test_shares_of_the_categories(bird: str, three: str) -> None:
    assert category_shares(dataset_of(settings(bird))) is None
    assert category_shares(dataset_of(settings(three))) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("icnn")])
@pytest.mark.parametrize("method", ["parts", "standard", "gated-parts"])
def test_presets_are_valid(name: str, method: str) -> None:
    chosen = TrainSettings.from_dict(preset(name, method))
    assert chosen.method == method
    assert chosen.model in ("vgg16_parts", "resnet20")


def test_a_preset_knows_the_batches_and_rates_of_other_networks() -> None:
    assert preset("icnn-official")["batch_size"] == 32
    other = preset("icnn-official", None, "alexnet_parts")
    assert (other["model"], other["batch_size"], other["lr"]) == ("alexnet_parts", 512, 3e-3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"template": "l3"}, "`template` must be one of l1, l2"),
        ({"template": "uniform_l1", "learn_beta": True}, "`learn_beta` needs"),
        ({"space": "index", "learn_beta": True}, "`learn_beta` needs"),
        ({"beta": 0.0}, "`beta` must be positive"),
        ({"filter_loss": "none"}, "`filter_loss` must be one of exact, paper, official"),
        ({"task_loss": "hinge"}, "`task_loss` must be one of softmax, logistic"),
        ({"filter_weight": -1.0}, "`filter_weight` must be at least 0"),
        ({"beta_rate": 0.0}, "`beta_rate` must lie in"),
        ({"bias_rate": 0.0}, "`bias_rate` must be above 0"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask_layers": ("layer5",)}, "near: .*layer3"),
        ({"model": "vgg_m_parts", "image_size": 64}, "at an `image_size` of 64"),
        ({"mask_layers": ("linear",)}, "must give square maps"),
    ],
)
def test_templates_that_do_not_fit_are_named(
    bird: str, changes: dict[str, Any], message: str
) -> None:
    chosen = settings(bird, **changes)
    with pytest.raises(ValueError, match=message):
        build_network(chosen, dataset_of(chosen))


def test_biases_may_have_a_rate_of_their_own(bird: str) -> None:
    from filterscope.training.optimizers import make_optimizers, set_learning_rate

    chosen = settings(bird, bias_rate=2.0, bias_decay=False, lr=0.5, weight_decay=0.1)
    optimizers = make_optimizers(build_network(chosen, dataset_of(chosen)), chosen, 0.1)
    set_learning_rate(optimizers, chosen, 0.5)
    weights, biases = optimizers.weights.param_groups
    assert (weights["lr"], biases["lr"]) == (0.25, 0.5)
    assert (weights["weight_decay"], biases["weight_decay"]) == (0.1, 0.0)
    plain = dataclasses.replace(chosen, bias_rate=1.0, bias_decay=True)
    built = build_network(plain, dataset_of(plain))
    assert len(make_optimizers(built, plain, 0.1).weights.param_groups) == 1
