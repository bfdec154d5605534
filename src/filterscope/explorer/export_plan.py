"""What is exported of a network, and how its rows and columns are read line by line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from torch import Tensor

from filterscope.explorer.export_sheets import Placed
from filterscope.linear import LinearInterpreter
from filterscope.linear.disjoint_rows import pixel_rows
from filterscope.models.image_networks import ImageNetwork

What = Literal["both", "rows", "columns"]
Kind = Literal["rows", "columns"]

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Export:
    """What is to be exported.

    Attributes:
        network: A network that gives a picture.
        pixels: The picture, RGB (3, H, W) uint8, cut to what the network takes.
        what: Rows, columns, or both.
        stride: Every so manieth pixel along each side.
        chunk: Probes that are computed at once.

    Raises:
        ValueError: Another word for `what`, or a number below 1.
    """

    network: ImageNetwork
    pixels: Tensor
    what: What = "both"
    stride: int = 1
    chunk: int = 16

    def __post_init__(self) -> None:
        if self.what not in get_args(What):
            raise ValueError(f"`what` must be one of {', '.join(get_args(What))}, got {self.what}")
        for name in ("stride", "chunk"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Folders that are written."""
        return ("columns", "rows") if self.what == "both" else (self.what,)

    def grid(self, kind: Kind) -> tuple[range, range]:
        """Lines and places of the pixels whose filters are written."""
        scale = self.network.scale if kind == "rows" else 1
        first, second = (
            range(min(self.stride // 2, side * scale - 1), side * scale, self.stride)
            for side in self.network.crop(self.pixels).shape[1:]
        )
        return first, second

    @cached_property
    def mark(self) -> str:
        """A short text that stands for network, picture and stride."""
        digest = hashlib.sha256(f"{FORMAT} {self.network.name} {self.stride}".encode())
        digest.update(repr(self.network.model).encode())  # the kernel of bicubic, for one
        for name, value in self.network.model.state_dict().items():
            digest.update(f"{name} {tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        digest.update(f"{self.network.scale} {tuple(self.pixels.shape)}".encode())
        digest.update(self.pixels.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def interpreter(self) -> LinearInterpreter:
        """The network read at the picture."""
        return LinearInterpreter(self.network.model, self.network.prepare(self.pixels))

    def pictures(self) -> dict[str, Tensor]:
        """Input and output, RGB (3, H, W) uint8."""
        output = self.network.finish(self.interpreter.output, self.pixels)
        return {"input": self.network.crop(self.pixels), "output": output}

    @property
    def raw(self) -> int:
        """Bytes of the same filters as float32 arrays."""
        shown = {"rows": self.interpreter.images, "columns": self.interpreter.output}
        grids = {kind: self.grid(kind) for kind in self.kinds}
        return sum(
            4 * shown[kind][0].numel() * len(lines) * len(places)
            for kind, (lines, places) in grids.items()
        )


def read_lines(
    export: Export,
    kind: Kind,
    lines: Sequence[int],
    places: Sequence[int],
) -> Iterator[list[Placed]]:
    """Read the filters of lines of pixels.

    Args:
        export: Of which network and picture.
        kind: Rows or columns.
        lines: Which lines.
        places: Pixels in each of them.

    Yields:
        For each line its filters. Rows of all lines are computed before the first is given.
    """
    if kind == "columns":
        for line in lines:
            yield [_whole(column) for column in _columns(export, line, places)]
        return
    found = {
        pixel: Placed(*corner, _numbers(row))
        for pixel, corner, row in pixel_rows(export.interpreter, lines, places, chunk=export.chunk)
    }
    for line in lines:
        yield [found[line, place] for place in places]


def _columns(export: Export, line: int, places: Sequence[int]) -> Iterator[Tensor]:
    like = export.interpreter.images[0]
    for first in range(0, len(places), export.chunk):
        now = places[first : first + export.chunk]
        units = like.new_zeros(len(now), *like.shape)
        units[range(len(now)), :, line, list(now)] = 1
        yield from export.interpreter.apply(units)


def _whole(picture: Tensor) -> Placed:
    return Placed(0, 0, _numbers(picture))


def _numbers(picture: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    values: np.ndarray[Any, np.dtype[np.float32]] = picture.detach().cpu().float().numpy()
    return values.copy()  # not a view that keeps the pictures of a whole pass
