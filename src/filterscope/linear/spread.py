"""Where the values of a frozen network lie in the image, and spreading them over its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from filterscope.linear.program import Program, Step
from filterscope.linear.rules import find_rule, structure

Axes = tuple[int, int] | None

# their last two axes are height and width by contract, whatever their sizes
_PICTURE_OPERATIONS = {
    "conv2d", "conv_transpose2d", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices",
    "max_unpool2d", "interpolate", "upsample", "upsample_bilinear", "upsample_nearest",
    "pixel_shuffle", "pixel_unshuffle", "pad", "constant_pad_nd",
}  # fmt: skip
_CONTRACTIONS = {"matmul", "imatmul", "rmatmul", "mm", "bmm", "einsum", "tensordot", "outer"}


@dataclass(frozen=True)
class Place:
    """A value's shape, and which of its axes are the image's height and width.

    Attributes:
        shape: The shape, for one image.
        axes: The axis of the rows and that of the columns; None where they are not known.
    """

    shape: tuple[int, ...]
    axes: Axes


def find_places(program: Program, images: Tensor) -> dict[int, Place]:
    """Follow the image's height and width through a frozen network.

    Shapes alone cannot tell (C, h, w) from (h, w, C). Convolutions, pools and the like keep their
    last two axes, operations element by element keep all; what moves elements (a permutation, a
    view, a slice) is run on the elements' own row and column numbers, and an axis along which,
    alone, these rise or fall is found again. Anything else, as a flattened map, has no such axes.

    Args:
        program: The frozen network.
        images: (1, C, H, W).

    Returns:
        The place of each value, by its number.
    """
    places = {program.source: Place(tuple(images.shape), (2, 3))}
    values = {program.source: torch.zeros_like(images)}
    with torch.no_grad():
        for step in program.steps:
            inputs = [values[number] for number in step.inputs]
            axes = [places[number].axes for number in step.inputs]
            made = _parts(step.linear(*inputs))
            found = _followed(step, inputs, axes, made)
            for number, value, one in zip(step.outputs, made, found, strict=True):
                values[number] = value
                places[number] = Place(tuple(value.shape), one)
            for number in step.finished:
                del values[number]
    return places


def _parts(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, (tuple, list)) else [made]


def _followed(
    step: Step, inputs: Sequence[Tensor], axes: Sequence[Axes], made: Sequence[Tensor]
) -> list[Axes]:
    """The axes of each output of a step."""
    first = axes[0]
    if step.name in _PICTURE_OPERATIONS:
        return [_last_two(first, inputs[0].dim(), value.dim()) for value in made]
    if step.name == "linear":
        return [first if first and inputs[0].dim() - 1 not in first else None for _ in made]
    found = find_rule(step.name)
    moves = found is not None and found.function.__module__ == structure.__name__
    if not moves and step.name not in _CONTRACTIONS:
        same = {
            one
            for value, one in zip(inputs, axes, strict=True)
            if one and value.shape == made[0].shape
        }
        if len(same) == 1 and len(made) == 1:
            return list(same)
    return _probed(step, inputs, axes, len(made))


def _last_two(axes: Axes, before: int, after: int) -> Axes:
    """Keep the axes where they are the last two."""
    if axes is None or set(axes) != {before - 2, before - 1}:
        return None
    return axes[0] - before + after, axes[1] - before + after


def _probed(step: Step, inputs: Sequence[Tensor], axes: Sequence[Axes], count: int) -> list[Axes]:
    """Find the axes again by running a step on row numbers and on column numbers."""
    if any(one is None for one in axes):
        return [None] * count
    found = []
    for which in (0, 1):
        numbered = [
            _numbers(value, one[which]) for value, one in zip(inputs, axes, strict=True) if one
        ]
        found.append([_rising_axis(value) for value in _parts(step.linear(*numbered))])
    return [
        (row, column) if row is not None and column is not None and row != column else None
        for row, column in zip(*found, strict=True)
    ]


def _numbers(like: Tensor, axis: int) -> Tensor:
    """Each element's position along an axis, from one on."""
    shape = [1] * like.dim()
    shape[axis] = -1
    positions = torch.arange(1, like.shape[axis] + 1, dtype=like.dtype, device=like.device)
    return positions.view(shape).expand(like.shape).contiguous()


def _rising_axis(numbers: Tensor) -> int | None:
    """The one axis along which numbers change, if they rise or fall all along it."""
    step = numbers.abs().max() * torch.finfo(numbers.dtype).eps ** 0.75
    changing = [
        axis
        for axis in range(numbers.dim())
        if bool((numbers.amax(axis) - numbers.amin(axis) > step).any())
    ]
    if len(changing) != 1:
        return None
    rises = numbers.diff(dim=changing[0])
    steady = bool((rises > step).all()) or bool((rises < -step).all())
    return changing[0] if steady else None


def spread(values: Tensor, axes: Axes, size: Sequence[int]) -> Tensor:
    """Share values out over the pixels of an image, keeping their sum.

    Each cell of a map covers its part of the image's area, H / h by W / w pixels, and is shared
    evenly over it, over a fraction of a pixel as well; values without a place are shared over all.
    All other axes are summed.

    Args:
        values: (P, ...).
        axes: Axes of rows and columns in `values[0]`; None where it has none.
        size: H and W.

    Returns:
        (P, H, W), each summing to the sum of its values.

    Example:
        >>> spread(torch.tensor([[[[4.0, 8.0]]]]), (1, 2), (2, 4))
        tensor([[[1., 1., 2., 2.],
                 [1., 1., 2., 2.]]])
    """
    if axes is None:
        total = values.flatten(1).sum(1) / (size[0] * size[1])
        return total[:, None, None].expand(-1, *size)
    rows, columns = axes[0] + 1, axes[1] + 1
    others = [axis for axis in range(1, values.dim()) if axis not in (rows, columns)]
    cells = values.sum(others) if others else values
    cells = cells if rows < columns else cells.mT
    down = _shares(cells.shape[1], size[0], cells)
    across = _shares(cells.shape[2], size[1], cells)
    return down @ cells @ across.mT


def _shares(cells: int, size: int, like: Tensor) -> Tensor:
    """Which share of each cell each pixel gets along one axis, (size, cells)."""
    edges = torch.arange(cells + 1, dtype=torch.float64, device=like.device) * (size / cells)
    pixels = torch.arange(size, dtype=torch.float64, device=like.device)[:, None]
    overlap = torch.minimum(pixels + 1, edges[1:]) - torch.maximum(pixels, edges[:-1])
    return (overlap.clamp(min=0) * (cells / size)).to(like)
