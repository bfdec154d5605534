"""Recording: state and randomness, memory that is written, and reading the record backwards."""

import random
import resource

import pytest
import torch
from numpy.random import mtrand
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation
from filterscope.linear.graph import Graph, replayed


class Drawing(nn.Module):
    """Multiplies by what it draws or remembers."""

    def __init__(self, kind) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0
        self.own = torch.Generator().manual_seed(0)
        self.register_buffer("written", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(()))
        self.inner = nn.Conv2d(2, 2, 1)

    def forward(self, x):
        return self.inner(x).flatten(1) * getattr(self, "_" + self.kind)()

    def _torch(self):
        return torch.rand(())

    def _generator(self):
        return torch.rand((), generator=self.own)

    def _python(self):
        return random.random()

    def _numpy(self):
        return float(mtrand.rand())

    def _attribute(self):
        self.calls += 1
        return self.calls

    def _buffer_written(self):
        return self.written.add_(1) + 0

    def _buffer_replaced(self):
        self.replaced = self.replaced + 1
        return self.replaced


KINDS = ["torch", "generator", "python", "numpy", "attribute", "buffer_written", "buffer_replaced"]


@pytest.fixture
def image(random_image):
    return random_image(1, 2, 4, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_differs_from_pass_to_pass_is_refused(kind, randomised, image) -> None:
    with pytest.raises(ValueError, match="differ by"):
        LinearInterpreter(randomised(Drawing(kind)), image)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_and_not_used_does_not_matter(kind, randomised, image, check_affine) -> None:
    class Idle(Drawing):
        def forward(self, x):
            getattr(self, "_" + self.kind)()
            return self.inner(x).flatten(1)

    model = randomised(Idle(kind)).eval()
    expected = model(image).detach()
    check_affine(LinearInterpreter(model, image), expected)


def test_a_quiet_network_runs_once(randomised, image) -> None:
    class Counted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(inplace=True), nn.Flatten())

        def forward(self, x):
            passes.append(1)
            return self.inner(x)

    passes = []
    LinearInterpreter(randomised(Counted()), image).contributions(0)
    assert len(passes) == 1


def overwriting(x):
    """Writes into what autograd keeps, as nobody could train but anybody can run."""
    y = F.relu(x)
    z = F.conv2d(y, torch.eye(2, dtype=x.dtype).view(2, 2, 1, 1) * 2)
    y += 1
    return (z + y).flatten(1)


def one_view_of_two(x):
    left, right = x.chunk(2, 1)
    left.relu_()
    return torch.cat([left, right * 2], 1).flatten(1)


def a_part(x):
    y = torch.zeros(1, 4, 4, 4, dtype=x.dtype)
    y[:, 1:3] = x
    y[:, 0].copy_(x[:, 0])
    return y


def in_turn(x):
    x.relu_()
    x.detach().add_(1)
    x += x.mean()
    return x.mul_(2).flatten(1)


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.before, self.function = nn.Conv2d(2, 2, 1), function

    def forward(self, x):
        return self.function(self.before(x))


@pytest.mark.parametrize("function", [overwriting, in_turn])
def test_memory_that_is_written_is_read_backwards_rightly(
    function, randomised, image, check_affine, relative
) -> None:
    model = randomised(Function(function))
    with torch.no_grad():
        expected = model(image)
    interpreter = LinearInterpreter(model, image)
    check_affine(interpreter, expected)
    units = torch.eye(interpreter.output.numel(), dtype=image.dtype)[:, None]
    assert not interpreter._graph._is_replay or function is overwriting
    replay = Graph(interpreter._program, image)
    assert relative(interpreter.adjoint(units), replay.adjoint(units)) < 1e-13


@pytest.mark.parametrize("function", [one_view_of_two, a_part])
def test_a_write_through_a_view_is_refused_or_right(
    function, randomised, image, check_affine
) -> None:
    model = randomised(Function(function))
    with torch.no_grad():
        expected = model(image)
    try:
        interpreter = LinearInterpreter(model, image)
    except UnsupportedOperation as error:
        assert "through a view" in str(error)
    else:
        check_affine(interpreter, expected)


def test_the_record_equals_a_replay(randomised, image, relative) -> None:
    model = randomised(
        nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(inplace=True),
                      nn.MaxPool2d(2), nn.GroupNorm(2, 4), nn.Hardtanh(), nn.Sigmoid(),
                      nn.Flatten(), nn.Linear(16, 3)))  # fmt: skip
    for smooth in ("chord", "gain", "tangent"):
        interpreter = LinearInterpreter(model, image, smooth=smooth)
        recorded = interpreter._graph
        again = Graph(interpreter._program, image, replayed(interpreter._program, image))
        u = torch.eye(3, dtype=image.dtype)[:, None]
        first, others = recorded.gradients(u)
        expected, rest = again.gradients(u)
        assert relative(first, expected) < 1e-12
        for one, other in zip(others, rest, strict=True):
            assert relative(one, other) < 1e-12
        assert relative(recorded.backproject(others), again.backproject(rest)) < 1e-12


@pytest.mark.slow
def test_a_hundred_interpreters_take_the_memory_of_one(randomised, random_image) -> None:
    layers = [nn.Conv2d(2, 16, 3, padding=1), nn.BatchNorm2d(16), nn.SiLU(inplace=True),
              nn.MaxPool2d(2), nn.Conv2d(16, 3, 1), nn.ReLU(), nn.Flatten()]  # fmt: skip
    model, image = randomised(nn.Sequential(*layers)), random_image(1, 2, 64, 64)

    def use() -> None:
        interpreter = LinearInterpreter(model, image)
        interpreter.contributions(0)
        interpreter.filter_contributions(0, "2")
        interpreter.adjoint(torch.zeros(2, interpreter.output.numel()))

    def peak_kilobytes() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for _ in range(20):
        use()
    before = peak_kilobytes()
    for _ in range(100):
        use()
    # the activations of one of them alone are 3 MB
    assert peak_kilobytes() - before < 40_000


def test_nothing_is_left_on_the_network_after_an_error(randomised, image) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            y = self.norm(self.inner(x))
            raise KeyError(f"stop after {tuple(y.shape)}")

    model = randomised(Failing()).train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(KeyError, match="stop after"):
        LinearInterpreter(model, image)
    assert all(module.training for module in model.modules())
    assert all(one.requires_grad and one.grad is None for one in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert not any(vars(tensor) for tensor in model.state_dict(keep_vars=True).values())
