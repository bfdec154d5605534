"""Running a chain of local modules on the part of the map that a change of the image touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.maps._chain import Stage
from filterscope.maps._reach import Reach


@dataclass(frozen=True)
class Span:
    """Along an axis, equally long stretches of a map, one for each change.

    Attributes:
        starts: First place of each, (P,) int64.
        length: Places of each.
    """

    starts: Tensor
    length: int

    def part(self, at: slice) -> Span:
        """The stretches of some of the changes."""
        return Span(self.starts[at], self.length)


@dataclass(frozen=True)
class Step:
    """Along an axis, how a module is run for each change.

    Attributes:
        crop: What it is given.
        tile: What is kept of the map that it gives.
    """

    crop: Span
    tile: Span
    stride: int

    def part(self, at: slice) -> Step:
        """The step of some of the changes."""
        return Step(self.crop.part(at), self.tile.part(at), self.stride)


def plan(changed: Span, reach: Reach, size: int, output: int) -> Step:
    """Find what a module has to be given so that it gives everything that a change touches.

    A crop begins at a multiple of the module's stride, so that its windows lie where they lie on
    the map. It ends at the map's end, or behind all that the tile reads, so that padding shows
    where the map ends and nowhere else.

    Args:
        changed: Where its input is changed.
        reach: Which places a place of its output reads.
        size: Places of its input.
        output: Places of its output.
    """
    low, high, stride = int(reach.low), int(reach.high), int(reach.step)
    end = changed.starts + changed.length - 1
    first = -torch.div(high - changed.starts, stride, rounding_mode="floor")
    last = torch.div(end - low, stride, rounding_mode="floor").clamp(max=output - 1)
    first = torch.minimum(first.clamp(min=0, max=output - 1), last.clamp(min=0))
    length = int((last - first).max().clamp(min=0)) + 1
    tiles = first.clamp(max=output - length)
    begin = (low + stride * tiles).clamp(min=0, max=size - 1)
    stop = (high + stride * (tiles + length - 1)).clamp(min=0, max=size - 1)
    crop = int((stop - begin).max()) + stride
    crop = min(size, crop + (size - crop) % stride)
    starts = (torch.div(begin, stride, rounding_mode="floor") * stride).clamp(max=size - crop)
    return Step(Span(starts, crop), Span(tiles, length), stride)


class TiledChain:
    """A chain of stages, run on the changed part of each map alone.

    Args:
        stages: Of an image.
        changes: Where the image is changed, along both axes.
    """

    def __init__(self, stages: Sequence[Stage], changes: tuple[Span, Span]) -> None:
        self._stages = stages
        self._changes = changes
        self._steps: list[tuple[Step, Step] | None] = []
        for stage in stages:
            if stage.pointwise:
                self._steps.append(None)
                continue
            axes = zip(changes, stage.reaches, (2, 3), strict=True)
            rows, columns = (
                plan(change, reach, stage.clean.shape[dim], stage.output.shape[dim])
                for change, reach, dim in axes
            )
            self._steps.append((rows, columns))
            changes = (rows.tile, columns.tile)
        self._last = changes

    def is_faithful(self) -> bool:
        """Whether the modules make the same of a part of the untouched image as of all of it.

        One does not that goes by its place on the map or by the map's size: coordinates as
        channels, a slice from the end, an adaptive pool. It is told by the first and the last
        change, whose parts lie at opposite ends.
        """
        last = len(self._changes[0].starts) - 1
        return all(self._repeats(slice(place, place + 1)) for place in {0, last})

    def _repeats(self, at: slice) -> bool:
        """Whether each module gives a part of its output for the crop of its input."""
        spans = (self._changes[0].part(at), self._changes[1].part(at))
        for stage, step in zip(self._stages, self._steps, strict=True):
            try:
                if step is None:
                    made = stage.module(_pieces(stage.clean, *spans))
                else:
                    rows, columns = step[0].part(at), step[1].part(at)
                    crops = _pieces(stage.clean, rows.crop, columns.crop)
                    made, spans = (
                        _kept(stage.module(crops), rows, columns),
                        (rows.tile, columns.tile),
                    )
            except Exception:  # a module may raise anything that was made for another size
                return False
            if not _is_alike(made, _pieces(stage.output, *spans), stage.output):
                return False
        return True

    def run(self, patches: Tensor, at: slice) -> tuple[Tensor, Tensor]:
        """Give the part of the last map that each change touches, untouched and changed.

        Args:
            patches: What the image is changed to, (P, C, height, width).
            at: Which of the changes these are.

        Returns:
            Two tensors (P, K, h, w).
        """
        tiles, spans = patches, (self._changes[0].part(at), self._changes[1].part(at))
        for stage, step in zip(self._stages, self._steps, strict=True):
            if step is None:
                tiles = stage.module(tiles)
                continue
            rows, columns = step[0].part(at), step[1].part(at)
            crops = _pieces(stage.clean, rows.crop, columns.crop)
            _paste(crops, (rows.crop, columns.crop), tiles, spans)
            tiles = _kept(stage.module(crops), rows, columns)
            spans = (rows.tile, columns.tile)
        return _pieces(self._stages[-1].output, *spans), tiles


def _is_alike(made: Tensor, expected: Tensor, whole: Tensor) -> bool:
    """Whether a part is what it should be, but for the rounding of other sizes."""
    digits = torch.finfo(whole.dtype).eps
    if whole.is_cuda and torch.backends.cudnn.allow_tf32:
        digits = max(digits, 2**-10)
    slack = digits**0.5 * float(whole.abs().max())
    return made.shape == expected.shape and torch.allclose(made, expected, rtol=0, atol=slack)


def _pieces(maps: Tensor, rows: Span, columns: Span) -> Tensor:
    """Copies of parts of a map (1, C, h, w), one for each change."""
    parts = [
        maps[0, :, row : row + rows.length, column : column + columns.length]
        for row, column in zip(rows.starts.tolist(), columns.starts.tolist(), strict=True)
    ]
    return torch.stack(parts)


def _paste(
    crops: Tensor, at: tuple[Span, Span], tiles: Tensor, tiles_at: tuple[Span, Span]
) -> None:
    """Write each tile into its crop, as far as it lies there."""
    begins = [(tile.starts - crop.starts).tolist() for crop, tile in zip(at, tiles_at, strict=True)]
    for crop, tile, row, column in zip(crops, tiles, *begins, strict=True):
        top, left = max(0, row), max(0, column)
        piece = tile[:, top - row :, left - column :]
        room = crop[:, top:, left:]
        height, width = min(piece.shape[1], room.shape[1]), min(piece.shape[2], room.shape[2])
        room[:, :height, :width] = piece[:, :height, :width]


def _kept(maps: Tensor, rows: Step, columns: Step) -> Tensor:
    """The tiles of the maps that a module gave for crops."""
    tops, lefts = (
        (step.tile.starts - step.crop.starts // step.stride).tolist() for step in (rows, columns)
    )
    height, width = rows.tile.length, columns.tile.length
    if len(set(tops)) == len(set(lefts)) == 1:
        return maps[:, :, tops[0] : tops[0] + height, lefts[0] : lefts[0] + width]
    parts = [
        each[:, top : top + height, left : left + width]
        for each, top, left in zip(maps, tops, lefts, strict=True)
    ]
    return torch.stack(parts)
