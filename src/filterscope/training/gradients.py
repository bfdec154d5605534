"""How hard each path pulls at the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from filterscope.core.answers import TaskLoss, image_losses
from filterscope.core.contexts import evaluating
from filterscope.data import Split, Transform, batches
from filterscope.gates import GatedClassifier

IMAGES = 256
"""Images that the gradients are measured on, evenly spaced over the split, as they are."""


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
    # folders are sorted by class, so the first images would be those of one class
    places = torch.linspace(0, len(split) - 1, min(IMAGES, len(split))).round().long()
    batch = next(batches(split.take(places), IMAGES, transform=transform, device=device, workers=0))
    images = batch.images.contiguous(memory_format=torch.channels_last)
    weights = [p for p in network.model.parameters() if p.requires_grad]
    with evaluating(network, grad=True):
        standard, gated = (
            _flat(image_losses(logits.float(), batch.labels, kind).mean(), weights)
            for logits in (network(images), network(images, batch.labels))
        )
    size = standard.norm() * gated.norm()
    cosine = float(standard @ gated / size) if size > 0 else float("nan")
    return {
        "gradient_standard": float(standard.norm()),
        "gradient_gated": float(gated.norm()),
        "gradient_cosine": cosine,
    }


def _flat(loss: Tensor, weights: list[nn.Parameter]) -> Tensor:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(weight).flatten() if gradient is None else gradient.flatten()
            for weight, gradient in zip(weights, gradients, strict=True)
        ]
    ).double()
