"""What the image and each layer's constants contribute to an output, from one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from filterscope.linear.errors import ConservationError

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@dataclass(frozen=True)
class Contributions:
    """The parts of one output: y_l = F_l x0 + sum_k kappa_k.

    Attributes:
        target: Flat position l of the output.
        input: What the image contributes through the frozen network, F_l x0.
        layers: Name and contribution kappa of each layer's constants, in depth order.
        total: The sum of all parts, which is the output to rounding.
        input_map: x0 times the row F_l, (C, H, W); it sums to `input`.
        maps: Name and map of each single constant, in depth order, as the gradient of the output
            where it is added, times the constant; a map sums to the constant's contribution.
        by: What the layers are.

    Source: Navarrete Michelini et al., ICCV 2019, equations 1-8 of the appendix.
    """

    target: int
    input: float
    layers: list[tuple[str, float]]
    total: float
    input_map: Tensor
    maps: list[tuple[str, Tensor]]
    by: str = "stage"

    @property
    def residual(self) -> float:
        """What the constants contribute together: r_l."""
        return self.total - self.input


def sums(products: Tensor, num_images: int) -> Tensor:
    """Sum each image's part of a tensor whose first axis runs over the images: (N,), float64."""
    return products.reshape(num_images, -1).sum(1, dtype=torch.float64)


def split_images(products: Tensor, num_images: int) -> Tensor:
    """Give the images an axis of their own: (N * k, ...) to (N, k, ...), or (N, ...) where k=1."""
    if len(products) == num_images:
        return products
    return products.unflatten(0, (num_images, -1))


def check_conservation(scores: Tensor, parts: Sequence[Tensor], dtype: torch.dtype) -> None:
    """Refuse parts that do not add up to the scores.

    Args:
        scores: (N,).
        parts: The contributions, (N,) each.
        dtype: Precision of the network, which sets the tolerance: 1e-10 in float64, 1e-4 in
            float32, of the largest of score, input's part and sum of absolute parts.

    Raises:
        ConservationError: A gap, of which nothing is known yet but its size.
    """
    stacked = torch.stack(list(parts))
    gaps = (scores.double() - stacked.sum(0)).abs()
    scales = torch.maximum(scores.double().abs(), stacked.abs().sum(0))
    if bool((gaps > _TOLERANCE[dtype] * scales).any()) or not bool(torch.isfinite(gaps).all()):
        raise ConservationError(
            f"{float(gaps.max()):.3g} of an output of {float(scores[gaps.argmax()]):.3g} is "
            "unattributed"
        )


def layered(
    values: Sequence[Any], layers: Sequence[str]
) -> list[tuple[str, float]]:
    """Sum the values of each layer, in the order in which the layers first appear."""
    totals: dict[str, float] = {}
    for layer, value in zip(layers, values, strict=True):
        totals[layer] = totals.get(layer, 0.0) + float(value)
    return list(totals.items())
