"""How convolutions, padding, resampling and pools act on a part of the picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from filterscope.linear.rules.local import Box, clipped, cut, fitted


@dataclass(frozen=True)
class Window:
    """A convolution: `run_unpadded` without its padding; a number each axis for the rest."""

    run_unpadded: Callable[[Tensor], Tensor]
    kernel: Sequence[int]
    stride: Sequence[int]
    padding: Sequence[int]
    dilation: Sequence[int]
    sizes: Sequence[int]

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        spans = []
        for axis, (first, end) in enumerate(boxes[0]):
            stride, padding = self.stride[axis], self.padding[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            lowest = -((extent - first - padding) // stride)
            spans.append(clipped(lowest, (end - 1 + padding) // stride + 1, self.sizes[axis]))
        return tuple(spans)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        read = []
        for axis, (first, end) in enumerate(box):
            start = first * self.stride[axis] - self.padding[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            read.append((start, start + (end - 1 - first) * self.stride[axis] + extent + 1))
        return self.run_unpadded(fitted(crops[0], boxes[0], tuple(read)))


@dataclass(frozen=True)
class Spread(Window):
    """A transposed convolution."""

    def _painted(self, box: Box) -> Box:
        spans = []
        for axis, (first, end) in enumerate(box):
            stride, padding = self.stride[axis], self.padding[axis]
            extent = self.dilation[axis] * (self.kernel[axis] - 1)
            spans.append((first * stride - padding, (end - 1) * stride - padding + extent + 1))
        return tuple(spans)

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        spans = zip(self._painted(boxes[0]), self.sizes, strict=True)
        return tuple(clipped(first, end, size) for (first, end), size in spans)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        return fitted(self.run_unpadded(crops[0]), self._painted(boxes[0]), box)


@dataclass(frozen=True)
class Sourced:
    """Padding: each position along an axis shows one of the input, or (-1) none.

    Attributes:
        sources: For each axis, the input position of each output position.
    """

    sources: Sequence[Tensor]

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        spans = []
        for source, (first, end) in zip(self.sources, boxes[0], strict=True):
            hit = ((source >= first) & (source < end)).nonzero().flatten().tolist() or [0]
            spans.append((hit[0], hit[-1] + 1))
        return tuple(spans)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        crop = crops[0]
        for axis, (source, (first, end)) in enumerate(zip(self.sources, boxes[0], strict=True)):
            places = source[slice(*box[axis])]
            inside = (places >= first) & (places < end)
            dim = axis - len(box)
            crop = crop.index_select(dim, (places - first).clamp(0, end - first - 1))
            crop = crop * inside.view(-1, *[1] * (-dim - 1))
        return crop


class Resampled:
    """Resampling, which is a matrix for each of the two axes.

    Args:
        operation: The resampling of (N, C, H, W).
        like: Its input.
    """

    def __init__(self, operation: Callable[[Tensor], Tensor], like: Tensor) -> None:
        self._operation = operation
        self._size, self._like = tuple(like.shape[2:]), like.new_zeros(0)

    @cached_property
    def _matrices(self) -> tuple[Tensor, Tensor]:
        """From the positions along an axis to those of the output, read off unit pictures."""
        height, width = self._size
        rows = torch.eye(height).to(self._like)[None, :, :, None].expand(-1, -1, -1, width)
        columns = torch.eye(width).to(self._like)[None, :, None, :].expand(-1, -1, height, -1)
        return self._operation(rows)[0, :, :, 0].T, self._operation(columns)[0, :, 0, :].T

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        spans = []
        for matrix, (first, end) in zip(self._matrices, boxes[0], strict=True):
            hit = matrix[:, first:end].any(1).nonzero().flatten().tolist() or [0]
            spans.append((hit[0], hit[-1] + 1))
        return tuple(spans)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        high, wide = (
            matrix[slice(*out), slice(*span)]
            for matrix, out, span in zip(self._matrices, box, boxes[0], strict=True)
        )
        return high @ crops[0] @ wide.T


@dataclass(frozen=True)
class Selected:
    """A max-pool over the last axes: each output takes one input position.

    Attributes:
        places: Flat input position of each output.
        sizes: Shape of the input's positions.
    """

    places: Tensor
    sizes: Sequence[int]

    def _along(self, places: Tensor) -> list[Tensor]:
        inner = [math.prod(self.sizes[axis + 1 :]) for axis in range(len(self.sizes))]
        return [places // step % size for step, size in zip(inner, self.sizes, strict=True)]

    def reach(self, boxes: Sequence[Box]) -> Box:
        """The box of the output; see `Local`."""
        inside = self._inside(self._along(self.places), boxes[0])
        hits = inside.flatten(0, -len(self.sizes) - 1).any(0).nonzero()
        if not len(hits):
            return tuple((0, 1) for _ in self.sizes)
        low, high = hits.min(0).values.tolist(), hits.max(0).values.tolist()
        return tuple((first, last + 1) for first, last in zip(low, high, strict=True))

    def _inside(self, along: Sequence[Tensor], box: Box) -> Tensor:
        tests = [(p >= first) & (p < end) for p, (first, end) in zip(along, box, strict=True)]
        return torch.stack(tests).all(0)

    def run(self, crops: Sequence[Tensor], boxes: Sequence[Box], box: Box) -> Tensor:
        """The output in `box`; see `Local`."""
        along, have = self._along(cut(self.places, box)), boxes[0]
        flat = torch.zeros_like(along[0])
        for places, (first, end) in zip(along, have, strict=True):
            flat = flat * (end - first) + (places - first).clamp(0, end - first - 1)
        axes = len(self.sizes)
        chosen = crops[0].flatten(-axes).gather(-1, flat.flatten(-axes)).view(flat.shape)
        return chosen * self._inside(along, have)
