"""Contributions: conservation, the loop over single constants, and the layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import (
    Affine,
    ConservationError,
    LinearInterpreter,
    UnsupportedOperation,
    rule,
)
from filterscope.linear.grouping import block_path
from filterscope.linear.rules import table


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        y = F.relu6(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + x)


class Network(nn.Module):
    """Stem, two residual blocks in a container, a dense part whose norm comes first, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.dense = nn.BatchNorm2d(8), nn.Conv2d(8, 3, 1)
        self.head = nn.Linear(3, 5)

    def forward(self, x):
        x = self.stem(2 * x - 1)
        x = torch.cat([x, self.blocks(x)], 1)
        x = self.dense(F.relu(self.norm(x)))
        return self.head(x.mean((2, 3)) + 0.1)


@pytest.fixture
def model(randomised):
    return randomised(Network()).eval()


@pytest.fixture
def interpreter(model, random_image):
    return LinearInterpreter(model, random_image(1, 2, 8, 8))


def test_one_backward_pass_equals_one_forward_pass_for_each_constant(interpreter) -> None:
    parts = interpreter.contributions(3, by="op")
    program = interpreter._program
    zero = torch.zeros_like(interpreter.images)
    assert len(parts.layers) == len(program.offsets()) > 14
    for position, (name, value) in zip(program.offsets(), parts.layers, strict=True):
        alone = float(program.run(zero, offsets={position})[0, 3])
        assert value == pytest.approx(alone, rel=1e-10, abs=1e-13), name
    assert parts.input == pytest.approx(float(interpreter.apply(interpreter.images)[0, 3]))
    assert parts.residual == pytest.approx(float(interpreter.residual[0, 3]))
    assert parts.total == pytest.approx(float(interpreter.output[0, 3]), rel=1e-12)


def test_maps_sum_to_the_contributions(interpreter) -> None:
    parts = interpreter.contributions((2,), by="op")
    assert parts.input_map.shape == (2, 8, 8)
    assert float(parts.input_map.sum()) == pytest.approx(parts.input)
    for (name, value), (other, values) in zip(parts.layers, parts.maps, strict=True):
        assert name == other
        assert float(values.sum()) == pytest.approx(value, abs=1e-12)
    assert dict(parts.maps)["blocks.0.bn2"].shape == (4, 6, 6)
    assert dict(parts.maps)["head"].shape == (5,)


def test_a_bias_contributes_bias_times_gradient(model, interpreter) -> None:
    model.zero_grad()
    model(interpreter.images)[0, 1].backward()
    parts = dict(interpreter.contributions(1, by="op").layers)
    for name, layer in [("stem", model.stem), ("dense", model.dense), ("head", model.head)]:
        expected = float((layer.bias * layer.bias.grad).sum())
        assert parts[name] == pytest.approx(expected, rel=1e-10)


def test_layers_are_stages_blocks_operations_or_as_told(interpreter) -> None:
    def names(by):
        return [name for name, _ in interpreter.contributions(0, by=by).layers]

    assert names("stage") == [
        "forward:sub", "stem", "blocks.0.conv1", "blocks.0.conv2", "blocks.1.conv1",
        "blocks.1.conv2", "norm", "dense", "forward:add", "head",
    ]  # fmt: skip
    assert names("block") == [
        "forward", "stem", "blocks.0", "blocks.1", "norm", "dense", "head",
    ]  # fmt: skip
    operations = names("op")
    assert operations[:5] == [
        "forward:sub", "stem", "blocks.0.conv1", "blocks.0.bn1", "blocks.0:relu6",
    ]  # fmt: skip
    assert len(set(operations)) == len(operations)
    assert names(lambda path: path.split(".")[0] or "root") == [
        "root", "stem", "blocks", "norm", "dense", "head",
    ]  # fmt: skip
    paths = {"", "stem", "norm", "dense", "head"} | {
        f"blocks.{k}{part}" for k in (0, 1) for part in ("", ".conv1", ".bn1", ".conv2", ".bn2")
    }
    assert names(dict.fromkeys(paths, "all")) == ["all"]
    totals = {by: interpreter.contributions(0, by=by).total for by in ("stage", "block", "op")}
    assert len(set(totals.values())) == 1
    with pytest.raises(ValueError, match="no layer for the module 'stem'"):
        interpreter.contributions(0, by={"": "input"})
    with pytest.raises(ValueError, match='`by` must be "stage", "block", "op"'):
        interpreter.contributions(0, by="module")


def test_a_layer_used_twice_is_counted_at_each_place(randomised, random_image) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 3)

        def forward(self, x):
            return self.conv(self.conv(x).relu()).flatten(1)

    found = LinearInterpreter(randomised(Twice()), random_image(1, 2, 6, 6))
    assert [name for name, _ in found.contributions(0).layers] == ["conv", "conv#2"]


def test_blocks_are_the_outermost_modules_that_are_no_containers() -> None:
    model = nn.Sequential(nn.Sequential(Block()), nn.ModuleDict({"a": nn.Linear(1, 1)}))
    assert block_path(model, "0.0.conv1") == "0.0"
    assert block_path(model, "1.a") == "1.a"
    assert block_path(model, "0.0") == "0.0"
    assert block_path(model, "") == "forward"


def test_an_image_in_a_normed_batch_conserves(randomised, random_image) -> None:
    model = randomised(nn.Sequential(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4), nn.ReLU(),
                                     nn.Flatten(), nn.Linear(64, 3)))  # fmt: skip
    images = random_image(5, 2, 6, 6)
    parts = LinearInterpreter(model, images).contributions(torch.tensor([0, 1, 2, 0, 1]))
    expected = model(images)[range(5), [0, 1, 2, 0, 1]]
    torch.testing.assert_close(torch.tensor([p.total for p in parts]).double(), expected.detach())


@pytest.fixture
def model_with_rule(randomised):
    """A network, and a rule for its ReLU that is gone after the test."""
    kept = table.find_rule("relu")

    def registered(linear):
        rule("relu")(lambda call, input, inplace=False: Affine(linear))
        return randomised(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()))

    yield registered
    table._RULES["relu"] = kept


def test_a_rule_of_a_user_that_is_not_linear_is_refused(model_with_rule, random_image) -> None:
    model = model_with_rule(lambda x: F.relu(x))
    with pytest.raises(UnsupportedOperation, match="`relu` in `1`: its rule is not linear"):
        LinearInterpreter(model, random_image(1, 2, 5, 5))


def test_a_rule_that_misses_the_value_is_named(model_with_rule, random_image) -> None:
    model, image = model_with_rule(lambda x: 2 * x), random_image(1, 2, 5, 5)
    interpreter = LinearInterpreter(model, image)
    with pytest.raises(ConservationError, match=r"unattributed: .*`relu` in `1`.*give its value"):
        interpreter.contributions(int(interpreter.output.argmax()))


def test_users_add_rules(random_image, check_affine) -> None:
    class Cube(nn.Module):
        def forward(self, x):
            return (x - 0.5).pow(3).flatten(1)

    @rule("pow")
    def power(call, input, exponent):
        return Affine(lambda x: x * input ** (exponent - 1))

    try:
        image = random_image(1, 1, 2, 2)
        check_affine(LinearInterpreter(Cube(), image), Cube()(image))
    finally:
        del table._RULES["pow"]


def test_preprocessing_is_a_layer_of_its_own() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5))
    interpreter = LinearInterpreter(
        model, torch.rand(1, 3, 8, 8), include_preprocess=lambda x: (x - 0.5) / 0.25
    )
    for by in ("stage", "op", "block"):
        names = [name for name, _ in interpreter.contributions(1, by=by).layers]
        assert names == ["preprocess", "0", "3"], by


def test_layers_are_the_same_where_nothing_is_clipped() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU6(), nn.Linear(3, 2)).double()
    nn.init.eye_(model[0].weight)
    nn.init.ones_(model[2].weight)
    images = torch.tensor([[0.1, 0.2, 0.3], [90.0, -80, 70]], dtype=torch.float64)
    quiet, clipped = (LinearInterpreter(model, x[None]).contributions(0, by="op") for x in images)
    assert [name for name, _ in quiet.layers] == [name for name, _ in clipped.layers]
    assert dict(quiet.layers)["1"] == 0 != dict(clipped.layers)["1"]


class DenseLayer(nn.Module):
    def __init__(self, channels) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(channels), nn.Conv2d(channels, 4, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3, padding=1, bias=False)

    def forward(self, maps):
        x = self.conv1(F.relu(self.norm1(torch.cat(maps, 1))))
        return self.conv2(F.relu(self.norm2(x)))


class Dense(nn.Module):
    """Norms come first, after a pool and a `cat` of one tensor or more; two norms at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU6(), nn.MaxPool2d(2)
        )
        self.layers = nn.ModuleList([DenseLayer(4), DenseLayer(6)])
        self.last, self.again = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        maps = [self.stem(x)]
        for layer in self.layers:
            maps.append(layer(maps))
        x = F.relu(self.again(self.last(torch.cat(maps, 1))))
        return self.head(x.mean((2, 3)))


def test_a_norm_that_comes_first_is_no_part_of_the_layer_before(randomised, random_image) -> None:
    interpreter = LinearInterpreter(randomised(Dense()), random_image(1, 2, 12, 12))
    single = dict(interpreter.contributions(1, by="op").layers)
    stages = dict(interpreter.contributions(1).layers)
    expected = {
        "stem.0": single["stem.1"] + single["stem.2"],
        "layers.0.norm1": single["layers.0.norm1"], "layers.0.conv1": single["layers.0.norm2"],
        "layers.1.norm1": single["layers.1.norm1"], "layers.1.conv1": single["layers.1.norm2"],
        "last": single["last"], "again": single["again"], "head": single["head"],
    }  # fmt: skip
    assert stages == pytest.approx(expected)
    assert list(stages) == list(expected)
    blocks = dict(interpreter.contributions(1, by="block").layers)
    assert list(blocks) == ["stem.0", "layers.0", "layers.1", "last", "again", "head"]
    for k in (0, 1):
        both = single[f"layers.{k}.norm1"] + single[f"layers.{k}.norm2"]
        assert blocks[f"layers.{k}"] == pytest.approx(both)


def test_a_block_keeps_the_norm_that_its_forward_begins_with(randomised, random_image) -> None:
    model = randomised(nn.Sequential(nn.Conv2d(2, 4, 3), DenseLayer(4), nn.Flatten()))
    model[1].forward = lambda x, f=model[1].forward: f([x])
    interpreter = LinearInterpreter(model, random_image(1, 2, 6, 6))
    assert [n for n, _ in interpreter.contributions(0, by="block").layers] == ["0", "1"]


UNCHANGED = {
    "clone": lambda x: x.clone(), "contiguous": lambda x: x.contiguous(), "positive": lambda x: +x,
    "data": lambda x: x.data, "detach": lambda x: x.detach(), "alias": torch.ops.aten.alias,
    "dropout": lambda x: F.dropout(x, 0.5, False), "to": lambda x: x.to(torch.float64),
    "double": lambda x: x.double(),
    "dropout2d": lambda x: F.dropout2d(x, training=False), "type": lambda x: x.type(torch.float64),
    "dropout3d": lambda x: F.dropout3d(x, training=False),
    "alpha_dropout": lambda x: F.alpha_dropout(x),
    "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, False),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x),
}  # fmt: skip
CHOICES = {
    "where": lambda x: torch.where(x > 0.1, x, 0.1),
    "masked_fill": lambda x: x.masked_fill(x < 0.1, 0.1),
    "maximum": lambda x: torch.maximum(x, torch.full_like(x, 0.1)),
    "fmax": lambda x: torch.fmax(x, torch.full_like(x, 0.1)),
    "minimum": lambda x: x.minimum(torch.full_like(x, 0.1)),
    "fmin": lambda x: x.fmin(torch.full_like(x, 0.1)),
    "batch norm": lambda x: F.batch_norm(x, torch.ones(3).double(), torch.ones(3).double()),
    "a sigmoid": lambda x: x.sigmoid(),
}  # fmt: skip
# what begins no layer with weights, and so ends the stage
ENDING = {
    "sum": lambda x: x + 0.25, "sum of two": lambda x: (x + x.flip(1)).clamp(max=0.1),
    "pool": lambda x: F.avg_pool2d(x, 2).clamp(max=0.1),
    "two norms": lambda x: F.group_norm(F.instance_norm(x), 1),
}  # fmt: skip


class Stage(nn.Module):
    def __init__(self, between) -> None:
        super().__init__()
        self.conv, self.between = nn.Conv2d(2, 3, 3), between

    def forward(self, x):
        return self.between(self.conv(x)).flatten(1)


def stages(between, randomised, image):
    return dict(LinearInterpreter(randomised(Stage(between)), image).contributions(0).layers)


@pytest.mark.parametrize("name", [*UNCHANGED, *CHOICES])
def test_what_a_layer_with_weights_ends_with_counts_for_it(name, randomised, random_image) -> None:
    change, image = {**UNCHANGED, **CHOICES}[name], random_image(1, 2, 5, 5)
    found = stages(lambda x: F.relu6(change(x) * 1.0), randomised, image)
    assert list(found) == ["conv", "forward:relu6"]  # a product ends the stage
    found = stages(lambda x: F.relu6(change(x)), randomised, image)
    assert list(found) == ["conv"]


@pytest.mark.parametrize("name", ENDING)
def test_what_is_no_activation_ends_the_stage(name, randomised, random_image) -> None:
    found = stages(ENDING[name], randomised, random_image(1, 2, 6, 6))
    assert next(iter(found)) == "conv" and len(found) == 2


def test_a_module_used_twice_with_parts_is_told_apart(randomised, random_image) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Hardtanh())

        def forward(self, x):
            return self.inner(self.inner(x) + 1).flatten(1) - 2

    interpreter = LinearInterpreter(randomised(Twice()), random_image(1, 2, 3, 3))
    names = [name for name, _ in interpreter.contributions(0, by="op").layers]
    assert names == ["inner.0", "inner.1", "forward:add", "inner.0#2", "inner.1#2", "forward:sub"]
    names = [name for name, _ in interpreter.contributions(0, by="block").layers]
    assert names == ["inner.0", "forward"]
