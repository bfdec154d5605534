"""The gated classifier: paths, mechanism, and everything that must leave it right."""

import copy
import io
import pickle
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torchvision import models as tv

from filterscope.gates import ClassGate, GatedClassifier


class Small(nn.Module):
    """A residual toy: batch norm, an in-place ReLU after the gated layer, dropout in the head."""

    def __init__(self, num_classes=5, width=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1)
        self.bn = nn.BatchNorm2d(width)
        self.body = nn.Conv2d(width, width, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x):
        x = F.relu(self.bn(self.conv(x)))
        x = self.relu(self.body(x) + 0)
        return self.fc(self.drop(x.mean((2, 3))))


class InPlace(nn.Module):
    """The gated layer's own output is rewritten by a later in-place ReLU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))


class NormAfter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.bn = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(F.relu(self.bn(self.conv(x))).mean((2, 3)))


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights, biases and norm statistics that show an error; the default ones hide it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if "running_var" in name:
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.dim() < 2:
                tensor.copy_(noise * 0.3 + ("weight" in name))
            else:
                fan_in = tensor[0].numel()
                tensor.copy_(noise * (2 / fan_in) ** 0.5)
    return model


def make(model=None, layer="relu", num_classes=5, num_filters=8, seed=0, **options):
    net = GatedClassifier(randomized(model or Small()), layer, num_classes, num_filters, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        net.gate.matrix.copy_(torch.rand(net.gate.matrix.shape, generator=generator))
    return net


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(6, 3, 12, 12, generator=generator), torch.tensor([0, 1, 2, 3, 4, 0])


def assert_no_call_left(net):
    assert net._mode is None
    assert net._labels is None
    assert net._pooled is None


def test_wrapping_changes_nothing_about_the_classifier(batch):
    model = randomized(Small())
    model.bn.eval()
    keys = list(model.state_dict())
    flags = {name: module.training for name, module in model.named_modules()}
    torch.manual_seed(0)
    before = model(batch[0])
    net = GatedClassifier(model, "relu", 5, example_input=batch[0])
    torch.manual_seed(0)
    assert torch.equal(net(batch[0]), before)
    assert list(model.state_dict()) == keys
    assert {name: module.training for name, module in model.named_modules()} == flags
    assert net.gate.num_filters == 8


def test_paths_agree_with_the_formula(batch):
    x, labels = batch
    net = make().eval()
    features = net.features(x)
    model = net.model
    expected = model.fc(features * net.gate.matrix[labels])
    torch.testing.assert_close(net(x, labels), expected)
    torch.testing.assert_close(net(x), model.fc(features))
    standard, gated = net.both(x, labels)
    torch.testing.assert_close(standard, net(x))
    torch.testing.assert_close(gated, net(x, labels))
    assert_no_call_left(net)


@pytest.mark.parametrize("training", [True, False])
def test_given_labels_gate_in_train_and_eval_alike(batch, training):
    x, labels = batch
    net = make(InPlace(), num_classes=5, num_filters=6, layer="relu").train(training)
    assert not torch.allclose(net(x), net(x, labels))


def test_features_are_pooled_before_an_in_place_relu_and_rectified(batch):
    x, _ = batch
    net = make(InPlace(), layer="conv", num_filters=6)
    raw = net.model.conv(x)
    torch.testing.assert_close(net.features(x), F.relu(raw).mean((2, 3)))
    signed = make(InPlace(), layer="conv", num_filters=6, activation=None)
    torch.testing.assert_close(signed.features(x), raw.mean((2, 3)))


def test_gating_before_the_relu_equals_gating_after_it(batch):
    x, labels = batch
    model = randomized(InPlace())
    matrix = torch.rand(5, 6)
    logits = []
    for layer in ("conv", "relu"):
        net = GatedClassifier(copy.deepcopy(model), layer, 5, 6)
        with torch.no_grad():
            net.gate.matrix.copy_(matrix)
        logits.append(net(x, labels))
    torch.testing.assert_close(*logits)


def test_batch_statistics_are_those_of_the_standard_path(batch):
    x, labels = batch
    standard, gated = make().train(), make().train()
    standard(x)
    gated(x, labels)
    torch.testing.assert_close(standard.model.bn.running_mean, gated.model.bn.running_mean)
    assert torch.equal(standard.model.bn.num_batches_tracked, gated.model.bn.num_batches_tracked)


def test_both_runs_the_trunk_once(batch):
    net = make()
    runs = []
    net.model.conv.register_forward_hook(lambda *_: runs.append(1))
    net.both(*batch)  # the first call also looks, once, whether it may
    runs.clear()
    net.both(*batch)
    assert len(runs) == 1


def test_a_batch_norm_after_the_gate_gets_two_passes(batch):
    x, labels = batch
    labels = labels.clamp_max(3)
    net = make(NormAfter(), layer="conv", num_classes=4, num_filters=6).train()
    reference = copy.deepcopy(net)
    standard, gated = net.both(x, labels)
    torch.testing.assert_close(standard, reference(x))
    torch.testing.assert_close(gated, reference(x, labels))


class Bypassed(nn.Module):
    """What goes on after the gated layer needs the batch as it was given."""

    def __init__(self, after):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(3, 6, 3, padding=1), nn.ReLU()
        self.fc, self.after = nn.Linear(6, 5), after

    def forward(self, x):
        return self.after(self, x, self.relu(self.conv(x)))


AFTER = {
    "sum": lambda net, x, maps: net.fc((maps + x.mean(1, keepdim=True)).mean((2, 3))),
    "view": lambda net, x, maps: net.fc(maps.mean((2, 3)).view(len(x), -1)),
    "norm": lambda net, x, maps: net.fc(
        torch.batch_norm(maps, None, None, None, None, True, 0.1, 1e-5, False).square().mean((2, 3))
    ),
    "logits alone": lambda net, x, maps: net.fc(maps.mean((2, 3)).view(-1, 6))[: len(x)],
}


@pytest.mark.parametrize("num_images", [1, 3])
@pytest.mark.parametrize("after", AFTER.values(), ids=AFTER.keys())
def test_what_needs_the_batch_as_given_gets_two_passes(batch, after, num_images):
    x, labels = batch[0][:num_images], batch[1][:num_images]
    net = make(Bypassed(after), layer="relu", num_filters=6)
    standard, gated = net.both(x, labels)
    torch.testing.assert_close(standard, net(x))
    torch.testing.assert_close(gated, net(x, labels))
    assert_no_call_left(net)


def test_networks_that_return_more_than_logits_get_two_passes(batch):
    net = make(Bypassed(lambda net, x, maps: {"logits": net.fc(maps.mean((2, 3)))}), layer="relu",
               num_filters=6)  # fmt: skip
    standard, gated = net.both(*batch)
    torch.testing.assert_close(standard["logits"], net(batch[0])["logits"])
    torch.testing.assert_close(gated["logits"], net(*batch)["logits"])


def test_unwrap_gives_the_plain_classifier_back(batch):
    x, labels = batch
    net = make().eval()
    expected = net(x)
    model = net.unwrap()
    assert isinstance(model, Small)
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(model(x), expected)
    with pytest.raises(RuntimeError, match="unwrapped"):
        net(x, labels)


@pytest.mark.parametrize("copier", ["deepcopy", "pickle", "torch.save"])
def test_copies_have_their_own_gate(batch, copier):
    x, labels = batch
    net = make().eval()
    if copier == "deepcopy":
        other = copy.deepcopy(net)
    elif copier == "pickle":
        other = pickle.loads(pickle.dumps(net))
    else:
        file = io.BytesIO()
        torch.save(net, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    torch.testing.assert_close(other(x, labels), net(x, labels))
    with torch.no_grad():
        other.gate.matrix.zero_()
    assert torch.allclose(other(x, labels), other.model.fc.bias.expand(6, 5))
    assert not torch.allclose(net(x, labels), other(x, labels)), "the original is untouched"
    other.unwrap()
    assert not torch.allclose(net(x, labels), net(x))


def test_nothing_is_left_after_an_exception(batch):
    x, labels = batch
    net = make().eval()
    expected = net(x)
    with pytest.raises(ValueError, match="labels"):
        net(x, labels[:2])
    with pytest.raises(RuntimeError):
        net(x[:, :2], labels)
    assert_no_call_left(net)
    assert torch.equal(net(x), expected)


@pytest.mark.parametrize("name", ["resnet18", "alexnet", "vgg11_bn", "mobilenet_v2"])
def test_torchvision_networks_and_heads(name):
    sizes = {"alexnet": 64}
    model = getattr(tv, name)(num_classes=7)
    layer = {"resnet18": "layer4"}.get(name, "features")
    x = torch.randn(2, 3, sizes.get(name, 32), sizes.get(name, 32))
    net = GatedClassifier(randomized(model).eval(), layer, 7, example_input=x)
    expected = net(x)
    with torch.no_grad():
        net.gate.matrix[3] = 0
    labels = torch.tensor([3, 0])
    gated = net(x, labels)
    torch.testing.assert_close(gated[1], expected[1])
    assert not torch.allclose(gated[0], expected[0])
    torch.testing.assert_close(torch.stack(net.both(x, labels)), torch.stack([expected, gated]))


def test_known_architectures_need_no_layer_and_say_which_was_taken():
    with pytest.warns(UserWarning, match="layer4"):
        net = GatedClassifier(tv.resnet18(num_classes=4), num_classes=4)
    assert net.layer_name == "layer4"
    assert net.gate.num_filters == 512


def test_the_gate_is_made_where_the_model_is():
    net = GatedClassifier(Small().to("meta"), "relu", 5, 8)
    assert net.gate.matrix.device.type == "meta"
    assert net(torch.zeros(2, 3, 9, 9, device="meta"), torch.zeros(2).long().to("meta")).is_meta


def test_the_layer_may_be_the_module():
    model = Small()
    assert GatedClassifier(model, model.relu, 5, 8).layer_name == "relu"


def compiled_equals_eager(model, layer, size):
    torch._dynamo.reset()
    net = GatedClassifier(
        randomized(model).eval(), layer, 6, example_input=torch.zeros(1, 3, size, size)
    )
    with torch.no_grad():
        net.gate.matrix.copy_(torch.rand(net.gate.matrix.shape))
    compiled = torch.compile(net, backend="aot_eager")
    x = torch.randn(4, 3, size, size)
    first, second = torch.tensor([0, 1, 2, 3]), torch.tensor([5, 4, 4, 0])
    for labels in (None, first, None, second, first):
        arguments = (x,) if labels is None else (x, labels)
        torch.testing.assert_close(compiled(*arguments), net(*arguments), rtol=1e-4, atol=1e-4)
    assert_no_call_left(net)


@pytest.mark.parametrize(
    ("name", "layer", "size"), [("resnet18", "layer4", 32), ("squeezenet1_1", "features", 48)]
)
def test_compiled_networks_gate(name, layer, size):
    compiled_equals_eager(getattr(tv, name)(num_classes=6), layer, size)


def test_exported_programs_keep_both_paths(batch):
    x, labels = batch
    net = make().eval()
    standard = torch.export.export(net, (x,)).module()
    gated = torch.export.export(net, (x, labels)).module()
    torch.testing.assert_close(standard(x), net(x))
    torch.testing.assert_close(gated(x, labels.flip(0)), net(x, labels.flip(0)))
    assert_no_call_left(net)


def test_data_parallel_is_refused():
    with pytest.raises(RuntimeError, match="DistributedDataParallel"):
        make()._replicate_for_data_parallel()


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_over_the_gated_layer_is_refused(batch, reentrant):
    class Checkpointed(InPlace):
        def forward(self, x):
            x = checkpoint(lambda v: self.relu(self.conv(v)), x, use_reentrant=reentrant)
            return self.fc(x.mean((2, 3)))

    x, labels = batch
    net = make(Checkpointed(), num_filters=6)
    loss = net(x.requires_grad_(), labels.clamp_max(3)).sum()
    with pytest.raises(RuntimeError, match="checkpoint"):
        loss.backward()


def test_a_layer_that_runs_twice_is_refused(batch):
    class Twice(InPlace):
        def forward(self, x):
            return self.fc(self.relu(self.relu(self.conv(x))).mean((2, 3)))

    x, labels = batch
    net = make(Twice(), num_filters=6)
    with pytest.raises(RuntimeError, match="more than once"):
        net(x, labels.clamp_max(3))
    with pytest.raises(ValueError, match="2 times"):
        GatedClassifier(Twice(), "relu", 4, example_input=x)


def test_save_pretrained_round_trip(tmp_path, batch):
    x, labels = batch
    net = make().eval()
    net.save_pretrained(tmp_path / "net")
    again = GatedClassifier.from_pretrained(tmp_path / "net", Small())
    torch.testing.assert_close(again(x, labels), net(x, labels))
    assert again.gate.density_bound == net.gate.density_bound
    assert {path.name for path in (tmp_path / "net").iterdir()} == {
        "config.json", "gate.safetensors", "model.safetensors",
    }  # fmt: skip
    with pytest.raises(ValueError, match="do not fit"):
        GatedClassifier.from_pretrained(tmp_path / "net", Small(width=9))
    config = tmp_path / "net" / "config.json"
    written = config.read_text()
    config.write_text(written.replace('"gated-classifier"', '"network"'))
    with pytest.raises(ValueError, match="holds a 'network', not a gated classifier"):
        GatedClassifier.from_pretrained(tmp_path / "net", Small())
    config.write_text(written)
    (tmp_path / "net" / "model.safetensors").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="not readable as safetensors"):
        GatedClassifier.from_pretrained(tmp_path / "net", Small())


def test_fixed_gates_are_kept(tmp_path):
    net = GatedClassifier(Small(), "relu", 5, gate=ClassGate.fixed(torch.ones(5, 8)))
    net.save_pretrained(tmp_path)
    assert not GatedClassifier.from_pretrained(tmp_path, Small()).gate.learnable


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: GatedClassifier(Small(), "rellu", 5, 8), ValueError, "near: relu"),
        (lambda: GatedClassifier(Small(), None, 5, 8), ValueError, "`layer` is needed"),
        (lambda: GatedClassifier(Small(), 3, 5, 8), TypeError, "`layer`"),
        (lambda: GatedClassifier(Small(), nn.ReLU(), 5, 8), ValueError, "not a submodule"),
        (lambda: GatedClassifier(Small(), "relu", 5), ValueError, "num_filters"),
        (lambda: GatedClassifier(Small(), "relu"), ValueError, "num_classes"),
        (lambda: GatedClassifier(make(), "relu", 5, 8), TypeError, "gated already"),
        (lambda: GatedClassifier(torch.jit.script(Small()), "relu", 5, 8), TypeError, "scripted"),
        (
            lambda: GatedClassifier(Small(), "relu", 5, 8, activation="silu"),
            ValueError,
            "activation",
        ),
    ],
)
def test_bad_input_is_named(call, error, words):
    with warnings.catch_warnings(), pytest.raises(error, match=words):
        warnings.simplefilter("ignore", DeprecationWarning)
        call()


class Pair(nn.Module):
    """A layer that gives two maps."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(x), x


class Paired(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pair, self.fc = Pair(), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pair(x)[0].mean((2, 3)))


def test_a_layer_that_gives_no_map_is_named_as_that() -> None:
    x, labels = torch.rand(2, 3, 6, 6), torch.tensor([0, 4])
    with pytest.raises(ValueError, match=r"must give maps \(N, K, ...\).*, it gives tuple"):
        GatedClassifier(Paired(), "pair", 5, example_input=x)
    net = GatedClassifier(Paired(), "pair", 5, num_filters=8)
    with pytest.raises(ValueError, match="it gives tuple"):
        net.features(x)
    for path in (net, net.both):
        with pytest.raises(ValueError, match=r"`features` must be \(N, 8, ...\).*, got tuple"):
            path(x, labels)
    assert net(x).shape == (2, 5)


def test_labels_in_a_list_are_named() -> None:
    net = GatedClassifier(Small(), "relu", 5, num_filters=8)
    with pytest.raises(TypeError, match="`labels` must be a tensor, got list"):
        net(torch.rand(2, 3, 6, 6), [0, 1])


@pytest.mark.parametrize(
    ("name", "value"), [("num_classes", 6), ("num_filters", 7), ("density_bound", 0.5)]
)
def test_a_gate_made_before_is_not_contradicted(name: str, value: float) -> None:
    gate = ClassGate(5, 8, density_bound=0.25)
    with pytest.raises(ValueError, match=f"`{name}` is {value}, but that of `gate` is"):
        GatedClassifier(Small(), "relu", gate=gate, **{name: value})
    same = GatedClassifier(Small(), "relu", 5, 8, gate=gate, density_bound=0.25)
    assert same.gate is gate


def test_a_gate_made_before_goes_where_the_model_is() -> None:
    gate = ClassGate(5, 8)
    matrix = gate.matrix
    net = GatedClassifier(Small().to("meta").eval(), "relu", gate=gate)
    assert net.gate.matrix.device.type == "meta" and not gate.training
    assert (
        GatedClassifier(Small(), "relu", gate=ClassGate(5, 8)).gate.matrix.device == matrix.device
    )
