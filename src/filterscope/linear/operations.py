"""One name and one harmless form for the many ways in which PyTorch lets an operation be called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Operation:
    """A called function.

    Attributes:
        name: Without the underscores of in-place and operator forms.
        function: The form that leaves its arguments as they are; None where there is none.
        writes: Whether the call itself writes its result into its first argument.
    """

    name: str
    function: Callable[..., Any] | None
    writes: bool


def operation(function: Any, kwargs: Mapping[str, Any]) -> Operation:
    """Recognise a called function.

    Args:
        function: What `TorchFunctionMode` was given.
        kwargs: The call's keyword arguments, of which ``inplace`` is looked at.

    Examples:
        >>> found = operation(torch.Tensor.add_, {})
        >>> found.name, found.writes, found.function is torch.Tensor.add
        ('add', True, True)
    """
    found = _recognised(function)
    return replace(found, writes=True) if kwargs.get("inplace", False) else found


@lru_cache(maxsize=1024)
def _recognised(function: Any) -> Operation:
    full = _full_name(function)
    if full in _WITHOUT_WRITING:
        return Operation(full.strip("_"), _WITHOUT_WRITING[full], writes=True)
    if full == "requires_grad_":
        return Operation("detach", Tensor.detach, writes=False)
    if full.endswith("_") and not full.startswith("__"):
        return Operation(full.strip("_"), _named(full[:-1]), writes=True)
    return Operation(full.strip("_"), function, writes=False)


def _full_name(function: Any) -> str:
    """The function's name; of a property's getter, the property's."""
    name = str(getattr(function, "__name__", None) or repr(function))
    owner = getattr(function, "__self__", None)
    return str(owner.__name__) if name == "__get__" and owner is not None else name


def _named(name: str) -> Callable[..., Any] | None:
    """The function of that name that returns a new tensor."""
    for home in (Tensor, torch, F):
        if hasattr(home, name):
            found: Callable[..., Any] = getattr(home, name)
            return found
    return None


def _with_item(input: Tensor, index: Any, value: Any) -> Tensor:
    result = input.clone()
    result[index] = value
    return result


def _copied(input: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    return src.to(input).expand_as(input).clone()


_WITHOUT_WRITING: dict[str, Callable[..., Any]] = {
    "__setitem__": _with_item,
    "copy_": _copied,
    "fill_": torch.full_like,
    "zero_": torch.zeros_like,
}
