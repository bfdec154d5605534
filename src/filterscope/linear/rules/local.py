"""How affine steps act on a part of the picture: which box of positions a box reaches.

A box holds a range (first, end) for each axis of positions; what lies outside of it is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

Span = tuple[int, int]
Box = tuple[Span, ...]


class Local(Protocol):
    """A step's linear part on crops of its inputs."""

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output that these boxes of the inputs can reach."""
        ...

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Any:
        """The output in `box`, from the inputs in their boxes."""
        ...


def fitted(crop: Tensor, have: Box, want: Box) -> Tensor:
    """Cut or fill up with zeros what is known in one box, so that it covers another.

    Examples:
        >>> fitted(torch.ones(1, 1, 2), ((3, 5),), ((4, 7),))
        tensor([[[1., 0., 0.]]])
        >>> fitted(torch.ones(1, 1, 2), ((3, 5),), ((6, 8),))
        tensor([[[0., 0.]]])
    """
    if have == want:
        return crop
    spans = list(zip(have, want, strict=True))
    # padding by a negative size cannot cut off more than there is
    if any(min(b, d) <= max(a, c) for (a, b), (c, d) in spans):
        return crop.new_zeros(*crop.shape[: -len(want)], *[d - c for c, d in want])
    pads = [(a - c, d - b) for (a, b), (c, d) in spans]
    return F.pad(crop, [size for pair in reversed(pads) for size in pair])


def hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around some boxes."""
    return tuple(
        (min(first for first, _ in spans), max(end for _, end in spans))
        for spans in zip(*boxes, strict=True)
    )


def clipped(first: int, end: int, size: int) -> Span:
    """A span within an axis; one position, whose value is zero, where nothing is left."""
    first = min(max(first, 0), size - 1)
    return first, max(min(end, size), first + 1)


@dataclass(frozen=True)
class Pointwise:
    """Each value times a factor of its own; None keeps it."""

    factor: Tensor | float | None = None

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        return boxes[0]

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        factor = self.factor
        if isinstance(factor, Tensor):
            factor = cut(factor, box)
        return crops[0] if factor is None else crops[0] * factor


def cut(factor: Tensor, box: Box) -> Tensor:
    """A part of a tensor along its last axes; axes of length one serve all positions."""
    for axis, (first, end) in enumerate(reversed(box), start=1):
        if axis <= factor.dim() and factor.shape[-axis] > 1:
            factor = factor.narrow(-axis, first, end - first)
    return factor


@dataclass(frozen=True)
class Summed:
    """Inputs of one shape, each times a number, added up."""

    factors: Sequence[float]

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        return hull(boxes)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        total = fitted(crops[0], boxes[0], box) * self.factors[0]
        for crop, have, factor in zip(crops[1:], boxes[1:], self.factors[1:], strict=True):
            total = total + fitted(crop, have, box) * factor
        return total


@dataclass(frozen=True)
class Joined:
    """Inputs side by side along the channels."""

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        return hull(boxes)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        parts = [fitted(crop, have, box) for crop, have in zip(crops, boxes, strict=True)]
        return torch.cat(parts, -len(box) - 1)


@dataclass(frozen=True)
class Channelwise:
    """An operation that leaves all positions where they are, such as picking channels."""

    operation: Callable[[Tensor], Any]

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        return boxes[0]

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Any:
        """The output in `box`; see `Local`."""
        return self.operation(crops[0])


@dataclass(frozen=True)
class Shuffled:
    """Channels that become positions, or the other way round, by whole factors."""

    operation: Callable[[Tensor, int], Tensor]
    factor: int
    enlarges: bool

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        r = self.factor
        if self.enlarges:
            return tuple((first * r, end * r) for first, end in boxes[0])
        return tuple((first // r, -(-end // r)) for first, end in boxes[0])

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        if self.enlarges:
            return self.operation(crops[0], self.factor)
        whole = tuple((first * self.factor, end * self.factor) for first, end in box)
        return self.operation(fitted(crops[0], boxes[0], whole), self.factor)
