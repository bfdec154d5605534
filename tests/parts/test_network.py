"""Part templates in whole networks: surgery, copies, files, and gates beside them."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models as tv

from filterscope.core.gate_points import gate_point
from filterscope.core.heads import head_name
from filterscope.gates import ClassGate, GatedClassifier
from filterscope.parts import (
    PartTemplateNetwork,
    add_part_templates,
    fit_template,
    part_losses,
    part_templates,
)

SIZES = {"resnet18": 96, "alexnet": 96, "squeezenet1_1": 64, "densenet121": 64}
LAYERS = {
    "resnet18": ["layer4.1", "layer3.1"],
    "alexnet": ["features.11"],
    "squeezenet1_1": ["features.12"],
    "densenet121": ["features.denseblock4"],
}


class Small(nn.Module):
    """A residual block whose map comes after the sum and its ReLU."""

    def __init__(self, width=6):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.block = Residual(width)
        self.fc = nn.Linear(width, 4)

    def forward(self, x):
        return self.fc(self.block(F.relu(self.stem(x))).mean((2, 3)))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.relu(self.norm(self.conv(x)) + x)


def make(categories=("bird",), **options):
    torch.manual_seed(0)
    net = add_part_templates(Small(), ["block"], categories, **options)
    return net.eval()


@pytest.fixture
def images():
    return torch.randn(4, 3, 10, 10, generator=torch.Generator().manual_seed(0))


def test_the_output_of_a_block_is_masked_after_its_sum(images):
    torch.manual_seed(0)
    model = Small().eval()
    with torch.no_grad():
        model.block.norm.running_mean.normal_()
    maps = model.block(F.relu(model.stem(images)))
    masks = part_templates(10, "l2").clamp_min(0)[maps.flatten(2).argmax(2)]
    expected = model.fc((maps * masks).mean((2, 3)))
    net = add_part_templates(model, ["block"], ["bird"], "l2")
    torch.testing.assert_close(net(images), expected)


def test_wrapping_keeps_weights_flags_and_generator_and_unwrap_takes_the_masks_off(images):
    model = Small().train()
    model.block.norm.eval()
    keys, flags = list(model.state_dict()), [m.training for m in model.modules()]
    model.eval()
    plain = model(images)
    model.train()
    model.block.norm.eval()
    state = torch.get_rng_state()
    net = add_part_templates(model, [model.block], ["bird"], example_input=images)
    assert torch.equal(torch.get_rng_state(), state)
    assert list(model.state_dict()) == keys
    assert [m.training for m in model.modules()] == flags
    net.eval()
    assert not torch.allclose(net(images), plain)
    assert net.unwrap() is model
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(model(images), plain)


@pytest.mark.parametrize("name", SIZES)
def test_torchvision_networks_by_layer_name(name):
    x = torch.randn(2, 3, SIZES[name], SIZES[name], generator=torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    model = getattr(tv, name)(num_classes=3)
    plain_head = head_name(model)
    net = add_part_templates(model, LAYERS[name], ["a", "b", "c"], example_input=x)
    assert set(net.layer_names) == set(LAYERS[name])
    seen = {}
    for layer in net.layer_names:
        net.model.get_submodule(layer).register_forward_hook(
            lambda _m, _i, out, layer=layer: seen.update({layer: out})
        )
    with part_losses(net, torch.tensor([0, 2]), "official") as losses:
        logits = net(x)
    (F.cross_entropy(logits, torch.tensor([0, 2])) + 1e-6 * sum(losses)).backward()
    assert len(losses) == len(seen) == len(LAYERS[name])
    assert list(seen) == list(net.layer_names), "named in the order of running"
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    if name != "densenet121":  # whose block has no ReLU at its end
        assert all((map_ >= 0).all() for map_ in seen.values())
    assert head_name(net) == f"model.{plain_head}"
    assert gate_point(net).layer == f"model.{gate_point(net.unwrap()).layer}"


def test_timm_networks_by_layer_name():
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet10t", pretrained=False, num_classes=2)
    net = add_part_templates(model, ["layer4.0"], ["bird"])
    with part_losses(net, torch.tensor([1, 0])) as losses:
        net(torch.randn(2, 3, 96, 96))
    assert len(losses) == 1


@pytest.mark.parametrize("copier", ["deepcopy", "pickle", "torch.save"])
def test_copies_have_their_own_templates(copier, images):
    net = make(["a", "b"], learn_beta=True)
    if copier == "deepcopy":
        other = copy.deepcopy(net)
    elif copier == "pickle":
        other = pickle.loads(pickle.dumps(net))
    else:
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    expected = net(images)
    torch.testing.assert_close(other(images), expected)
    with torch.no_grad():
        other.templates[0].beta.fill_(3.0)
    assert not torch.allclose(other(images), expected)
    torch.testing.assert_close(net(images), expected)
    other.train()
    with part_losses(other, torch.tensor([0, 1, -1, 0])) as losses:
        other(images)
    assert len(losses) == 1
    assert net.templates[0].batches == 0
    other.unwrap()
    torch.testing.assert_close(net(images), expected)


def test_state_dict_keys_are_the_models_and_what_templates_learn():
    model = set(Small().state_dict())
    prefixed = {f"model.{key}" for key in model}
    assert set(make().state_dict()) == prefixed
    several = {"templates.0.class_strengths", "templates.0.batches"}
    assert set(make(["a", "b"]).state_dict()) == prefixed | several
    learned = make(["a", "b"], learn_beta=True)
    assert set(learned.state_dict()) == prefixed | several | {"templates.0.beta"}


LANDMARKS = torch.tensor([[[2.0, 2.0], [2.0, 8.0]], [[1.0, 1.0], [8.0, 4.0]]])


@pytest.mark.parametrize(
    "options",
    [
        {"shape": "uniform_l1", "space": "index", "gamma": 1.2},
        {"shape": "l1", "learn_beta": True, "mu": "centroid"},
        {"shape": fit_template(LANDMARKS, 10)},
    ],
)
def test_save_pretrained_round_trip(tmp_path, images, options):
    net = make(["a", "b"], class_shares=[0.4, 0.5], class_statistic="sum", **options).train()
    with part_losses(net, torch.tensor([0, 1, -1, 0]), "official"):
        net(images)
    net.eval().save_pretrained(tmp_path / "net")
    assert {path.name for path in (tmp_path / "net").iterdir()} == {
        "config.json", "model.safetensors", "parts.safetensors",
    }  # fmt: skip
    again = PartTemplateNetwork.from_pretrained(tmp_path / "net", Small())
    assert not again.training
    assert again.categories == ("a", "b")
    assert again.layer_names == net.layer_names
    assert again.templates[0].settings == net.templates[0].settings
    torch.testing.assert_close(again(images), net(images), rtol=0, atol=0)
    torch.testing.assert_close(again.state_dict(), net.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(again.templates[0].class_shares, net.templates[0].class_shares)
    with pytest.raises(ValueError, match="do not fit"):
        PartTemplateNetwork.from_pretrained(tmp_path / "net", Small(width=7))


def test_what_cannot_be_saved_or_read_says_so(tmp_path):
    own = make(shape=lambda rows, columns: 1 - rows.abs() - columns.abs())
    with pytest.raises(ValueError, match="function"):
        own.save_pretrained(tmp_path / "own")
    gated = GatedClassifier(Small(), "block", 4, 6)
    gated.save_pretrained(tmp_path / "gated")
    with pytest.raises(ValueError, match="gated-classifier"):
        PartTemplateNetwork.from_pretrained(tmp_path / "gated", Small())


# gates and part templates in one network


def gated(net, layer="model.block"):
    gate = ClassGate(4, 6)
    with torch.no_grad():
        gate.matrix.copy_(torch.rand(4, 6, generator=torch.Generator().manual_seed(5)))
    return GatedClassifier(net, layer, gate=gate).train(net.training)


def test_a_gate_multiplies_the_masked_maps(images):
    labels = torch.tensor([0, 1, 3, 2])
    net = gated(make())
    model = copy.deepcopy(net.model)
    maps = []
    model.model.block.register_forward_hook(lambda _m, _i, out: maps.append(out))
    expected = model(images)
    masked = maps[0].mean((2, 3))
    torch.testing.assert_close(net(images), expected)
    torch.testing.assert_close(net.features(images), masked)
    through_gate = model.model.fc(masked * net.gate.matrix[labels])
    torch.testing.assert_close(net(images, labels), through_gate)
    torch.testing.assert_close(torch.stack(net.both(images, labels)),
                               torch.stack([expected, through_gate]))  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
def test_both_paths_and_filter_losses_come_from_one_pass(images, training):
    labels = torch.tensor([0, 1, 3, 2])
    net = gated(make(["a", "b", "c", "d"]).train(training))
    if not training:
        net.both(images, labels)  # in eval mode the gate's first look must come before
    reference = copy.deepcopy(net)
    with part_losses(reference, labels, "official") as expected:
        reference(images)
    with part_losses(net, labels, "official") as losses:
        standard, through_gate = net.both(images, labels)
    torch.testing.assert_close(losses, expected)
    (standard.sum() + through_gate.sum() + sum(losses)).backward()
    assert net.gate.matrix.grad is not None
    assert torch.isfinite(net.model.model.stem.weight.grad).all()


def test_templates_put_on_below_a_gate_still_come_first(images):
    labels = torch.tensor([0, 1, 3, 2])
    torch.manual_seed(0)
    model = Small().eval()
    net = gated(model, "block")
    parts = add_part_templates(model, ["block"], ["bird"], example_input=images)
    inner = make()
    inner.load_state_dict(parts.state_dict())
    torch.testing.assert_close(net(images, labels), gated(inner)(images, labels))
    with part_losses(parts, labels > 1) as losses:
        net(images, labels)
    assert len(losses) == 1


def test_the_place_of_the_gate_is_known_through_the_templates():
    with torch.random.fork_rng():
        model = tv.resnet18(num_classes=4)
    net = add_part_templates(model, ["layer4"], ["bird"], example_input=torch.zeros(1, 3, 64, 64))
    with pytest.warns(UserWarning, match=r"model\.layer4"):
        both = GatedClassifier(net, num_classes=4)
    assert both.gate.num_filters == 512


class Twice(Small):
    def forward(self, x):
        return self.fc(self.block(self.block(F.relu(self.stem(x)))).mean((2, 3)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: add_part_templates(Small(), ["blok"], ["a"]), ValueError, "near: block"),
        (lambda: add_part_templates(Small(), "block", ["a"]), TypeError, "`layers`"),
        (lambda: add_part_templates(Small(), [], ["a"]), ValueError, "`layers`"),
        (lambda: add_part_templates(Small(), ["block", "block"], ["a"]), ValueError, "different"),
        (lambda: add_part_templates(Small(), ["block"], "bird"), TypeError, "`categories`"),
        (lambda: add_part_templates(Small(), ["block"], []), ValueError, "`categories`"),
        (lambda: add_part_templates(Small(), ["block"], ["a", "a"]), ValueError, "`categories`"),
        (lambda: add_part_templates(Small(), ["block"], [1]), TypeError, "`categories`"),
        (lambda: add_part_templates(Small(), ["fc"], ["a"]), ValueError, "square"),
        (lambda: add_part_templates(Twice(), ["block"], ["a"]), ValueError, "2 times"),
        (lambda: add_part_templates(Small(), ["block"], ["a"], "l3"), ValueError, "`shape`"),
        (
            lambda: add_part_templates(
                Small(), ["block"], ["a"], example_input=torch.zeros(1, 3, 8, 9)
            ),
            ValueError,
            "square",
        ),
        (
            lambda: add_part_templates(nn.Sequential(nn.Flatten(), nn.Linear(4, 4)), ["0"], ["a"]),
            ValueError,
            "`example_input`",
        ),
        (
            lambda: add_part_templates(
                nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 4)), ["0"], ["a"]
            ),
            ValueError,
            "`example_input`",
        ),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_a_network_that_cannot_be_masked_is_left_without_hooks() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
    with pytest.raises(ValueError, match="unknown layer of Sequential '7'"):
        PartTemplateNetwork(model, ["1", "7"], [8, 8], ["bird"])
    with pytest.raises(ValueError, match="`num_filters` must be a number for each of `layers`"):
        PartTemplateNetwork(model, ["1", "0"], [8], ["bird"])
    assert not any(module._forward_hooks for module in model.modules())
