"""How much of a map its templates let through."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

# Above this share of positive cells nearly all templates are alike.
_DEGENERATE = 0.95


@dataclass(frozen=True)
class TemplateCoverage:
    """Positive cells of a bank of templates: the cells that the mask lets through.

    Attributes:
        cells: Units of the map, n n.
        centre: Positive cells of the template whose peak is at row and column n // 2.
        corner: Positive cells of the template whose peak is at a corner.
        mean: Share of positive cells over all templates, in [0, 1].
        all_ones: Share of templates that hold the peak value everywhere.
        distinct: Number of different templates, at most `cells`.
    """

    cells: int
    centre: int
    corner: int
    mean: float
    all_ones: float
    distinct: int


def template_coverage(bank: Tensor) -> TemplateCoverage:
    """Report which share of a map a bank of templates lets through.

    Args:
        bank: Templates, (n n, n, n), from `part_templates`.

    Returns:
        Counts and shares.

    Raises:
        ValueError: Not a bank of square templates.

    Examples:
        >>> from filterscope.parts import part_templates
        >>> coverage = template_coverage(part_templates(6, "l1", space="index"))
        >>> coverage.centre, coverage.corner, coverage.mean
        (13, 6, 0.272)
    """
    if bank.dim() != 3 or bank.shape[1] != bank.shape[2] or len(bank) != bank.shape[1] ** 2:
        raise ValueError(f"`bank` must be (n n, n, n), got {tuple(bank.shape)}")
    size = bank.shape[1]
    flat = bank.detach().flatten(1)
    positive = flat > 0
    return TemplateCoverage(
        cells=size * size,
        centre=int(positive[(size // 2) * (size + 1)].sum()),
        corner=int(positive[0].sum()),
        mean=float(positive.double().mean()),
        all_ones=float((flat == flat.amax()).all(1).double().mean()),
        distinct=len(torch.unique(flat, dim=0)),
    )


def warn_of_coverage(bank: Tensor) -> None:
    """Warn of templates that let nearly everything through, and so do not depend on their unit."""
    positive = float((bank > 0).double().mean())
    if positive > _DEGENERATE:
        side = math.isqrt(len(bank))
        warnings.warn(
            f"{positive:.1%} of the cells of these {side} x {side} templates are positive: the "
            "mask is nearly the identity and the filter loss hardly knows one unit from another",
            stacklevel=3,
        )
