"""Choices between values: where, maximum, maxima along an axis, writing into a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from filterscope.linear.rules.table import Affine, Call, nonzero, rule

Number = Tensor | float


@rule("where")
def where(call: Call, condition: Any, input: Any, other: Number) -> Affine:
    """`input` where the condition holds at the image, else `other`."""
    if call.function is Tensor.where:  # whose own values come first
        condition, input = input, condition
    return _choice(call, condition, input, other)


@rule("masked_fill")
def masked_fill(call: Call, input: Tensor, mask: Tensor, value: Number) -> Affine:
    """A value in the places of a mask."""
    return _choice(call, ~mask, input, value)


@rule("maximum", "fmax")
def maximum(call: Call, input: Tensor, other: Tensor) -> Affine:
    """The larger at the image of two tensors."""
    return _choice(call, input >= other, input, other)


@rule("minimum", "fmin")
def minimum(call: Call, input: Tensor, other: Tensor) -> Affine:
    """The smaller at the image of two tensors."""
    return _choice(call, input <= other, input, other)


def _choice(call: Call, mask: Tensor, chosen: Number, other: Number) -> Affine:
    """A selection between two values; one that is constant gives an offset."""
    first, second = call.depends(chosen), call.depends(other)
    zero = call.output.new_zeros(())
    constant = torch.where(mask, zero if first else chosen, zero if second else other)
    counts = any(_is_nonzero(one) for one in (chosen, other) if not call.depends(one))
    # kept where it is chosen nowhere at this image, so that all images have the same layers
    offset = constant.to(call.output.dtype) if counts else None

    def linear(*values: Tensor) -> Tensor:
        left = values[0] if first else zero
        right = values[-1] if second else zero
        return torch.where(mask, left, right)

    return Affine(linear, offset)


def _is_nonzero(value: Number) -> bool:
    """Whether a number, or any number of a tensor, is not zero."""
    return bool(value.any()) if isinstance(value, Tensor) else value != 0


@rule("max")
def largest(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Affine:
    """The largest value: of all, along an axis, or of two tensors."""
    return _extreme(call, input, torch.argmax, maximum, *args, **kwargs)


@rule("min")
def smallest(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Affine:
    """The smallest value: of all, along an axis, or of two tensors."""
    return _extreme(call, input, torch.argmin, minimum, *args, **kwargs)


def _extreme(
    call: Call,
    input: Tensor,
    place_of: Any,
    of_two: Any,
    dim: Tensor | int | None = None,
    keepdim: bool = False,
    *,
    other: Tensor | None = None,
) -> Affine:
    if isinstance(dim, Tensor) or other is not None:
        chosen: Affine = of_two(call, input, dim if other is None else other)
        return chosen
    return _selected(input, place_of, () if dim is None else (dim,), keepdim)


@rule("amax")
def largest_along(
    call: Call, input: Tensor, dim: int | Sequence[int] = (), keepdim: bool = False
) -> Affine:
    """The largest value along one or more axes."""
    return _selected(input, torch.argmax, dim, keepdim)


@rule("amin")
def smallest_along(
    call: Call, input: Tensor, dim: int | Sequence[int] = (), keepdim: bool = False
) -> Affine:
    """The smallest value along one or more axes."""
    return _selected(input, torch.argmin, dim, keepdim)


def _selected(input: Tensor, place_of: Any, dim: int | Sequence[int], keepdim: bool) -> Affine:
    """Select one place along the given axes; along all of them where none is given."""
    axes = [dim] if isinstance(dim, int) else list(dim)
    axes = [axis % input.dim() for axis in axes] or list(range(input.dim()))
    others = [axis for axis in range(input.dim()) if axis not in axes]
    kept = [input.shape[axis] for axis in others]
    final = [1 if axis in axes else size for axis, size in enumerate(input.shape)]

    def flat(x: Tensor) -> Tensor:
        return x.permute(*others, *axes).reshape(*kept, -1)

    places = place_of(flat(input), dim=-1, keepdim=True)

    def linear(x: Tensor) -> Tensor:
        selected = flat(x).gather(-1, places)
        return selected.reshape(final if keepdim else kept)

    return Affine(linear)


@rule("setitem")
def setitem(call: Call, input: Tensor, index: Any, value: Number) -> Affine:
    """A tensor after a part of it was replaced."""
    kept, written = call.depends(input), call.depends(value)
    replaced = torch.zeros_like(input, dtype=torch.bool)
    replaced[index] = True
    constant = call.output.new_zeros(input.shape) if kept else input.clone()
    constant[index] = 0 if written else value
    # the place that each replaced element is taken from, so that nothing is written when replayed
    source = torch.zeros(input.shape, dtype=torch.long, device=input.device)
    if written:
        assert isinstance(value, Tensor)
        source[index] = torch.arange(value.numel(), device=input.device).view(value.shape)

    def linear(*values: Tensor) -> Tensor:
        taken = values[-1].reshape(-1)[source] if written else values[0].new_zeros(())
        return torch.where(replaced, taken, values[0] if kept else taken.new_zeros(()))

    counts = (not kept and _is_nonzero(input)) or (not written and _is_nonzero(value))
    return Affine(linear, constant if counts else None)


@rule("copy")
def copy(call: Call, input: Tensor, src: Tensor, non_blocking: bool = False) -> Affine:
    """A tensor after all of it was replaced."""
    shape, dtype = call.output.shape, call.output.dtype
    if call.depends(src):
        return Affine(lambda x: x.to(dtype).expand(shape), inputs=(src,))
    return Affine(lambda x: x * 0, nonzero(call.output))


@rule("zero", "fill")
def fill(call: Call, input: Tensor, value: float = 0) -> Affine:
    """A tensor that was filled with a number."""
    return Affine(lambda x: x * 0, nonzero(call.output))
