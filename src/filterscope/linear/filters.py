"""What each filter of a layer contributes to an output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.core.names import unknown_name
from filterscope.linear.program import Program


@dataclass(frozen=True, repr=False)
class FilterContributions(Brief):
    """The parts of one output that pass through a layer, y_l = sum_k values_k + rest.

    Attributes:
        target: Flat position l of the output.
        layer: Dotted name of the layer.
        values: What each filter contributes, (K,): the sum of its map.
        maps: Gradient of y_l at the layer's output in the frozen network, times the layer's output
            at the image: (K, h, w) for a convolution, (K,) where there are no positions.
        rest: What the filters do not explain: constants that later layers add, and paths that go
            around the layer.

    Source: Navarrete Michelini et al., ICCV 2019, equations 1-8 of the appendix, cut at a layer;
    the sum over one filter's positions is this library's.
    """

    target: int
    layer: str
    values: Tensor
    maps: Tensor
    rest: float


class LayerGraph:
    """The frozen network above a layer as an autograd graph; it is kept for further readings.

    Args:
        program: The frozen network.
        images: x0, (N, ...).
        layer: Dotted name of a module of the network.

    Raises:
        ValueError: The module did not run, its output is no tensor (N, filters, ...) that depends
            on the image, or the network's output does not depend on it.
    """

    def __init__(self, program: Program, images: Tensor, layer: str) -> None:
        self.layer = layer
        number = _value_of(program, layer)
        leaves: list[Tensor] = []

        def cut(value: Tensor) -> Tensor:
            leaves.append(value.detach().requires_grad_())
            return leaves[0]

        everything = set(program.offsets())
        with torch.inference_mode(False), torch.enable_grad():
            self._result = program.run(images, offsets=everything, changed={number: cut})
        self._value = leaves[0]
        if self._value.dim() < 2 or len(self._value) != len(images):
            raise ValueError(
                f"`layer` {layer!r} must return ({len(images)}, filters, ...), got "
                f"{tuple(self._value.shape)}"
            )

    def products(self, u: Tensor) -> Tensor:
        """The gradient of <u, y> at the layer's output times that output, (N, K, ...)."""
        (gradient,) = torch.autograd.grad(self._result, self._value, u, retain_graph=True)
        return gradient * self._value.detach()


def _value_of(program: Program, layer: str) -> int:
    """Number of the value that a layer returned."""
    if layer not in program.layers:
        raise unknown_name("layer (it did not run on the image)", layer, filter(None,
                           program.layers))  # fmt: skip
    number = program.layers[layer]
    if number is None:
        usable = [name for name, value in program.layers.items() if name and value is not None]
        raise unknown_name("layer (its output is no tensor that depends on the image)", layer,
                           usable)  # fmt: skip
    if not program.reads(number):
        raise ValueError(f"the output does not depend on what `layer` {layer!r} returns")
    return number


def split_filters(
    targets: Sequence[int], layer: str, scores: Tensor, maps: Tensor
) -> tuple[FilterContributions, ...]:
    """Sum each filter's map.

    Args:
        targets: Output position of each image.
        layer: Dotted name of the layer.
        scores: Value of each target, (N,).
        maps: Gradient times value, (N, K, ...).
    """
    values = maps.flatten(2).sum(2, dtype=torch.float64) if maps.dim() > 2 else maps.double()
    rests = scores.double() - values.sum(1)
    return tuple(
        FilterContributions(target, layer, values[n].to(maps), maps[n], float(rests[n]))
        for n, target in enumerate(targets)
    )
