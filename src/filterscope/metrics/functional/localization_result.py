"""How well maps find the object: what the localisation metrics give, and how it is put together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.core.brief import Brief


@dataclass(frozen=True, repr=False)
class Localization(Brief):
    """How well each filter finds the objects of each class. All tensors are on CPU, float64.

    Attributes:
        filter_class_iou: Mean IoU of filter k over the images of class c, (C, K); NaN where no
            image counts.
        filter_class_ap: Share of these images on which it succeeds, (C, K).
        focus_class: The class with the filter's largest share (the first of equals), (K,) int64;
            -1 where no class has one.
        class_iou: Mean IoU over the filters that focus on the class, (C,); NaN where none does.
        class_ap: The same for the share of successes, (C,).
        total_iou: Mean over all filters of the IoU at their focus class.
        total_ap: The same for the share of successes.
        degenerate: Filters whose map tells nothing: threshold at or below 0 (the mask of a
            rectified map then is all ones), or, for gradient maps, an empty mask on every image.
        filters_of_class: Filters that focus on the class, (C,) int64.
        num_samples: Images of the class, (C,) int64.
        empty_masks: Images whose object mask has no pixel.
        full_masks: Images whose object mask has all.
        undefined: Pairs of image and filter left out, because both masks are empty.
        success: IoU that counts as success.
    """

    filter_class_iou: Tensor
    filter_class_ap: Tensor
    focus_class: Tensor
    class_iou: Tensor
    class_ap: Tensor
    total_iou: float
    total_ap: float
    degenerate: int
    filters_of_class: Tensor
    num_samples: Tensor
    empty_masks: int
    full_masks: int
    undefined: int
    success: float


@dataclass(frozen=True, repr=False)
class ImageLocalization(Brief):
    """How well one map an image finds the object.

    Attributes:
        class_iou: Mean IoU over the images of the class, (C,) float64; NaN where none counts.
        class_ap: Share of these images with success, (C,) float64.
        total_iou: Mean over all images.
        total_ap: Share of all images.
        num_samples: Images of the class, (C,) int64.
        empty_masks: Images whose object mask has no pixel.
        full_masks: Images whose object mask has all.
        undefined: Images left out, because both masks are empty.
        success: IoU that counts as success.
    """

    class_iou: Tensor
    class_ap: Tensor
    total_iou: float
    total_ap: float
    num_samples: Tensor
    empty_masks: int
    full_masks: int
    undefined: int
    success: float


@dataclass(frozen=True)
class LocalizationSums:
    """Sums from which the results are made; those of several batches add up.

    Attributes:
        iou: Sum of the IoU over the images of a class that count, (C, K) float64.
        hits: Successes among them, (C, K) int64.
        counted: How many they are, (C, K) int64.
        num_samples: Images of the class, (C,) int64.
        masks: Images whose object mask is empty, and full, (2,) int64.
    """

    iou: Tensor
    hits: Tensor
    counted: Tensor
    num_samples: Tensor
    masks: Tensor


def localization_sums(
    iou: Tensor, masks: Tensor, labels: Tensor, num_classes: int, success: float, strict: bool
) -> LocalizationSums:
    """Sum the IoU (N, K) of a batch over the images of each class; NaN is left out."""
    counts = ~iou.isnan()
    hits = iou > success if strict else iou >= success
    classes = labels.long().cpu()

    def summed(values: Tensor) -> Tensor:
        zeros = torch.zeros(num_classes, iou.shape[1], dtype=values.dtype)
        return zeros.index_add_(0, classes, values)

    covered = masks.flatten(1)
    return LocalizationSums(
        summed(iou.double().nan_to_num(nan=0.0)),
        summed(hits.long()),
        summed(counts.long()),
        torch.bincount(classes, minlength=num_classes),
        torch.stack([(~covered.any(dim=1)).sum(), covered.all(dim=1).sum()]),
    )


def summarise_filters(sums: LocalizationSums, degenerate: int, success: float) -> Localization:
    """Give each filter its focus class, and each class the mean over its filters."""
    iou, ap = sums.iou / sums.counted, sums.hits / sums.counted.double()
    # -1 is below every share, so that argmax, the first of equals, passes over classes without one
    best, focus = ap.nan_to_num(nan=-1.0).max(dim=0)
    has_focus = best >= 0
    at_focus = torch.stack([iou, ap]).gather(1, focus.expand(2, 1, -1))[:, 0, has_focus]
    owners = focus[has_focus]
    num_classes = len(iou)
    filters_of_class = torch.bincount(owners, minlength=num_classes)
    of_class = torch.zeros(2, num_classes, dtype=torch.float64).index_add_(1, owners, at_focus)
    means = of_class / filters_of_class
    total = at_focus.mean(dim=1)
    return Localization(
        filter_class_iou=iou,
        filter_class_ap=ap,
        focus_class=focus.where(has_focus, -1),
        class_iou=means[0],
        class_ap=means[1],
        total_iou=float(total[0]),
        total_ap=float(total[1]),
        degenerate=degenerate,
        filters_of_class=filters_of_class,
        num_samples=sums.num_samples,
        empty_masks=int(sums.masks[0]),
        full_masks=int(sums.masks[1]),
        undefined=int(sums.num_samples.sum()) * iou.shape[1] - int(sums.counted.sum()),
        success=success,
    )


def summarise_images(sums: LocalizationSums, success: float) -> ImageLocalization:
    """Give each class the mean over its images; sums of one map an image, K = 1."""
    iou, hits, counted = sums.iou[:, 0], sums.hits[:, 0], sums.counted[:, 0]
    return ImageLocalization(
        class_iou=iou / counted,
        class_ap=hits / counted.double(),
        total_iou=float(iou.sum() / counted.sum()),
        total_ap=float(hits.sum() / counted.sum().double()),
        num_samples=sums.num_samples,
        empty_masks=int(sums.masks[0]),
        full_masks=int(sums.masks[1]),
        undefined=int(sums.num_samples.sum() - counted.sum()),
        success=success,
    )
