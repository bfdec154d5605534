"""The filter losses of one forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import get_args

from torch import Tensor, nn

from filterscope.parts.categories import category_members
from filterscope.parts.masking import PartTemplates
from filterscope.parts.request import LossKind, LossRequest


@contextmanager
def part_losses(
    net: nn.Module,
    labels: Tensor,
    kind: LossKind = "exact",
    *,
    tau: float | None = None,
    temperature: float = 0.5,
    beta_rate: float = 0.02,
) -> Iterator[list[Tensor]]:
    """Collect the filter losses of the forward pass that runs inside the context.

    Add their sum to the task's loss with a small weight; the authors' code has 1e-6 / epoch. In
    train mode the pass also moves the buffers of the layers (see `PartTemplates`), by statistics
    over all processes of a distributed run: each must enter the context. The losses are of each
    process's own batch.

    Args:
        net: A network with part templates; wrapped or compiled as you like, but for DataParallel.
        labels: Of the images. With one category, (N,) booleans, or integers with 1 for an image of
            the category and 0 or -1 for any other; with several, (N,) integers, the index of the
            category or -1 for none; or (N, C) booleans.
        kind: "exact" is minus the mutual information of maps and templates (no labels enter);
            "paper" its value with the paper's gradient; "official" the authors' surrogate.
        tau: Peak of the exact and the paper loss's templates; None means 0.5 / n squared.
        temperature: Of the official loss, and of the weights behind a learned beta.
        beta_rate: How far a learned beta goes towards its target in a step; the code's, 500 times
            the learning rate over the batch size, is 0.016 for VGG-16 with momentum.

    Yields:
        A list that the forward pass fills: one scalar a layer, summed over its filters.

    Raises:
        TypeError: Labels of a wrong type.
        ValueError: No part templates, labels that do not fit, or an option out of range.
        RuntimeError: The network did not run inside, ran twice, or is in a context already.

    Source: Zhang et al., CVPR 2018, section 3; the authors' code.

    Examples:
        >>> import torch
        >>> layer = PartTemplates(num_filters=3)
        >>> with part_losses(layer, torch.tensor([True, False])) as losses:
        ...     masked = layer(torch.rand(2, 3, 8, 8))
        >>> len(losses)
        1
    """
    layers = [module for module in net.modules() if isinstance(module, PartTemplates)]
    _check(net, layers, kind, tau, temperature, beta_rate)
    losses: list[Tensor] = []
    members = category_members(labels, layers[0].num_categories)
    request = partial(LossRequest, members, losses, kind, tau, temperature, beta_rate)
    for layer in layers:
        layer._request = request(layer.training, {n: b.clone() for n, b in layer.named_buffers()})
    try:
        yield losses
        _check_all_ran(layers)
    finally:
        for layer in layers:
            layer._request = None


def _check_all_ran(layers: list[PartTemplates]) -> None:
    silent = sum(layer._request is not None and not layer._request.ran for layer in layers)
    if silent:
        raise RuntimeError(
            f"{silent} of {len(layers)} layers with part templates gave no filter loss: run the "
            "network inside `part_losses`, in the mode in which it was entered"
        )


def _check(
    net: nn.Module,
    layers: list[PartTemplates],
    kind: LossKind,
    tau: float | None,
    temperature: float,
    beta_rate: float,
) -> None:
    if not layers:
        raise ValueError(f"`net` ({type(net).__name__}) has no layer with part templates")
    if any(layer._request is not None for layer in layers):
        raise RuntimeError("the network is in another `part_losses` already")
    counts = {layer.num_categories for layer in layers}
    if len(counts) > 1:
        raise ValueError(f"the layers of `net` have {sorted(counts)} categories; one number serves")
    if kind not in get_args(LossKind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(LossKind))}, got {kind!r}")
    for name, number in (("tau", tau), ("temperature", temperature)):
        if number is not None and not (math.isfinite(number) and number > 0):
            raise ValueError(f"`{name}` must be positive and finite, got {number!r}")
    if not 0 < beta_rate <= 1:
        raise ValueError(f"`beta_rate` must lie in (0, 1], got {beta_rate!r}")
