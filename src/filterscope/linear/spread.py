"""Where the values of a frozen network lie in the image, and spreading them over its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from filterscope.linear.program import Program, Step
from filterscope.linear.rules import find_rule, structure
from filterscope.linear.rules.windows import Spread, Window

Axes = tuple[int, int] | None
Spans = tuple[Tensor, Tensor] | None
Lie = tuple[Axes, Spans]

# their last two axes are height and width by contract, whatever their sizes
_POOLS = {"max_pool2d", "max_pool2d_with_indices", "avg_pool2d"}
_PICTURE_OPERATIONS = _POOLS | {
    "conv2d", "conv_transpose2d", "adaptive_avg_pool2d", "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices", "max_unpool2d", "interpolate", "pixel_shuffle",
    "pixel_unshuffle",
}  # fmt: skip
_CONTRACTIONS = {"matmul", "rmatmul", "mm", "bmm", "einsum", "tensordot", "outer"}


@dataclass(frozen=True)
class Place:
    """A value's shape, and where in the image its rows and columns lie.

    Attributes:
        shape: The shape, for one image.
        axes: The axis of the rows and that of the columns; None where they are not known.
        spans: For each row, and for each column, the pixels (first, end) in which it begins and
            ends, (n, 2), float64; falling in a flipped map, outside of the image in its padding.
    """

    shape: tuple[int, ...]
    axes: Axes
    spans: Spans = None


def find_places(program: Program, images: Tensor) -> dict[int, Place]:
    """Follow the image's height and width through a frozen network.

    Shapes alone cannot tell (C, h, w) from (h, w, C). Convolutions, pools and the like keep their
    last two axes and cover the area that their input covers, operations element by element keep
    all; what moves elements (a permutation, a slice, a flip, padding) is run on the pixels' own
    row and column numbers, and an axis along which, alone, these rise or fall is found again.
    Anything else, as a flattened map, has no such axes.

    Args:
        program: The frozen network.
        images: (1, C, H, W).

    Returns:
        The place of each value, by its number.
    """
    size = (images.shape[2], images.shape[3])
    whole = (_even(size[0], size[0]), _even(size[1], size[1]))
    places = {program.source: Place(tuple(images.shape), (2, 3), whole)}
    values = {program.source: torch.zeros_like(images)}
    with torch.no_grad():
        for step in program.steps:
            inputs = [values[number] for number in step.inputs]
            made = _parts(step.linear(*inputs))
            found = _followed(step, inputs, [places[number] for number in step.inputs], made, size)
            for number, value, (axes, spans) in zip(step.outputs, made, found, strict=True):
                values[number] = value
                places[number] = Place(tuple(value.shape), axes, spans)
            for number in step.finished:
                del values[number]
    return places


def _parts(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, (tuple, list)) else [made]


def _followed(
    step: Step,
    inputs: Sequence[Tensor],
    places: Sequence[Place],
    made: Sequence[Tensor],
    size: tuple[int, int],
) -> list[Lie]:
    """Where each output of a step lies."""
    first = places[0]
    if step.name in ("pad", "constant_pad_nd"):
        return [_padded(step, inputs[0], first)]
    if step.name in _PICTURE_OPERATIONS:
        return [_covered(step, first, value, size) for value in made]
    if step.name == "linear":
        kept = first.axes is not None and len(first.shape) - 1 not in first.axes
        return [(first.axes, first.spans) if kept else (None, None) for _ in made]
    found = find_rule(step.name)
    moves = found is not None and found.function.__module__ == structure.__name__
    if not moves and step.name not in _CONTRACTIONS and len(made) == 1:
        same = [one for one in places if one.axes and one.shape == tuple(made[0].shape)]
        if len({one.axes for one in same}) == 1:
            return [_together(same)]
    return _probed(step, inputs, places, len(made))


def _together(places: Sequence[Place]) -> Lie:
    """Where the sum of values lies: each cell where any of its terms does."""
    each = zip(*[place.spans for place in places if place.spans], strict=True)
    hulls = [_hull(spans) for spans in each]
    if len(hulls) != 2 or hulls[0] is None or hulls[1] is None:
        return None, None
    return places[0].axes, (hulls[0], hulls[1])


def _hull(spans: Sequence[Tensor]) -> Tensor | None:
    """The cells around those of several maps; None where these run in opposite directions."""
    stacked = torch.stack(list(spans))
    falls = stacked[:, 0, 0] > stacked[:, -1, 0]
    if bool(falls.any()) and not bool(falls.all()):
        return None
    return torch.stack([stacked.amin(2).amin(0), stacked.amax(2).amax(0)], 1)


def _covered(step: Step, place: Place, made: Tensor, size: tuple[int, int]) -> Lie:
    """Share the area that a map covers out to the cells of the map that is made of it."""
    before, after = len(place.shape), made.dim()
    if place.axes is None or place.spans is None or set(place.axes) != {before - 2, before - 1}:
        return None, None
    rows, columns = (axis - before + after for axis in place.axes)
    spans = [
        _resized(span, made.shape[axis], length, _taken(step, axis - after))
        for span, axis, length in zip(place.spans, (rows, columns), size, strict=True)
    ]
    return (rows, columns), (spans[0], spans[1])


def _taken(step: Step, axis: int) -> int:
    """How many cells of padding along an axis are there for the windows of a step alone."""
    if step.name in _POOLS:
        return 2
    window = step.local
    if not isinstance(window, Window) or isinstance(window, Spread):
        return 0
    return max(window.dilation[axis] * (window.kernel[axis] - 1) - 2 * window.padding[axis], 0)


def _resized(span: Tensor, cells: int, size: int, taken: int) -> Tensor:
    """Where so many cells lie that cover the same area, but for padding that windows take."""
    if len(span) == cells:
        return span
    inside = ((span.amax(1) > 0) & (span.amin(1) < size)).nonzero().flatten().tolist()
    before, after = (inside[0], len(span) - 1 - inside[-1]) if inside else (0, 0)
    before = min(before, (taken + 1) // 2)
    area = span[before : len(span) - min(after, taken - before)]
    edges = _even(cells, len(area))
    near = edges.round(decimals=9)
    first, last = near[:, 0].floor(), near[:, 1].ceil() - 1
    ends = [
        torch.lerp(area[cell.long(), 0], area[cell.long(), 1], edge - cell)
        for edge, cell in zip(edges.T, (first, last), strict=True)
    ]
    return torch.stack(ends, 1)


def _padded(step: Step, value: Tensor, place: Place) -> Lie:
    """Continue a map's rows and columns over its padding, outside of what it showed."""
    if place.axes is None or place.spans is None:
        return None, None
    weights = step.linear(torch.ones_like(value))
    spans = []
    for axis, span in zip(place.axes, place.spans, strict=True):
        others = [one for one in range(value.dim()) if one != axis]
        lines = [step.linear(_numbers(value, axis, ends)).sum(others) for ends in span.T]
        spans.append(_continued((torch.stack(lines, 1) / weights.sum(others)[:, None]).double()))
    return place.axes, (spans[0], spans[1])


def _continued(span: Tensor) -> Tensor:
    """Continue the longest part of an axis that rises or falls to its ends."""
    span = span.cpu()
    signs, start, best = [*span[:, 0].diff().sign().tolist(), 0.0], 0, (0, 0)
    for end in range(1, len(span) + 1):
        if signs[end - 1] != signs[start] or signs[end - 1] not in (-1, 1):
            known = bool(span[start].isfinite().all())
            best = max(best, (start, end), key=lambda part: part[1] - part[0]) if known else best
            start = end - 1 if signs[end - 1] in (-1, 1) else end
    first, last = best[0], best[1] - 1
    step = span[first].diff() if first == last else (span[last] - span[first]) / (last - first)
    places = torch.arange(len(span))
    nearest = places.clamp(first, last)
    return span[nearest] + (places - nearest)[:, None] * step


def _probed(step: Step, inputs: Sequence[Tensor], places: Sequence[Place], count: int) -> list[Lie]:
    """Find the axes again by running a step on row numbers and on column numbers."""
    known = [(one.axes, one.spans) for one in places if one.axes and one.spans]
    if len(known) < len(places):
        return [(None, None)] * count
    weights = _parts(step.linear(*[torch.ones_like(value) for value in inputs]))
    found = []
    for which in (0, 1):
        numbered = [
            _parts(step.linear(*[
                _numbers(value, axes[which], spans[which][:, end])
                for value, (axes, spans) in zip(inputs, known, strict=True)
            ]))
            for end in (0, 1)
        ]  # fmt: skip
        found.append([_along(*one) for one in zip(*numbered, weights, strict=True)])
    return [
        ((row[0], column[0]), (row[1], column[1]))
        if row is not None and column is not None and row[0] != column[0]
        else (None, None)
        for row, column in zip(*found, strict=True)
    ]


def _numbers(like: Tensor, axis: int, numbers: Tensor) -> Tensor:
    """Numbers along an axis of a tensor of this shape."""
    shape = [1] * like.dim()
    shape[axis] = -1
    return numbers.to(like).view(shape).expand(like.shape).contiguous()


def _along(first: Tensor, end: Tensor, weights: Tensor) -> tuple[int, Tensor] | None:
    """The one axis along which numbers change, and what they are there."""
    # where values are added up or averaged, their mean place counts
    ends = first / weights, end / weights
    axis = _rising_axis(ends[0]) if bool(weights.all()) else None
    if axis is None:
        return None
    lines = [one.movedim(axis, 0)[..., None].flatten(1)[:, 0] for one in ends]
    return axis, torch.stack(lines, 1).double().cpu()


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


def spread(values: Tensor, axes: Axes, size: Sequence[int], spans: Spans = None) -> Tensor:
    """Share values out over the pixels of an image, keeping their sum.

    Each cell of a map covers its part of the image's area, H / h by W / w pixels unless told
    otherwise, and is shared evenly over it, over a fraction of a pixel as well; what lies outside
    of the image goes to its border. Values without a place are shared over all pixels. All other
    axes are summed.

    Args:
        values: (P, ...).
        axes: Axes of rows and columns in `values[0]`; None where it has none.
        size: H and W.
        spans: Where rows and columns begin and end, as in `Place`; None for even parts.

    Returns:
        (P, H, W), each summing to the sum of its values.

    Examples:
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
    high, wide = spans or (_even(cells.shape[1], size[0]), _even(cells.shape[2], size[1]))
    return _shares(high, size[0], cells) @ cells @ _shares(wide, size[1], cells).mT


def _even(cells: int, size: int) -> Tensor:
    """Cells of one size from one border to the other, (cells, 2)."""
    edges = torch.arange(cells + 1, dtype=torch.float64) * (size / cells)
    return torch.stack([edges[:-1], edges[1:]], 1)


def _shares(span: Tensor, size: int, like: Tensor) -> Tensor:
    """Which share of each cell each pixel gets along one axis, (size, cells)."""
    low, high = span.amin(1), span.amax(1)
    first = torch.arange(size, dtype=torch.float64)
    end = first + 1
    first[0], end[-1] = -torch.inf, torch.inf
    overlap = torch.minimum(end[:, None], high) - torch.maximum(first[:, None], low)
    return (overlap.clamp(min=0) / (high - low)).to(like)
