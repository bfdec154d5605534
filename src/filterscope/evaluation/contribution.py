"""What each filter of the studied layer contributes to the logit of each class."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from filterscope.core.answers import class_rows
from filterscope.core.heads import linear_head
from filterscope.data import Split, Transform, batches
from filterscope.evaluation.part import Part, Subject
from filterscope.linear import LinearInterpreter, UnsupportedOperation
from filterscope.metrics import functional

LARGEST_BATCH = 64
"""Images at once: above, the frozen networks need more memory and are no faster."""


def contribution_part(subject: Subject) -> Part:
    """Contributions of filters to their images' classes, and whether the gate agrees with them.

    Empty, with a warning, where the network has an operation that cannot be frozen. Without a gate
    there are no numbers, only the matrix.
    """
    try:
        contributions = _contributions(subject)
    except UnsupportedOperation as error:
        warnings.warn(f"contributions of filters are left out: {error}", stacklevel=2)
        return Part()
    part = Part(arrays={"contributions": contributions.numpy()})
    if subject.gate is None:
        return part
    found = functional.gate_agreement(contributions, subject.gate)
    means = {
        "contribution_auc": found.auc,
        "contribution_auc_chance": found.auc_chance,
        "contribution_cosine": found.cosine,
        "contribution_cosine_chance": found.cosine_chance,
        "contribution_open": found.positive_share,
        "contribution_open_chance": found.open_share,
    }
    undefined = {
        "contribution_auc_undefined": found.auc_undefined,
        "contribution_cosine_undefined": found.cosine_undefined,
        "contribution_open_undefined": found.positive_undefined,
    }
    known = {name: value for name, value in means.items() if not math.isnan(value)}
    return part | Part(known | undefined)


def _contributions(subject: Subject) -> Tensor:
    head = linear_head(subject.run.classifier, subject.layer)
    if head is not None:
        # exactly what the frozen network gives, at no cost (freezing takes two to five forwards)
        weight = class_rows(head.weight.detach().cpu().double())
        return weight * subject.mean_features.double()
    return class_contributions(
        subject.run.classifier,
        subject.run.layer,
        subject.dataset.test,
        subject.run.transform,
        len(subject.mean_features),
        batch_size=min(subject.batch_size, LARGEST_BATCH),
        device=subject.device,
        workers=subject.workers,
    )


def class_contributions(
    model: nn.Module,
    layer: str,
    split: Split,
    transform: Transform,
    num_classes: int,
    *,
    batch_size: int,
    device: torch.device,
    workers: int,
) -> Tensor:
    """Average what each filter contributes to the logit of its image's true class.

    The network is frozen at each image (gates and attention, too); above the layer it is affine
    then, and a filter's part of a logit is exact, whatever the head is.

    Args:
        model: The plain classifier, on `device`.
        layer: Name of the studied layer.
        split: The test images; wrongly classified ones count, too.
        transform: Their normalisation.
        num_classes: C.
        batch_size: Images at once.
        device: Where to compute.
        workers: Processes that read images which are not in memory.

    Returns:
        (C, K) float64, on CPU; NaN in the row of a class without images.

    Raises:
        UnsupportedOperation: The network has an operation that cannot be frozen.

    Source: Navarrete Michelini et al., ICCV 2019, equations 1-8 of the appendix, cut at a layer;
    the mean over a class is this library's.
    """
    totals: Tensor | None = None
    counts = torch.zeros(num_classes, dtype=torch.int64)
    for images, labels, _ in batches(
        split, batch_size, transform=transform, device=device, workers=workers
    ):
        interpreter = LinearInterpreter(model, images, freeze_gates=True)
        single = interpreter.output.shape[1] == 1
        asked = torch.zeros_like(labels) if single else labels
        found = interpreter.filter_contributions(asked, layer)
        values = torch.stack([parts.values for parts in found]).double().cpu()
        if single:  # the score of a class is half the logit, with its sign
            values *= (labels.cpu() - 0.5)[:, None]
        if totals is None:
            totals = torch.zeros(num_classes, values.shape[1], dtype=torch.float64)
        totals.index_add_(0, labels.cpu(), values)
        counts += torch.bincount(labels.cpu(), minlength=num_classes)
    if totals is None:
        raise ValueError("`split` has no images")
    return totals / counts[:, None]
