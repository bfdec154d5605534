"""Names of called functions, and whether they write into their input."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter
from filterscope.linear.operations import operation


@pytest.mark.parametrize(
    ("function", "kwargs", "name", "writes"),
    [
        (torch.relu, {}, "relu", False),
        (torch.relu_, {}, "relu", True),
        (F.relu, {"inplace": False}, "relu", False),
        (F.relu, {"inplace": True}, "relu", True),
        (Tensor.__add__, {}, "add", False),
        (Tensor.__setitem__, {}, "setitem", True),
        (Tensor.copy_, {}, "copy", True),
        (Tensor.requires_grad_, {}, "detach", False),
        (Tensor.T.__get__, {}, "T", False),
    ],
)
def test_names_and_writing(function, kwargs, name, writes) -> None:
    found = operation(function, kwargs)
    assert (found.name, found.writes) == (name, writes)


@pytest.mark.parametrize("function", [Tensor.mul_, Tensor.clamp_, Tensor.fill_])
def test_what_writes_is_replaced_by_what_does_not(function) -> None:
    given = torch.tensor([1.0, -2.0, 3.0])
    before, found = given.clone(), operation(function, {})
    result = found.function(given, 2.0)
    assert torch.equal(given, before)
    assert torch.equal(result, function(given, 2.0))


def iadd(x):
    x += 2
    return x


def isub(x):
    x -= 2
    return x


def imul(x):
    x *= 2
    return x


def itruediv(x):
    x /= 2
    return x


@pytest.mark.parametrize("write", [iadd, isub, imul, itruediv])
def test_operators_that_write_are_seen_as_what_they_do(write, random_image) -> None:
    image = random_image(1, 1, 2, 2)
    values = image * 3

    class Net(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = x * 3
            write(y)
            return y.flatten(1)

    interpreter = LinearInterpreter(Net(), image)
    torch.testing.assert_close(interpreter.output, write(values).flatten(1))
    slope = {imul: 6.0, itruediv: 1.5}.get(write, 3.0)
    torch.testing.assert_close(interpreter.row(1), slope * torch.eye(4).double()[1].view(1, 2, 2))
    shift = {iadd: 2.0, isub: -2.0}.get(write, 0.0)
    torch.testing.assert_close(interpreter.residual, torch.full_like(interpreter.output, shift))


class Dropped(nn.Module):
    """Writes through `inplace=True` and reads what was written into, not what was returned."""

    def forward(self, x: Tensor) -> Tensor:
        x = x * 2 - 1
        F.relu(x, inplace=True)
        return (x + x).flatten(1)


def test_values_written_into_by_an_option_are_seen(random_image, relative) -> None:
    image = random_image(1, 1, 3, 3)
    interpreter = LinearInterpreter(Dropped().double(), image)
    jacobian = torch.autograd.functional.jacobian(Dropped(), image).view(9, 9)
    rows = torch.stack([interpreter.row(label).flatten() for label in range(9)])
    assert 0 < int((rows.abs().sum(1) > 0).sum()) < 9
    assert relative(rows, jacobian) < 1e-12
