"""The loss that pulls each feature map to one spot: minus its information about the templates.

Each form is a value and its gradient with respect to the maps, both in closed form, so that
nothing of the computation has to be kept for the backward pass.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from filterscope.parts.strength import normalized_strengths

Answer = tuple[Tensor, Tensor]


class _KnownGradient(torch.autograd.Function):
    """A number with the gradient that was computed beside it."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0] * gradient, None, None


def with_gradient(maps: Tensor, answer: Answer) -> Tensor:
    """Give the value of a loss as a function of the maps whose gradient is known."""
    value, gradient = answer
    loss: Tensor = _KnownGradient.apply(maps, value, gradient.reshape(maps.shape))
    return loss


@torch.no_grad()
def exact_loss(maps: Tensor, templates: Tensor) -> Answer:
    r"""Minus the mutual information of maps and templates, summed over filters.

    For one filter, with the batch as the set X of maps and the U + 1 templates (U units and the
    negative one) equally likely: p(x | T) is the softmax over the batch of s_T(x) = <x, T>, p(x)
    its mean over templates, and the loss -sum_T p(T) sum_x p(x | T) log(p(x | T) / p(x)). No
    labels enter.

    Args:
        maps: Rectified maps, (N, K, U).
        templates: Times tau, with the negative one last: (U + 1, U), or (K, U + 1, U) where
            filters have their own.

    Returns:
        The loss, a scalar, and its gradient (N, K, U):
        -sum_T p(T) p(x | T) (l - sum_x p(x | T) l) T with l = log(p(x | T) / p(x)).

    Source: Zhang et al., CVPR 2018, equations 1 to 3.
    """
    posterior, information = _information(maps, templates)
    count = templates.shape[-2]
    weighted = posterior * information
    divergence = weighted.sum(0)
    weights = weighted.addcmul_(posterior, divergence[None], value=-1).div_(-count)
    if templates.dim() == 2:
        gradient = weights @ templates
    else:
        gradient = torch.einsum("nkt,ktu->nku", weights, templates)
    return -divergence.sum() / count, gradient


@torch.no_grad()
def paper_loss(maps: Tensor, templates: Tensor, units: Tensor, positives: Tensor) -> Answer:
    """The exact loss with the paper's approximation of its gradient.

    Of all templates only the one that the image should match acts, the template at the map's unit
    for an image of the filter's category, else the negative one; and Z_T counts as constant:
    -p(T) p(x | T) log(p(x | T) / p(x)) T.

    Args:
        maps: Rectified maps, (N, K, U).
        templates: As for `exact_loss`.
        units: Unit of each map, (N, K).
        positives: Whether the image is of the filter's category, (N, K).

    Returns:
        The exact loss, and the approximate gradient (N, K, U).

    Source: Zhang et al., CVPR 2018, equation 4, with the sign that its equation 1 asks for.
    """
    posterior, information = _information(maps, templates)
    count = templates.shape[-2]
    weighted = posterior * information
    matched = torch.where(positives, units, count - 1)
    weights = -weighted.gather(2, matched[:, :, None]) / count
    if templates.dim() == 2:
        chosen = templates[matched]
    else:
        chosen = templates[torch.arange(maps.shape[1], device=maps.device), matched]
    return -weighted.sum() / count, weights * chosen


@torch.no_grad()
def official_loss(
    maps: Tensor,
    chosen: Tensor,
    positives: Tensor,
    weights: tuple[Tensor, Tensor],
    temperature: float,
) -> Answer:
    """The surrogate of the authors' code, without its factor 1e-6 / epoch.

    (1 / N) of the sum over filters of -w+ sum rho <x, T> over the images of the filter's category
    and +w- sum rho <x, 1> over the others, where the strengths rho (see `normalized_strengths`)
    count as constants.

    Args:
        maps: Rectified maps, (N, K, U).
        chosen: Template of each map's unit with peak 1, (N, K, U).
        positives: Whether the image is of the filter's category, (N, K).
        weights: w+ and w- of each filter, (K,) each.
        temperature: Of the strengths; 0.5 in the code.

    Returns:
        The surrogate, a scalar, and its gradient, (N, K, U).

    Source: the authors' code (zqs1022/interpretableCNN).
    """
    for_positive, for_negative = normalized_strengths(maps, chosen, positives, temperature)
    pull = for_positive * weights[0] / max(len(maps), 1)
    push = for_negative * weights[1] / max(len(maps), 1)
    gradient = push[:, :, None] - pull[:, :, None] * chosen
    return (maps * gradient).sum(), gradient


def with_negative(bank: Tensor, tau: float) -> Tensor:
    """Give the templates of the likelihood: the bank (..., U, U) and the negative, times tau."""
    negative = bank.new_full((*bank.shape[:-2], 1, bank.shape[-1]), -1.0)
    return torch.cat([bank, negative], dim=-2) * tau


def _information(maps: Tensor, templates: Tensor) -> Answer:
    """p(x | T) and log(p(x | T) / p(x)), (N, K, T) each."""
    if templates.dim() == 2:
        scores = maps @ templates.T
    else:
        scores = torch.einsum("nku,ktu->nkt", maps, templates)
    conditional = scores.log_softmax(0)
    # the mixture in logarithms: a posterior that underflows would give 0 log 0
    mixture = conditional.logsumexp(2, keepdim=True) - math.log(templates.shape[-2])
    return conditional.exp(), conditional.sub_(mixture)
