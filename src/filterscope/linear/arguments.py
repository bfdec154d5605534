"""Tensors among the arguments of a call: listed, exchanged, and left open to be filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only


@dataclass(frozen=True)
class Slot:
    """A place that is to be filled with the value of that number."""

    number: int


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors in a value, in order.

    Examples:
        >>> import torch
        >>> len(tensors_of((torch.ones(1), [2, torch.ones(1)], {"a": torch.ones(1)})))
        3
    """
    if isinstance(value, Tensor):
        return [value]
    kind = type(value)
    if kind is tuple or kind is list or kind is dict:
        inner = value.values() if kind is dict else value
        return [tensor for item in inner for tensor in tensors_of(item)]
    if isinstance(value, (tuple, list, dict)):
        return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]
    return []


def with_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """The same value with each tensor replaced by what `change` makes of it."""
    if isinstance(value, Tensor):
        return change(value)
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(with_tensors(item, change) for item in value)
    if kind is dict:
        return {key: with_tensors(item, change) for key, item in value.items()}
    if isinstance(value, (tuple, list, dict)):
        return tree_map_only(Tensor, change, value)
    return value


def filled(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Callable[..., Any]:
    """A function of the values of the slots among these arguments, in the order of the slots."""
    places = [place for place, item in enumerate(args) if isinstance(item, Slot)]
    if len(places) == len(_slots((args, kwargs))):
        order = [args[place].number for place in places]

        def call(*values: Tensor) -> Any:
            given = list(args)
            for place, number in zip(places, order, strict=True):
                given[place] = values[number]
            return function(*given, **kwargs)

        return call

    def call_nested(*values: Tensor) -> Any:
        given, named = _filled((tuple(args), dict(kwargs)), values)
        return function(*given, **named)

    return call_nested


def _slots(value: Any) -> list[Slot]:
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [slot for item in value for slot in _slots(item)]
    return [value] if isinstance(value, Slot) else []


def _filled(value: Any, values: Sequence[Tensor]) -> Any:
    if isinstance(value, Slot):
        return values[value.number]
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(_filled(item, values) for item in value)
    if kind is dict:
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, (tuple, list, dict)) and _slots(value):
        return tree_map_only(Slot, lambda slot: values[slot.number], value)
    return value


def carried(output: Any, linear: Any) -> Any:
    """The values that an operation gave, with the derivative of its frozen form."""
    if isinstance(output, Tensor):
        linear = linear if isinstance(linear, Tensor) else linear[0]
        value = output.detach()
        same = value.shape == linear.shape and value.stride() == linear.stride()
        if same and value.data_ptr() == linear.data_ptr():
            return linear  # the very memory, which the network may count on
        return linear.expand(value.shape) + (value - linear.detach())
    made = iter(linear if isinstance(linear, (tuple, list)) else [linear])
    return with_tensors(output, lambda one: carried(one, next(made))
                        if one.is_floating_point() else one)  # fmt: skip


def floating(output: Any) -> list[Tensor]:
    """The floating-point tensors of a result, in order."""
    return [tensor for tensor in tensors_of(output) if tensor.is_floating_point()]
