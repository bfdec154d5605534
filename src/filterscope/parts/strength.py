"""How strongly the surrogate of the authors' code acts on each map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# A mean of strengths nearer to zero than this would blow single strengths up.
_LEAST_MEAN = 1e-6


@torch.no_grad()
def normalized_strengths(
    maps: Tensor, chosen: Tensor, positives: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Strengths rho of positive and of negative images, of mean 1 a filter and sign.

    With the score s (the mean of x T over positions for a positive, minus the mean of x for a
    negative), the temperature a and L the a log mean exp(s' / a) over the batch, a strength is
    exp(s / a) (s - L + a): the derivative of p log p with p = exp(s / a) / Z. For positives s'
    takes the template of another image and filter (the batch and the filters reversed), a stand-in
    for the sum over all templates. Strengths are divided by their mean over the images of their
    sign, which keeps its sign and is at least 1e-6 in size.

    Args:
        maps: Rectified maps, (N, K, U).
        chosen: Template of each map's unit with peak 1, (N, K, U).
        positives: Whether the image is of the filter's category, (N, K).
        temperature: a, positive.

    Returns:
        Strengths for positive and for negative images, (N, K) each: 0 at images of the other
        sign, and for filters that are dead on the whole batch.

    Source: the authors' code (zqs1022/interpretableCNN).
    """
    alive = (maps > 0).any(2).any(0)
    score = (maps * chosen).mean(2)
    crossed = (maps * chosen.flip(0, 1)).mean(2)
    inverse = -maps.mean(2)
    both = ((score, crossed, positives), (inverse, inverse, ~positives))
    for_positive, for_negative = (
        _normalized(own, other, member & alive, temperature) for own, other, member in both
    )
    return for_positive, for_negative


def _normalized(score: Tensor, other: Tensor, member: Tensor, temperature: float) -> Tensor:
    if not len(score):
        return score
    log_mean = temperature * ((other / temperature).logsumexp(0) - math.log(len(score)))
    # the common factor leaves with the mean; taken out before, no exponential overflows
    top = score.masked_fill(~member, -math.inf).amax(0).nan_to_num(neginf=0.0)
    strength = ((score - top) / temperature).exp() * (score - log_mean + temperature)
    strength = strength.where(member, 0.0)
    mean = strength.sum(0) / member.sum(0).clamp_min(1)
    sign = torch.where(mean < 0, -1.0, 1.0).to(mean)
    return strength / (sign * mean.abs().clamp_min(_LEAST_MEAN))
