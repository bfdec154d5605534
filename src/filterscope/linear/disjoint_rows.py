"""Rows of many output pixels in few backward passes, where they read parts that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from filterscope.linear.crop import planned
from filterscope.linear.probe_pictures import Pixel, checked_pixel
from filterscope.linear.rules.windows import Selected

if TYPE_CHECKING:
    from filterscope.linear.interpreter import LinearInterpreter

Span = tuple[int, int]


def pixel_rows(
    interpreter: LinearInterpreter,
    lines: Sequence[int],
    places: Sequence[int],
    *,
    chunk: int = 16,
) -> Iterator[tuple[Pixel, tuple[int, int], Tensor]]:
    """Read the white rows of a grid of output pixels.

    Where convolutions bound what an output pixel can read, pixels that are far apart share a
    backward pass, and each takes the part of the gradient that it alone can reach.

    Args:
        interpreter: Of one image (1, C, H, W) with an output (1, C', H', W').
        lines: Rows of the output.
        places: Columns of the output; all pixels (line, place) are read.
        chunk: Passes that run at once.

    Yields:
        The pixel, (top, left) of the part that it can read, and its row there, (C, h, w). Outside
        of that part the row is zero.

    Raises:
        TypeError: Positions that are no integers.
        ValueError: No picture, several images, a pixel out of range, a chunk below 1.

    Examples:
        >>> import torch
        >>> import filterscope as fs
        >>> model = torch.nn.Conv2d(1, 1, 3, padding=1)
        >>> interpreter = fs.LinearInterpreter(model, torch.rand(1, 1, 16, 16))
        >>> [(pixel, corner) for pixel, corner, _ in pixel_rows(interpreter, [0, 9], [8])]
        [((0, 8), (0, 7)), ((9, 8), (8, 7))]
    """
    if chunk < 1:
        raise ValueError(f"`chunk` must be at least 1, got {chunk}")
    interpreter._check_single()
    sides = tuple(interpreter.output.shape[2:])
    if len(sides) != 2 or interpreter.images.dim() != 4:
        raise ValueError(f"`interpreter` must give a picture, got {tuple(sides)} positions")
    for pixel in ((line, place) for line in lines for place in places):
        checked_pixel(pixel, sides)
    spans = spans_read(interpreter)
    passes = [
        [(line, place) for line in some for place in others]
        for some in disjoint_groups(lines, spans[0])
        for others in disjoint_groups(places, spans[1])
    ]
    like = interpreter.output[0]
    for first in range(0, len(passes), chunk):
        now = passes[first : first + chunk]
        units = like.new_zeros(len(now), *like.shape)
        for unit, pixels in zip(units, now, strict=True):
            for line, place in pixels:
                unit[:, line, place] = 1
        for found, pixels in zip(interpreter.adjoint(units), now, strict=True):
            for line, place in pixels:
                (top, bottom), (left, right) = spans[0][line], spans[1][place]
                yield (line, place), (top, left), found[:, top:bottom, left:right]


def passes_needed(
    interpreter: LinearInterpreter, lines: Sequence[int], places: Sequence[int]
) -> int:
    """Count the backward passes that `pixel_rows` takes."""
    spans = spans_read(interpreter)
    return len(disjoint_groups(lines, spans[0])) * len(disjoint_groups(places, spans[1]))


def spans_read(interpreter: LinearInterpreter) -> tuple[list[Span], list[Span]]:
    """Bound what output pixels can read: for each output row and column, a span of the image.

    Returns:
        Spans (first, end) by row and by column of the output; the whole image where the network
        has steps that are not local, or max-pools.
    """
    program = interpreter._program
    inputs, outputs = interpreter.images.shape[2:], interpreter.output.shape[2:]
    # what a max-pool lets through of one place says nothing of the places beside it
    if any(isinstance(step.local, Selected) for step in program.steps):
        rows, columns = ([(0, size)] * count for size, count in zip(inputs, outputs, strict=True))
        return rows, columns
    found: list[list[Span]] = []
    for axis in (0, 1):
        painted = []
        for k in range(inputs[axis]):
            place = [side // 2 for side in inputs]
            place[axis] = k
            box = planned(program, tuple((p, p + 1) for p in place), tuple(inputs)).boxes[
                program.target
            ]
            painted.append(None if box is None else box[axis])
        found.append(_inverted(painted, outputs[axis]))
    return found[0], found[1]


def disjoint_groups(positions: Sequence[int], spans: Sequence[Span]) -> list[list[int]]:
    """Sort positions into groups whose spans do not overlap.

    Args:
        positions: Which.
        spans: Of every position.

    Examples:
        >>> disjoint_groups([0, 1, 2, 3], [(0, 2), (1, 3), (2, 4), (3, 5)])
        [[0, 2], [1, 3]]
    """
    groups: list[list[int]] = []
    ends: list[int] = []
    for position in sorted(set(positions)):
        first, end = spans[position]
        group = next((k for k, taken in enumerate(ends) if taken <= first), None)
        if group is None:
            groups.append([position])
            ends.append(end)
        else:
            groups[group].append(position)
            ends[group] = end
    return groups


def _inverted(painted: Sequence[Span | None], outputs: int) -> list[Span]:
    """From what each input paints to what each output reads."""
    whole = (0, len(painted))
    known = [span for span in painted if span is not None]
    if len(known) < len(painted):
        return [whole] * outputs
    read: list[Span] = []
    for k in range(outputs):
        hit = [j for j, (first, end) in enumerate(known) if first <= k < end]
        read.append((hit[0], hit[-1] + 1) if hit else (0, 1))
    return read
