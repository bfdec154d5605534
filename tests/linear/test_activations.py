"""Each activation in each reading, by formula from its own definition."""

import math

import pytest
import torch
from tests.linear.networks import Unit
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation

POINTS = torch.tensor([[-4.5, -1.3, -0.6, -0.2, 0.15, 0.3, 0.8, 1.7, 3.6, 7.0]]).double()
SLOPE = torch.tensor([0.3], dtype=torch.float64)


def softplus(y):
    return (1 + y.exp()).log()


def elu(y, alpha, scale):
    return torch.where(y > 0, y, alpha * ((y / scale).exp() - 1))


# each as it is called, and its definition
SMOOTH = {
    "sigmoid": (F.sigmoid, lambda y: 1 / (1 + (-y).exp())),
    "expit": (torch.special.expit, lambda y: 1 / (1 + (-y).exp())),
    "tanh": (torch.tanh, lambda y: (y.exp() - (-y).exp()) / (y.exp() + (-y).exp())),
    "softplus": (F.softplus, softplus),
    "elu": (lambda x: F.elu(x, 0.7), lambda y: elu(y, 0.7, 1)),
    "celu": (lambda x: F.celu(x, 0.7), lambda y: elu(y, 0.7, 0.7)),
    "selu": (F.selu, lambda y: 1.0507009873554805 * elu(y, 1.6732632423543772, 1)),
    "logsigmoid": (F.logsigmoid, lambda y: -softplus(-y)),
    "softsign": (F.softsign, lambda y: y / (1 + y.sign() * y)),
    "tanhshrink": (F.tanhshrink, lambda y: y - y.tanh()),
    "erf": (torch.erf, lambda y: y.new_tensor([[math.erf(one) for one in y[0]]])),
    "atan": (torch.atan, lambda y: (y / (1 + y * y).sqrt()).asin()),
    "arctan": (torch.arctan, lambda y: (y / (1 + y * y).sqrt()).asin()),
    "exp": (torch.exp, lambda y: math.e**y),
    "expm1": (torch.expm1, lambda y: math.e**y - 1),
    "sin": (torch.sin, lambda y: (y - math.pi / 2).cos()),
    "cos": (torch.cos, lambda y: (y + math.pi / 2).sin()),
}

# h(y) = y g(y): the definition of g
GATED = {
    "silu": (F.silu, lambda y: 1 / (1 + (-y).exp())),
    "mish": (F.mish, lambda y: softplus(y).tanh()),
    "hardswish": (F.hardswish, lambda y: ((y + 3) / 6).clamp(0, 1)),
    "gelu": (F.gelu, lambda y: torch.distributions.Normal(0, 1).cdf(y)),
    "gelu by tanh": (
        lambda x: F.gelu(x, approximate="tanh"),
        lambda y: (1 + ((2 / math.pi) ** 0.5 * (y + 0.044715 * y * y * y)).tanh()) / 2,
    ),
}

# name: call, pieces (first, end, slope, constant)
PIECES = {
    "relu": (F.relu, [(-9, 0, 0, 0), (0, 9, 1, 0)]),
    "leaky_relu": (F.leaky_relu, [(-9, 0, 0.01, 0), (0, 9, 1, 0)]),
    "prelu": (lambda x: F.prelu(x, SLOPE), [(-9, 0, 0.3, 0), (0, 9, 1, 0)]),
    "rrelu": (lambda x: F.rrelu(x, 0.2, 0.6), [(-9, 0, 0.4, 0), (0, 9, 1, 0)]),
    "relu6": (F.relu6, [(-9, 0, 0, 0), (0, 6, 1, 0), (6, 9, 0, 6)]),
    "hardtanh": (F.hardtanh, [(-9, -1, 0, -1), (-1, 1, 1, 0), (1, 9, 0, 1)]),
    "clamp": (lambda x: x.clamp(-1, 2), [(-9, -1, 0, -1), (-1, 2, 1, 0), (2, 9, 0, 2)]),
    "clip": (lambda x: x.clip(-1, 2), [(-9, -1, 0, -1), (-1, 2, 1, 0), (2, 9, 0, 2)]),
    "clamp_min": (lambda x: x.clamp_min(-1), [(-9, -1, 0, -1), (-1, 9, 1, 0)]),
    "clamp_max": (lambda x: torch.clamp_max(x, 2), [(-9, 2, 1, 0), (2, 9, 0, 2)]),
    "hardsigmoid": (F.hardsigmoid, [(-9, -3, 0, 0), (-3, 3, 1 / 6, 0.5), (3, 9, 0, 1)]),
    "abs": (torch.abs, [(-9, 0, -1, 0), (0, 9, 1, 0)]),
    "absolute": (lambda x: x.absolute(), [(-9, 0, -1, 0), (0, 9, 1, 0)]),
    "threshold": (lambda x: F.threshold(x, 0.2, -2), [(-9, 0.2, 0, -2), (0.2, 9, 1, 0)]),
    "hardshrink": (F.hardshrink, [(-9, -0.5, 1, 0), (-0.5, 0.5, 0, 0), (0.5, 9, 1, 0)]),
    "softshrink": (F.softshrink, [(-9, -0.5, 1, 0.5), (-0.5, 0.5, 0, 0), (0.5, 9, 1, -0.5)]),
}
THROUGH_ZERO = ["relu", "leaky_relu", "prelu", "rrelu", "abs", "absolute"]
GATES = {"sigmoid", "expit", "hardsigmoid"}


def check(interpreter, slope, offset) -> None:
    size = slope.numel()
    rows = interpreter.adjoint(torch.eye(size).double()[:, None])[:, 0]
    # PyTorch keeps the sixth of hardsigmoid in single precision
    torch.testing.assert_close(rows, torch.diag(slope[0]), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(interpreter.residual, offset, rtol=1e-7, atol=1e-7)
    parts = interpreter.contributions(3)
    torch.testing.assert_close(torch.tensor(parts.residual), offset[0, 3].float())


def derivative(function, y):
    """By central differences of the fourth order."""
    h = 1e-3
    return (8 * (function(y + h) - function(y - h)) - function(y + 2 * h) + function(y - 2 * h)) / (
        12 * h
    )


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_units_by_their_definition(name) -> None:
    call, value = SMOOTH[name]
    h, at_zero = value(POINTS), value(torch.zeros_like(POINTS))
    chord = (h - at_zero) / POINTS
    check(LinearInterpreter(Unit(call), POINTS), chord, at_zero)
    check(LinearInterpreter(Unit(call), POINTS, smooth="gain"), h / POINTS, 0 * h)
    tangent = LinearInterpreter(Unit(call), POINTS, smooth="tangent")
    slopes = tangent.apply(torch.ones_like(POINTS))
    torch.testing.assert_close(slopes, derivative(value, POINTS), rtol=1e-7, atol=1e-7)
    check(tangent, slopes, h - slopes * POINTS)


@pytest.mark.parametrize("name", GATED)
def test_units_that_gate_themselves_by_their_definition(name) -> None:
    call, gate = GATED[name]
    for smooth in ("chord", "gain"):
        interpreter = LinearInterpreter(Unit(call), POINTS, smooth=smooth)
        check(interpreter, gate(POINTS), torch.zeros_like(POINTS))
        at_zero = LinearInterpreter(Unit(call), torch.zeros_like(POINTS), smooth=smooth)
        check(at_zero, gate(torch.zeros_like(POINTS)), torch.zeros_like(POINTS))
    tangent = LinearInterpreter(Unit(call), POINTS, smooth="tangent")
    slopes = derivative(lambda y: y * gate(y), POINTS)
    found = tangent.apply(torch.ones_like(POINTS))
    torch.testing.assert_close(found, slopes, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", PIECES)
def test_pieces_by_their_definition(name) -> None:
    call, pieces = PIECES[name]
    found = [next(p for p in pieces if p[0] < float(y) <= p[1]) for y in POINTS[0]]
    slope, offset = POINTS.new_tensor([[p[2:] for p in found]]).movedim(-1, 0)
    for smooth in ("chord", "gain", "tangent"):
        check(LinearInterpreter(Unit(call), POINTS, smooth=smooth), slope, offset)


@pytest.mark.parametrize("name", PIECES)
def test_images_that_are_not_clipped_have_the_layers_of_those_that_are(name) -> None:
    image = torch.full((1, 4), 0.25).double()  # no unit has a constant there but hardsigmoid
    parts = LinearInterpreter(Unit(PIECES[name][0]), image).contributions(1)
    assert [layer for layer, _ in parts.layers] == (
        [] if name in THROUGH_ZERO else [f"forward:{name}"]
    )


@pytest.mark.parametrize("name", [*SMOOTH, *GATED, *PIECES])
def test_which_units_are_gates(name) -> None:
    call = {**SMOOTH, **GATED, **PIECES}[name][0]
    model = Unit(lambda x: call(x) * (x * 2))
    if name in GATES:
        gate = call(POINTS)
        check(LinearInterpreter(model, POINTS, freeze_gates=True), 2 * gate, 0 * gate)
        return
    with pytest.raises(UnsupportedOperation, match="none of its factors is a gate"):
        LinearInterpreter(model, POINTS, freeze_gates=True)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "logsigmoid", "exp", "cos"])
def test_near_zero_gain_is_a_constant_and_chord_the_tangent(name) -> None:
    call, value = SMOOTH[name]
    eps = torch.finfo(torch.float64).eps ** 0.5
    image = torch.tensor([[0.0, 0.4 * eps, -0.9 * eps, 1.5 * eps, 1e-3]]).double()
    h, at_zero = value(image), value(torch.zeros_like(image))
    near = torch.tensor([[True, True, True, False, False]])
    gain = LinearInterpreter(Unit(call), image, smooth="gain")
    torch.testing.assert_close(gain.residual, torch.where(near, h, 0), rtol=1e-9, atol=1e-12)
    slopes = gain.apply(torch.ones_like(image))
    expected = torch.where(near, 0, h / torch.where(near, 1, image))
    torch.testing.assert_close(slopes, expected, rtol=1e-9, atol=1e-12)
    chord = LinearInterpreter(Unit(call), image)
    torch.testing.assert_close(chord.residual, at_zero)
    slopes = chord.apply(torch.ones_like(image))
    expected = derivative(value, torch.zeros_like(image))
    torch.testing.assert_close(slopes[near], expected[near], rtol=1e-7, atol=1e-7)


def test_slopes_that_are_drawn_are_refused() -> None:
    with pytest.raises(UnsupportedOperation, match="draws slopes at random"):
        LinearInterpreter(Unit(lambda x: F.rrelu(x, training=True)), POINTS)


@pytest.mark.parametrize(
    "unit", [lambda x: x.clamp(min=x.mean()), lambda x: F.prelu(x, x[0, :1]), lambda x: x.clip(x)]
)
def test_bounds_that_move_with_the_image_are_refused(unit) -> None:
    with pytest.raises(UnsupportedOperation, match="must be constant"):
        LinearInterpreter(Unit(unit), POINTS)
