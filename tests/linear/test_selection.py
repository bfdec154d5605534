"""Choices between values: which is taken, and what constant that leaves."""

import pytest
import torch
from tests.linear.networks import FlatUnit

from filterscope.linear import LinearInterpreter

SIZE = (1, 3, 4, 5)
CONSTANT = torch.linspace(-1.5, 1.5, 60, dtype=torch.float64).view(SIZE)
MASK = CONSTANT.remainder(0.3) > 0.12
INDEX = torch.tensor([2, 0])


@pytest.fixture
def image(random_image):
    return random_image(*SIZE)


def by_hand(function, image):
    """The matrix by differences, which are exact for a selection, and what is left."""
    model, h = FlatUnit(function), 2.0**-20
    with torch.no_grad():
        here = model(image)
        columns = []
        for place in range(image.numel()):
            moved = image.clone()
            moved.view(-1)[place] += h
            columns.append((model(moved) - here)[0] / h)
    found = torch.stack(columns, 1).round(decimals=6)
    return found, here - (found @ image.flatten())[None]


def written(part, value):
    def write(x):
        y = x * 1
        y[part] = value(x) if callable(value) else value
        return y

    return write


def into_constant(part, value):
    def write(x):
        y = CONSTANT.clone()
        y[part] = value(x)
        return y

    return write


CHOICES = {
    "where": lambda x: torch.where(MASK, x, CONSTANT),
    "where, the other": lambda x: torch.where(MASK, CONSTANT, x),
    "where, a number": lambda x: torch.where(MASK, x, 1.0),
    "where, a number first": lambda x: torch.where(x > 0.2, 0.5, x),
    "where, two": lambda x: x.where(MASK, x.flip(3) * 3),
    "where, broadcast": lambda x: torch.where(MASK[:, :1], x[:, :, :1], x),
    "masked_fill": lambda x: x.masked_fill(MASK, -2.0),
    "masked_fill_": lambda x: (x * 1).masked_fill_(MASK, 0.25),
    "masked_fill, a tensor": lambda x: x.masked_fill(MASK, torch.tensor(3.0).double()),
    "masked_fill, the image": lambda x: CONSTANT.masked_fill(MASK, x.sum()),
    "maximum": lambda x: torch.maximum(x, CONSTANT), "fmax": lambda x: x.fmax(CONSTANT),
    "maximum, two": lambda x: torch.maximum(x, x.flip(2)), "minimum": lambda x: x.minimum(CONSTANT),
    "fmin": lambda x: torch.fmin(CONSTANT, x), "minimum, two": lambda x: torch.minimum(x, x.mT.mT),
    "max of two": lambda x: torch.max(x, CONSTANT), "min of two": lambda x: torch.min(x, CONSTANT),
    "max of two, named": lambda x: torch.max(x, other=CONSTANT),
    "max": lambda x: x.max(), "min": lambda x: torch.min(x),
    "max along": lambda x: x.max(2)[0], "max along, kept": lambda x: x.max(1, keepdim=True)[0] + x,
    "min along": lambda x: x.min(dim=-1).values, "min along, kept": lambda x: x - x.min(3, True)[0],
    "amax": lambda x: x.amax(), "amax along": lambda x: x.amax(1),
    "amax along two": lambda x: x.amax((1, -1)), "amax, kept": lambda x: x - x.amax((2, 3), True),
    "amin": lambda x: torch.amin(x), "amin along two": lambda x: x.amin(dim=(3, 1)),
    "amin, kept": lambda x: x - x.amin(-2, keepdim=True),
    "setitem": written((slice(None), 1), 2.0), "setitem, zero": written((0, 1, 2), 0.0),
    "setitem, a constant": written((slice(None), slice(0, 2)), CONSTANT[:, 1:]),
    "setitem, the image": written((..., slice(0, 2)), lambda x: x[..., 3:] * 2),
    "setitem, by index": written((slice(None), INDEX), lambda x: x[:, 1:] * 3),
    "setitem, by mask": written(MASK, -1.0),
    "setitem, into a constant": into_constant((slice(None), 0), lambda x: x[:, 2]),
    "setitem, broadcast": into_constant(
        (slice(None), INDEX), lambda x: x[:, 1:2, 1:2, 1:2].expand(1, 2, 4, 5)),
    "copy": lambda x: torch.empty_like(x).copy_(x.mT.mT * 2),
    "copy, broadcast": lambda x: torch.empty_like(x).copy_(x[:, :1]),
    "copy of a constant": lambda x: (x * 2).copy_(CONSTANT) + x,
    "fill": lambda x: (x * 2).fill_(0.75) + x, "zero": lambda x: (x * 2).zero_() + x,
    "fill, anew": lambda x: torch.fill(x, 0.75) + x,
}  # fmt: skip


@pytest.mark.parametrize("name", CHOICES)
def test_choices_are_selections_and_their_constants(name, image) -> None:
    expected, rest = by_hand(CHOICES[name], image)
    interpreter = LinearInterpreter(FlatUnit(CHOICES[name]), image)
    torch.testing.assert_close(interpreter.output, FlatUnit(CHOICES[name])(image), rtol=0, atol=0)
    units = torch.eye(interpreter.output.numel(), dtype=torch.float64)[:, None]
    torch.testing.assert_close(interpreter.adjoint(units).flatten(1), expected)
    torch.testing.assert_close(interpreter.residual, rest, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("function", "has_constant"),
    [
        (lambda x: torch.where(MASK, x, 0), False),
        (lambda x: torch.where(MASK, x, 1), True),
        (lambda x: torch.where(MASK, x, 0 * CONSTANT), False),
        (lambda x: torch.where(MASK, x, x * 2), False),
        (lambda x: x.masked_fill(MASK, 0.0), False),
        # where it is chosen nowhere at this image, it may be at another
        (lambda x: torch.where(x > 100, 1.0, x), True),
        (lambda x: torch.maximum(x, CONSTANT - 100), True),
        (lambda x: torch.maximum(x, torch.zeros_like(CONSTANT) - 0), False),
        (written((0, 1, 2), 0), False),
        (written((0, 1, 2), 1), True),
        (written((0, 1, 2), lambda x: x[0, 0, 0]), False),
        (into_constant((slice(None), 0), lambda x: x[:, 2]), True),
        (lambda x: (x * 2).zero_() + x, False),
        (lambda x: (x * 2).fill_(1) + x, True),
    ],
)
def test_a_choice_against_zero_is_no_layer(function, has_constant, image) -> None:
    layers = LinearInterpreter(FlatUnit(function), image).contributions(0).layers
    assert len(layers) == has_constant


def test_of_equal_values_the_first_is_chosen(image) -> None:
    for function in (torch.maximum, torch.minimum):
        interpreter = LinearInterpreter(FlatUnit(lambda x, f=function: f(x, x.mT.mT * 1)), image)
        eye = torch.eye(60, dtype=torch.float64)
        torch.testing.assert_close(interpreter.adjoint(eye[:, None]).flatten(1), eye)
        tied = LinearInterpreter(FlatUnit(lambda x, f=function: f(x, CONSTANT)), CONSTANT.clone())
        torch.testing.assert_close(tied.adjoint(eye[:, None]).flatten(1), eye)
        assert not tied.residual.any()
