"""How hard the parts of the objective pull: the two paths, or the task and the filter losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.answers import TaskLoss, image_losses
from filterscope.core.contexts import evaluating, forward_hook
from filterscope.data import ImageDataset, Split, Transform, batches
from filterscope.gates import GatedClassifier
from filterscope.training.losses import Objective

IMAGES = 256
"""Images that the gradients are measured on, evenly spaced over the split, as they are."""


def gradient_notes(
    network: nn.Module,
    objective: Objective,
    filter_weights: Tensor | None,
    dataset: ImageDataset,
    device: torch.device,
    batch_size: int,
) -> dict[str, float]:
    """Measure what a run's network has: `path_gradients`, `filter_gradients`, or both.

    Args:
        network: With a gate, part templates or both, on `device`.
        objective: What the run minimises.
        filter_weights: Weight of each layer's filter loss, (layers,); None without templates.
        dataset: Whose training images serve.
        device: Where to compute.
        batch_size: Of the training.
    """
    split, transform = dataset.train, dataset.transform
    notes: dict[str, float] = {}
    if isinstance(network, GatedClassifier):
        notes |= path_gradients(network, split, transform, device, objective.kind)
    if filter_weights is not None:
        notes |= filter_gradients(
            network, objective, filter_weights, split, transform, device, batch_size=batch_size
        )
    return notes


def path_gradients(
    network: GatedClassifier,
    split: Split,
    transform: Transform,
    device: torch.device,
    kind: TaskLoss = "softmax",
) -> dict[str, float]:
    """Measure the gradients that the two paths' losses send into the trained weights.

    The network is in eval mode, so that neither batch statistics nor dropout change anything.

    Args:
        network: On `device`.
        split: The training images.
        transform: Their normalisation.
        device: Where to compute.
        kind: The task's loss.

    Returns:
        ``gradient_standard`` and ``gradient_gated``: Euclidean norm of the gradient of the path's
        mean task loss; ``gradient_cosine``: cosine between the two, NaN where one is zero.
    """
    images, labels = next(_samples(split, IMAGES, transform, device))
    weights = [p for p in network.model.parameters() if p.requires_grad]
    with evaluating(network, grad=True):
        standard, gated = (
            _flat(image_losses(logits.float(), labels, kind).mean(), weights)
            for logits in (network(images), network(images, labels))
        )
    return {
        "gradient_standard": float(standard.norm()),
        "gradient_gated": float(gated.norm()),
        "gradient_cosine": _cosine(standard, gated),
    }


def filter_gradients(
    network: nn.Module,
    objective: Objective,
    weights: Tensor,
    split: Split,
    transform: Transform,
    device: torch.device,
    *,
    batch_size: int,
) -> dict[str, float]:
    """Measure the gradients of task and filter losses at the maps that the templates mask.

    The network is in eval mode, in batches of the training's size.

    Args:
        network: The network with part templates, on `device`.
        objective: With filter losses.
        weights: Weight of each layer's filter loss, (layers,).
        split: The training images.
        transform: Their normalisation.
        device: Where to compute.
        batch_size: Of the training.

    Returns:
        Means over the masked layers: ``filter_gradient_ratio``, norm of the weighted filter loss's
        gradient over that of the task's (NaN where that is zero); ``filter_gradient_cosine``
        between the two, NaN where one is zero; ``masked_share``, mean activation behind the masks
        over that before them.

    Source: Ong and Liu's discussion of the part templates, which supposes that the two gradients
    do not point the same way.
    """
    filters = objective.filters
    assert filters is not None
    layers = [_Masked() for _ in filters.network.masks]
    with ExitStack() as stack:
        stack.enter_context(evaluating(network, grad=True))
        for mask, layer in zip(filters.network.masks, layers, strict=True):
            stack.enter_context(forward_hook(mask, layer.seen))
        for images, labels in _samples(split, min(batch_size, IMAGES), transform, device):
            images.requires_grad_()  # all below the maps may be frozen
            with filters.collected(labels) as losses:
                loss = objective.factor * objective.task(network(images).float(), labels)
            pulls = (weights * torch.stack(losses)).sum()
            maps = [layer.maps for layer in layers]
            for layer, of_task, of_filters in zip(
                layers,
                torch.autograd.grad(loss, maps, retain_graph=True, allow_unused=True),
                torch.autograd.grad(pulls, maps, allow_unused=True),
                strict=True,
            ):
                layer.add(of_task, of_filters)
    found = [layer.numbers() for layer in layers]
    return {name: sum(each[name] for each in found) / len(found) for name in found[0]}


class _Masked:
    """Sums over the maps of one masked layer."""

    def __init__(self) -> None:
        self.maps = torch.empty(0)
        self.before = self.behind = 0.0
        self.task = self.filters = self.product = 0.0

    def seen(self, _mask: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        self.maps = inputs[0]
        self.before += float(torch.relu(self.maps.detach()).double().sum())
        self.behind += float(torch.relu(output.detach()).double().sum())

    def add(self, task: Tensor | None, filters: Tensor | None) -> None:
        a, b = (torch.zeros(1) if g is None else g.double().flatten() for g in (task, filters))
        self.task += float(a @ a)
        self.filters += float(b @ b)
        self.product += float(a @ b) if a.shape == b.shape else 0.0

    def numbers(self) -> dict[str, float]:
        size = (self.task * self.filters) ** 0.5
        return {
            "filter_gradient_ratio": _over(self.filters**0.5, self.task**0.5),
            "filter_gradient_cosine": _over(self.product, size),
            "masked_share": _over(self.behind, self.before),
        }


def _samples(
    split: Split, batch_size: int, transform: Transform, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of images and labels of `IMAGES` images of a split, as they are."""
    # folders are sorted by class: neither the first images nor any batch may be of one class
    places = torch.linspace(0, len(split) - 1, min(IMAGES, len(split))).round().long()
    places = places[torch.randperm(len(places), generator=torch.Generator().manual_seed(0))]
    for batch in batches(
        split.take(places), batch_size, transform=transform, device=device, workers=0
    ):
        yield batch.images.contiguous(memory_format=torch.channels_last), batch.labels


def _cosine(first: Tensor, second: Tensor) -> float:
    return _over(float(first @ second), float(first.norm() * second.norm()))


def _over(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else float("nan")


def _flat(loss: Tensor, weights: list[nn.Parameter]) -> Tensor:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(weight).flatten() if gradient is None else gradient.flatten()
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
    ).double()
