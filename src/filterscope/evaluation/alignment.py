"""Do a layer's filters lie in the input subspaces of their classes?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.data import Split, Transform, batches
from filterscope.metrics import functional

IMAGES_OF_CLASS = 200
"""Test images of each class whose patches are looked at."""

LARGEST_PATCH = 2500
"""Numbers in a patch above which the principal components would cost more than all else."""


def class_alignment(
    model: nn.Module,
    convolution: nn.Conv2d,
    split: Split,
    transform: Transform,
    num_classes: int,
    *,
    batch_size: int,
    device: torch.device,
    workers: int,
) -> Tensor | None:
    """Measure how far each filter lies in the subspace of each class's input patches.

    Args:
        model: The plain classifier, on `device`.
        convolution: Whose filters are studied.
        split: The test images; the first ones of each class are used.
        transform: Their normalisation.
        num_classes: C.
        batch_size: Images at once.
        device: Where to compute.
        workers: Processes that read images which are not in memory.

    Returns:
        (C, K) float64; None for grouped convolutions, for padding other than a number of zeros,
        and for patches of more than `LARGEST_PATCH` numbers.

    Source: Liang et al., ECCV 2020, appendix D.
    """
    patch = convolution.weight[0].numel()
    zeros_around = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    if convolution.groups != 1 or not zeros_around or patch > LARGEST_PATCH:
        return None
    members = [torch.nonzero(split.labels == c).flatten() for c in range(num_classes)]
    chosen = torch.cat([places[:IMAGES_OF_CLASS] for places in members]).sort().values
    seen: list[Tensor] = []

    def hook(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach())

    handle = convolution.register_forward_pre_hook(hook)
    totals: list[Tensor] = []
    try:
        with evaluating(model):
            for images, labels, _ in batches(
                split.take(chosen),
                batch_size,
                transform=transform,
                device=device,
                workers=workers,
            ):
                seen.clear()
                model(images)
                found = _moments(convolution, seen[0], labels, num_classes)
                totals = [a + b for a, b in zip(totals, found, strict=True)] if totals else found
    finally:
        handle.remove()
    weights = convolution.weight.detach().cpu()
    counts, sums, products = totals
    return functional.class_subspace_alignment(weights, counts, sums, products)


def _moments(
    convolution: nn.Conv2d, inputs: Tensor, labels: Tensor, num_classes: int
) -> list[Tensor]:
    sizes = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    kernel, stride, padding, dilation = (_pair(size) for size in sizes)
    found = functional.patch_moments(inputs, labels, kernel, stride, padding, dilation, num_classes)
    return [moment.cpu() for moment in found]


def _pair(size: Any) -> tuple[int, int]:
    height, width = size
    return int(height), int(width)
