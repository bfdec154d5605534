"""Slopes that follow the spread of a filter's maps."""

from __future__ import annotations

import torch
from torch import Tensor

from filterscope.parts.categories import summed_over_processes
from filterscope.parts.request import LossRequest
from filterscope.parts.strength import normalized_strengths
from filterscope.parts.templates import unit_offsets

# The authors' code: beta aims at 3 / spread, within these bounds.
_SPREAD_TIMES_BETA = 3.0
_LOWEST, _HIGHEST = 1.5, 3.0


@torch.no_grad()
def moved_beta(
    beta: Tensor,
    maps: Tensor,
    units: Tensor,
    chosen: Tensor,
    positives: Tensor,
    request: LossRequest,
) -> Tensor:
    """Move each filter's slope towards 3 / (spread of its maps), kept in [1.5, 3].

    The spread is the root mean square distance of a map's mass from its unit, in units, averaged
    over the images of the filter's category with their strengths as weights. Dead maps do not
    count; a filter without positive images keeps its slope.

    Args:
        beta: Slopes, (K,).
        maps: Rectified maps, (N, K, n, n).
        units: Unit of each map, (N, K).
        chosen: Template of each map's unit, (N, K, n n).
        positives: Whether the image is of the filter's category, (N, K).
        request: For the temperature of the strengths and the rate.

    Returns:
        The moved slopes, (K,).

    Source: the authors' code (zqs1022/interpretableCNN).
    """
    flat = maps.flatten(2)
    rows, columns = unit_offsets(maps.shape[-1], maps.device)
    squared = (rows.square() + columns.square()).flatten(1).to(maps.dtype)
    mass = flat.sum(2)
    spread = ((flat * squared[units]).sum(2) / mass).sqrt()
    strength, _ = normalized_strengths(flat, chosen, positives, request.temperature)
    weight = strength.clamp_min(0) * (mass > 0)
    # spread is 0 / 0 where there is no mass
    sums, weights = summed_over_processes(
        (weight * spread.where(mass > 0, 0.0)).sum(0), weight.sum(0)
    )
    target = (_SPREAD_TIMES_BETA * weights / sums).clamp(_LOWEST, _HIGHEST)
    moved = beta + request.beta_rate * (target.to(beta) - beta)
    return torch.where(weights > 0, moved, beta)
