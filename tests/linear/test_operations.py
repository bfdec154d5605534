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
        (Tensor.__iadd__, {}, "iadd", True),
        (Tensor.__imod__, {}, "imod", True),
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


@pytest.mark.parametrize("function", [Tensor.mul_, Tensor.__imul__, Tensor.clamp_, Tensor.fill_])
def test_what_writes_is_replaced_by_what_does_not(function) -> None:
    given = torch.tensor([1.0, -2.0, 3.0])
    before, found = given.clone(), operation(function, {})
    result = found.function(given, 2.0)
    assert torch.equal(given, before)
    assert torch.equal(result, function(given, 2.0))


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "mod", "floordiv"])
def test_operators_that_write_are_replaced_by_what_does_not(name: str) -> None:
    given, function = torch.tensor([1.0, -2.0, 3.0]), getattr(Tensor, f"__i{name}__")
    before, found = given.clone(), operation(function, {})
    assert found.writes
    result = found.function(given, 2.0)
    assert torch.equal(given, before)
    assert torch.equal(result, function(given, 2.0))


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
