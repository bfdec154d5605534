"""Do a layer's filters lie in the input subspaces of their classes?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.data import Split, Transform, batches
from filterscope.data.batching import Batch
from filterscope.metrics import functional

IMAGES_OF_CLASS = 200
"""Test images of each class whose patches are looked at."""

LARGEST_PATCH = 2500
"""Numbers in a patch above which the principal components would cost more than all else."""

MOST_WORK = 1.6e12
"""Classes times the cube of that number above which they would cost it, too: 100 classes of the
largest patches, or 1000 of 1169 numbers."""

MOMENT_BYTES = 2**26
"""Memory for the second moments of the classes that are looked at together."""


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
        for patches of more than `LARGEST_PATCH` numbers, and above `MOST_WORK`.

    Source: Liang et al., ECCV 2020, appendix D.
    """
    patch = convolution.weight[0].numel()
    zeros_around = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    too_much = patch > LARGEST_PATCH or num_classes * patch**3 > MOST_WORK
    if convolution.groups != 1 or not zeros_around or too_much:
        return None
    rows = []
    # a class's images are its own: in groups each is still seen once, with the memory of a group
    for group in torch.arange(num_classes).split(max(1, MOMENT_BYTES // (8 * patch**2))):
        members = [torch.nonzero(split.labels == c).flatten() for c in group.tolist()]
        chosen = torch.cat([places[:IMAGES_OF_CLASS] for places in members]).sort().values
        some = batches(
            split.take(chosen), batch_size, transform=transform, device=device, workers=workers
        )
        moments = _moments(model, convolution, some, int(group[0]), len(group))
        weights = convolution.weight.detach().cpu()
        rows.append(functional.class_subspace_alignment(weights, *moments))
    return torch.cat(rows)


def _moments(
    model: nn.Module, convolution: nn.Conv2d, some: Iterator[Batch], first: int, num_classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Moments of the patches of `num_classes` classes from the first one on, on CPU."""
    sizes = (convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation)
    kernel, stride, padding, dilation = (_pair(size) for size in sizes)
    patch = convolution.weight[0].numel()
    counts = torch.zeros(num_classes, dtype=torch.int64)
    sums = torch.zeros(num_classes, patch, dtype=torch.float64)
    products = torch.zeros(num_classes, patch, patch, dtype=torch.float64)
    seen: list[Tensor] = []
    handle = convolution.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        with evaluating(model):
            for images, labels, _ in some:
                seen.clear()
                model(images)
                found = functional.patch_moments(
                    seen[0], labels - first, kernel, stride, padding, dilation, num_classes
                )
                for total, part in zip((counts, sums, products), found, strict=True):
                    total += part.cpu()
    finally:
        handle.remove()
    return counts, sums, products


def _pair(size: Any) -> tuple[int, int]:
    height, width = size
    return int(height), int(width)
