"""The feature cut: which features it takes, and that nothing changes by it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter
from filterscope.linear.cut import affordable, find_cut
from filterscope.linear.discussion import Discussion
from filterscope.linear.spread import find_places

METHODS = ["conserving", "literal", "literal_times_input", "backprojected"]
LABELS = 40


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(2, 6, 3, stride=2), nn.Conv2d(6, 6, 3, padding=1)
        self.bn, self.head = nn.BatchNorm2d(6), nn.Linear(6, LABELS)

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(self.bn(self.conv(x)) + x)
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(9), nn.Linear(9, LABELS)

    def forward(self, x):
        x = torch.cat([x, F.relu(self.one(x))], 1)
        x = torch.cat([x, F.relu6(self.two(x))], 1)
        return self.head(F.relu(self.norm(x)).mean((2, 3)))


class Shortcut(nn.Module):
    """The features' own mean reaches the scores around the layer that follows them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden = nn.Conv2d(2, 5, 3), nn.Linear(5, 50)
        self.head = nn.Linear(50, LABELS)

    def forward(self, x):
        x = self.conv(x).amax((2, 3))
        return self.head(F.relu(self.hidden(x))) + x.mean(1, keepdim=True)


def with_dead_units():
    """As AlexNet: wide layers before the scores, of which ReLU leaves some units."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(),
        nn.Linear(36, 70), nn.ReLU(), nn.Dropout(), nn.Linear(70, 60), nn.ReLU(),
        nn.Linear(60, LABELS),
    )  # fmt: skip


def without_features():
    """As SqueezeNet: a map for each label."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, LABELS, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def cut_of(interpreter, labels=range(LABELS)):
    program = interpreter._program
    places = find_places(program, interpreter.images)
    return find_cut(program, interpreter.output, labels, places)


def active_units(model, image, last):
    return (model[:last](image)[0] > 0).nonzero()[:, 0].tolist()


@pytest.fixture
def build(randomised, random_image):
    def make(model):
        return LinearInterpreter(randomised(model).eval(), random_image(1, 2, 8, 8))

    return make


@pytest.mark.parametrize(
    ("model", "features"), [(Residual, 6), (Dense, 9), (Shortcut, 5), (without_features, None)]
)
def test_the_fewest_features_are_found(model, features, build) -> None:
    cut = cut_of(build(model()))
    assert (None if cut is None else len(cut.active)) == features


def test_units_that_are_switched_off_do_not_count(build, random_image) -> None:
    interpreter = build(with_dead_units())
    units = active_units(interpreter._model, random_image(1, 2, 8, 8), 10)
    assert 0 < len(units) < LABELS
    cut = cut_of(interpreter)
    assert cut.active.tolist() == units
    # the cut lies before the mask, and both parts together are the whole
    assert [step.name for step in cut.head.steps] == ["relu", "linear"]
    assert len(cut.trunk.steps) + 2 == len(interpreter._program.steps)


def test_a_cut_must_have_fewer_features_than_labels(build) -> None:
    interpreter = build(Residual())
    assert len(cut_of(interpreter, range(7)).active) == 6
    assert cut_of(interpreter, range(6)) is None


def test_a_cut_must_fit_its_budget(build, random_image) -> None:
    cut = cut_of(build(Residual()))
    like = random_image(1)
    assert affordable(cut, 100, like, 6 * 100 * 8) is cut
    assert affordable(cut, 100, like, 6 * 100 * 8 - 1) is None
    assert affordable(None, 100, like, 2**30) is None


def test_another_feature_is_an_error(build) -> None:
    cut = cut_of(build(with_dead_units()))
    with pytest.raises(RuntimeError, match="budget=0"):
        cut.coefficients(torch.ones(2, *cut.shape))


@pytest.mark.filterwarnings("ignore:the pixels of")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", [Residual, Dense, Shortcut, with_dead_units, without_features])
def test_a_cut_changes_nothing(model, method, build, relative) -> None:
    interpreter = build(model())
    through = Discussion(interpreter, range(LABELS), method)
    direct = Discussion(interpreter, range(LABELS), method, budget=0)
    assert (type(through._reader) is type(direct._reader)) == (model is without_features)
    # through the parts that are linear in the label; a scale near 0 / 0 would drown the comparison
    units = torch.eye(LABELS, dtype=torch.float64)[:, None]
    maps, terms = through._reader.read(units)
    expected, sizes = direct._reader.read(units)
    assert relative(maps, expected) < 1e-12
    if method == "conserving":
        assert bool((terms >= sizes * (1 - 1e-12)).all())
        assert relative(through.read(range(LABELS)), direct.read(range(LABELS))) < 1e-12
