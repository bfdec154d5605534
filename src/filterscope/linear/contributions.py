"""What the image and each layer's constants contribute to an output, from one backward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.linear.errors import ConservationError

_TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


@dataclass(frozen=True, repr=False)
class Contributions(Brief):
    """The parts of one output: y_l = F_l x0 + sum_k kappa_k.

    Attributes:
        target: Flat position l of the output.
        input: What the image contributes through the frozen network, F_l x0.
        layers: Name and contribution kappa of each layer's constants, in depth order.
        total: The sum of all parts, which is the output to rounding.
        input_map: x0 times the row F_l, (C, H, W); it sums to `input`.
        maps: Name and map of each single constant, in depth order, as the gradient of the output
            where it is added, times the constant; a map sums to the constant's contribution.

    Source: Navarrete Michelini et al., ICCV 2019, equations 1-8 of the appendix.
    """

    target: int
    input: float
    layers: list[tuple[str, float]]
    total: float
    input_map: Tensor
    maps: list[tuple[str, Tensor]]

    @property
    def residual(self) -> float:
        """What the constants contribute together: r_l."""
        return self.total - self.input


def split_scores(
    targets: Sequence[int],
    scores: Tensor,
    inputs: Tensor,
    constants: Sequence[Tensor],
    names: Sequence[str],
    layers: Sequence[str],
) -> tuple[Contributions, ...]:
    """Sum the products of gradients and values into each image's contributions.

    Args:
        targets: Output position of each image.
        scores: Their values, (N,).
        inputs: Gradient times image, (N, ...).
        constants: Gradient times constant for each constant; the first axis runs over the images.
        names: A name for each constant.
        layers: The layer that each constant counts for.

    Raises:
        ConservationError: The parts do not add up to the scores.
    """
    num_images = len(targets)
    parts = [part.reshape(num_images, -1).sum(1, dtype=torch.float64)
             for part in (inputs, *constants)]  # fmt: skip
    _check_conservation(scores, torch.stack(parts), inputs.dtype)
    maps = [split_images(part, num_images) for part in constants]
    return tuple(
        Contributions(
            target=target,
            input=float(parts[0][n]),
            layers=_layered([float(part[n]) for part in parts[1:]], layers),
            total=float(torch.stack(parts)[:, n].sum()),
            input_map=inputs[n],
            maps=[(name, values[n]) for name, values in zip(names, maps, strict=True)],
        )
        for n, target in enumerate(targets)
    )


def split_images(values: Tensor, num_images: int) -> Tensor:
    """Give the images an axis of their own: (N k, ...) to (N, k, ...), or (N, ...) where k = 1."""
    if len(values) == num_images:
        return values
    return values.reshape(num_images, -1, *values.shape[1:])


def _check_conservation(scores: Tensor, parts: Tensor, dtype: torch.dtype) -> None:
    """Refuse parts (P, N) that do not add up to the scores (N,)."""
    gaps = (scores.double() - parts.sum(0)).abs()
    scales = torch.maximum(scores.double().abs(), parts.abs().sum(0))
    # written so that a gap that is not a number is refused, too
    if not bool((gaps <= _TOLERANCE[dtype] * scales).all()):
        raise ConservationError(
            f"{float(gaps.max()):.3g} of an output of {float(scores[gaps.argmax()]):.3g} is "
            "unattributed"
        )


def _layered(values: Sequence[float], layers: Sequence[str]) -> list[tuple[str, float]]:
    """Sum the values of each layer, in the order in which the layers first appear."""
    totals: dict[str, float] = {}
    for layer, value in zip(layers, values, strict=True):
        totals[layer] = totals.get(layer, 0.0) + value
    return list(totals.items())
