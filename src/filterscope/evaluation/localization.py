"""Where the filters look, against the object masks of the test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from filterscope import maps
from filterscope.core.heads import linear_head
from filterscope.data import Split, Transform, batches
from filterscope.data.batching import Batch
from filterscope.evaluation.part import Part, Subject, alone
from filterscope.metrics import (
    ActivationLocalization,
    GradientLocalization,
    MapLocalization,
    functional,
)

GRADIENT_FILTERS = 30
"""Strongest filters of a class whose gradient maps are looked at, as in the authors' code."""

GRADIENT_IMAGES = 20
"""Images of a class for the gradient maps: each filter of each image is a backward pass."""

EVERY_FILTER = 64
"""Filters that are judged one by one by their gradient maps, as in the paper: all of them, or as
many, evenly spaced."""

STATED_FOR = 128
"""Side of the paper's images, which its blur of gradient maps is meant for."""


def localization_part(subject: Subject) -> Part:
    """Localisation by activation maps, gradient maps and CAM, for data with object masks.

    The class of an image is its label, as in the paper; chance levels stand beside.
    """
    if not subject.dataset.test.has_masks:
        return Part()
    return localize(
        subject.run.classifier,
        subject.layer,
        subject.run.activation,
        subject.dataset.test,
        subject.run.transform,
        subject.mean_features,
        batch_size=subject.batch_size,
        device=subject.device,
        workers=subject.workers,
    )


def localize(
    model: nn.Module,
    layer: nn.Module,
    activation: Callable[[Tensor], Tensor] | None,
    split: Split,
    transform: Transform,
    mean_features: Tensor,
    *,
    batch_size: int,
    device: torch.device,
    workers: int = 0,
    targets: Tensor | None = None,
) -> Part:
    """Measure localisation over a split with object masks.

    Args:
        model: A plain classifier, on `device`.
        layer: The layer whose filters are studied.
        activation: What rectifies its output.
        split: Images with masks.
        transform: Their normalisation.
        mean_features: Mean activation of each filter on each class, (C, K); a class without images
            has NaN.
        batch_size: Images at once.
        device: Where to compute.
        workers: Processes that read images which are not in memory.
        targets: The logit that CAM explains, for each class of the split, (C,); None: the class
            itself.

    Returns:
        Metrics ``activmap_*``, ``gradmap_*``, ``cam_*`` (CAM only for heads of global average
        pooling and one linear layer), each with its chance levels, and their rows by class.
    """
    num_classes = len(mean_features)
    active = alone(ActivationLocalization(num_classes))
    has_cam = linear_head(model, layer) is not None
    cam = alone(MapLocalization(num_classes)) if has_cam else None
    read = partial(_with_masks, split, transform, batch_size, device, workers)
    for batch, masks in read():
        low = maps.activation_map(model, batch.images, layer, size=None, activation=activation)
        active.update(low.cpu(), masks, batch.labels.cpu(), batch.indices)
        if cam is not None:
            asked = batch.labels if targets is None else targets.to(device)[batch.labels]
            found = maps.class_activation_map(model, batch.images, asked, layer=layer)
            cam.update(found.cpu(), masks, batch.labels.cpu())
    result = active.compute()
    part = _named("activmap", "ap30", result) | Part({"activmap_degenerate": result.degenerate})
    if cam is not None:
        part |= _named("cam", "ap30", cam.compute())

    def gradients(images: Tensor, filters: list[int]) -> Tensor:
        return maps.grad_map(model, images, layer, filters, preset=None, activation=activation)

    part |= _gradient_part(gradients, read, split.labels, mean_features, transform.image_size)
    return part | _chance_part(split, num_classes)


def _gradient_part(
    gradients: Callable[[Tensor, list[int]], Tensor],
    read: Callable[[Tensor], Iterator[tuple[Batch, Tensor]]],
    labels: Tensor,
    mean_features: Tensor,
    side: int,
) -> Part:
    """Gradient maps on the first images of each class, in both readings of the paper.

    ``gradmap_*``: the mean over each class's strongest filters, as the authors' code (their
    table); ``gradmap_paper_*``: every filter on its focus class, as the paper's text. Both blur
    the same gradients.
    """
    num_classes, num_filters = mean_features.shape
    number = min(GRADIENT_FILTERS, num_filters)
    every = torch.linspace(0, num_filters - 1, min(EVERY_FILTER, num_filters)).round().long()
    official = alone(GradientLocalization(num_classes, number, "official"))
    paper = alone(GradientLocalization(num_classes, len(every), "paper"))
    blurs = {
        name: preset.scaled(side / STATED_FOR) for name, preset in maps.GRAD_MAP_PRESETS.items()
    }
    for c in range(num_classes):
        places = torch.nonzero(labels == c).flatten()[:GRADIENT_IMAGES]
        if not len(places):
            continue
        strongest = mean_features[c].argsort(descending=True, stable=True)[:number]
        both = torch.unique(torch.cat([every, strongest]))
        for batch, masks in read(places):
            found = gradients(batch.images, both.tolist())
            true = batch.labels.cpu()
            for metric, wanted, name in (
                (official, strongest, "official"),
                (paper, every, "paper"),
            ):
                chosen = found[:, torch.searchsorted(both, wanted).to(found.device)]
                metric.update(blurs[name].blur(chosen).cpu(), masks, true)
    part = _named("gradmap", "ap20", official.compute())
    part |= _named("gradmap_paper", "ap20", paper.compute())
    return part | Part(
        {
            "gradmap_filters": number,
            "gradmap_paper_filters": len(every),
            "gradmap_images_of_class": GRADIENT_IMAGES,
        }
    )


def _chance_part(split: Split, num_classes: int) -> Part:
    """What a full mask and a centred box of the mean object area reach."""
    masks = _masks_of(split, torch.arange(len(split)))
    part = Part({"object_area": float(masks.double().mean())})
    for suffix, success, strict in (("ap30", 0.3, True), ("ap20", 0.2, False)):
        chance = functional.localization_chance(
            masks, split.labels, num_classes, success=success, strict=strict
        )
        for kind, result in (("full", chance.full), ("box", chance.box)):
            part |= Part(
                {
                    f"chance_{kind}_iou": result.total_iou,
                    f"chance_{kind}_{suffix}": result.total_ap,
                },
                {
                    f"chance_{kind}_iou": result.class_iou.numpy(),
                    f"chance_{kind}_{suffix}": result.class_ap.numpy(),
                },
            )
    return part


def _named(
    name: str,
    precision: str,
    result: functional.Localization | functional.ImageLocalization,
) -> Part:
    return Part(
        {f"{name}_iou": result.total_iou, f"{name}_{precision}": result.total_ap},
        {
            f"{name}_iou": result.class_iou.numpy(),
            f"{name}_{precision}": result.class_ap.numpy(),
        },
    )


def _with_masks(
    split: Split,
    transform: Transform,
    batch_size: int,
    device: torch.device,
    workers: int,
    places: Tensor | None = None,
) -> Iterator[tuple[Batch, Tensor]]:
    """Batches of a split, or of some places in it, each with its object masks."""
    chosen = torch.arange(len(split)) if places is None else places
    some = split if places is None else split.take(places)
    for batch in batches(some, batch_size, transform=transform, device=device, workers=workers):
        yield batch, _masks_of(split, chosen[batch.indices])


def _masks_of(split: Split, places: Tensor) -> Tensor:
    return torch.from_numpy(np.stack([split.mask(i).numpy() for i in places.tolist()]))
