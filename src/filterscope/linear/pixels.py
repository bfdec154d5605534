"""Pixel maps that are linear in what is pulled back, whole or through a feature cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from filterscope.linear.cut import Cut
from filterscope.linear.graph import Graph, constant_part
from filterscope.linear.program import Program
from filterscope.linear.spread import Place, spread

Method = Literal["conserving", "literal", "literal_times_input", "backprojected"]

CHUNK = 16
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
# 16 times the rounding of a number, in units of the tolerance: among 1000 labels there are some
# whose terms all but cancel
_ROUNDING = {dtype: 16 * torch.finfo(dtype).eps / allowed for dtype, allowed in TOLERANCE.items()}


class PixelReader:
    """The part of a pixel discussion that is linear in what is pulled back.

    Args:
        program: The frozen network, or the part of it up to some value.
        graph: Its graph.
        images: x0, (1, C, H, W).
        places: Where each value lies.
        method: One of the methods of `pixel_discussion`.
    """

    def __init__(
        self,
        program: Program,
        graph: Graph,
        images: Tensor,
        places: Mapping[int, Place],
        method: Method,
    ) -> None:
        self._graph, self._images, self._method = graph, images, method
        self._constants = constants(program, places)

    def read(self, probes: Tensor) -> tuple[Tensor, Tensor]:
        """Pull probes (P, 1, *output) back to pixels.

        Returns:
            The maps (P, H, W), and the size of what they add up, (P,), float64: the sum of the
            sizes of the terms, and what their own addition may round, in the same units.
        """
        if self._method in ("literal", "literal_times_input"):
            rows = self._graph.adjoint(probes)[:, 0]
            maps = (rows if self._method == "literal" else rows * self._images[0]).sum(1)
            return maps, _size(maps)
        rows, gradients = self._graph.gradients(probes)
        maps = (rows[:, 0] * self._images[0]).sum(1)
        terms = _size(maps)
        pairs = zip(gradients, self._constants, strict=True)
        products = [constant_part(gradient, offset) for gradient, (offset, _) in pairs]
        if self._method == "backprojected":
            if products:
                maps = maps + self._graph.backproject(products)[:, 0].sum(1)
            return maps, terms
        return add_spread(maps, terms, products, [place for _, place in self._constants])


class CutReader:
    """The same maps from those of the active features of a cut, which are read once and kept.

    Args:
        cut: The network in two parts.
        images: x0, (1, C, H, W).
        places: Where each value lies.
        method: One of the methods of `pixel_discussion`.
    """

    def __init__(
        self, cut: Cut, images: Tensor, places: Mapping[int, Place], method: Method
    ) -> None:
        self._cut, self._method, self._size = cut, method, images.shape[2:]
        graph = Graph(cut.trunk, images)
        reader = PixelReader(cut.trunk, graph, images, places, method)
        num_pixels = self._size.numel()
        self._maps = images.new_empty(len(cut.active), num_pixels)
        self._terms = images.new_empty(len(cut.active), dtype=torch.float64)
        # constants of the head are sent back through the trunk's plain rows
        self._rows = images.new_empty(self.rows_needed(method) * len(cut.active), num_pixels)
        for some, units in cut.units(images, CHUNK):
            maps, self._terms[some] = reader.read(units)
            self._maps[some] = maps.flatten(1)
            if len(self._rows):
                self._rows[some] = graph.adjoint(units).sum((1, 2)).flatten(1)
        self._head = Graph(cut.head, images.new_zeros(cut.shape))
        self._constants = constants(cut.head, places)

    @staticmethod
    def rows_needed(method: Method) -> int:
        """How many maps are kept for each feature beside the method's own."""
        return int(method == "backprojected")

    def read(self, probes: Tensor) -> tuple[Tensor, Tensor]:
        """Pull probes (P, 1, L) back to pixels; see `PixelReader.read`."""
        pulled, gradients = self._head.gradients(probes)
        features = self._cut.coefficients(pulled)
        maps = (features @ self._maps).view(-1, *self._size)
        terms = features.abs().double() @ self._terms
        pairs = zip(gradients, self._constants, strict=True)
        products = [constant_part(gradient, offset) for gradient, (offset, _) in pairs]
        if self._method == "conserving":
            return add_spread(maps, terms, products, [place for _, place in self._constants])
        if self._method == "backprojected" and products:
            sent = self._cut.coefficients(self._head.backproject(products))
            maps = maps + (sent @ self._rows).view_as(maps)
        return maps, terms


def constants(program: Program, places: Mapping[int, Place]) -> list[tuple[Tensor, Place]]:
    """Each constant of a program, in depth order, and where the value lies that it is added to."""
    steps = [program.steps[position] for position in program.offsets()]
    return [(step.offset, places[step.outputs[0]]) for step in steps if step.offset is not None]


def add_spread(
    maps: Tensor, terms: Tensor, products: Sequence[Tensor], places: Sequence[Place]
) -> tuple[Tensor, Tensor]:
    """Add contribution maps (P, ...), spread over the pixels, and the sizes of their sums."""
    for product, place in zip(products, places, strict=True):
        maps = maps + spread(product, place.axes, maps.shape[1:], place.spans)
        terms = terms + _size(product)
    return maps, terms


def _size(values: Tensor) -> Tensor:
    """Size of the sum of values (P, ...), no smaller than what rounding can make of it."""
    flat = values.flatten(1)
    total = flat.sum(1, dtype=torch.float64).abs()
    parts: Tensor = torch.linalg.vector_norm(flat, 1, dim=1).double()
    return total + parts * _ROUNDING[values.dtype]
