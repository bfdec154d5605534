"""How well the maps of filters and classes find the object (IoU and average precision)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from filterscope.metrics.functional._localization import pixel_counts
from filterscope.metrics.functional._localization_checks import (
    check_maps,
    check_masks,
    checked_rank,
    single_precision,
)
from filterscope.metrics.functional.localization_result import (
    ImageLocalization,
    Localization,
    LocalizationSums,
    localization_sums,
    summarise_filters,
    summarise_images,
)

Aggregation = Literal["paper", "official"]
_FILTERS_AT_ONCE = 64  # that a threshold is sought for, so that the copy of their maps stays small


def binary_iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of binary masks.

    Args:
        a: Masks (..., H, W) bool.
        b: Masks (..., H, W) bool of the same H and W; leading dimensions broadcast.

    Returns:
        (...) float64; NaN where both masks are empty.

    Raises:
        ValueError: Masks that are not bool, or of different sizes.

    Source: Liang et al., ECCV 2020, appendix H.

    Examples:
        >>> a = torch.tensor([[True, True], [False, False]])
        >>> binary_iou(torch.stack([a, ~a]), a)
        tensor([1., 0.], dtype=torch.float64)
    """
    for name, mask in (("a", a), ("b", b)):
        if mask.dtype != torch.bool or mask.dim() < 2:
            raise ValueError(
                f"`{name}` must be (..., H, W) bool, got {tuple(mask.shape)} {mask.dtype}"
            )
    if a.shape[-2:] != b.shape[-2:]:
        raise ValueError(
            f"`a` and `b` must have one size, got {tuple(a.shape[-2:])} and {tuple(b.shape[-2:])}"
        )
    return (a & b).sum(dim=(-2, -1)).double() / (a | b).sum(dim=(-2, -1))


def activation_thresholds(maps: Tensor, share: float = 0.3) -> Tensor:
    """Find for each filter the activation that a given share of its activations reach.

    It is the value ranked ``int(share * h * w * N)`` from the top, the largest having rank 1, of
    all low-resolution activations of the filter.

    Args:
        maps: Raw maps of the whole data set, (N, K, h, w).
        share: Share of the activations; 0.3 is the paper's.

    Returns:
        (K,) float32, on CPU.

    Raises:
        ValueError: No maps, non-finite values, a share outside (0, 1] or so small that its rank
            is 0.

    Source: Liang et al., ECCV 2020, appendix H.1.

    Examples:
        >>> activation_thresholds(torch.arange(8.0).reshape(2, 1, 2, 2), share=0.5)
        tensor([4.])
    """
    check_maps(maps, 4, "(N, K, h, w)")
    samples, filters, height, width = maps.shape
    rank = checked_rank(share, samples * height * width)
    thresholds = torch.empty(filters, dtype=torch.float32)
    for start in range(0, filters, _FILTERS_AT_ONCE):
        part = slice(start, start + _FILTERS_AT_ONCE)
        values = single_precision(maps[:, part])
        columns = values.transpose(0, 1).flatten(1).numpy()
        place = columns.shape[1] - rank
        thresholds[part] = torch.from_numpy(np.partition(columns, place, axis=1)[:, place])
    return thresholds


def activation_localization(
    maps: Tensor,
    masks: Tensor,
    labels: Tensor,
    num_classes: int,
    share: float = 0.3,
    success: float = 0.3,
) -> Localization:
    """Measure how well the activation map of each filter finds the object (ActivMap).

    The maps are interpolated bilinearly (corners not aligned) to the size of the masks; a pixel
    belongs to the filter's mask where it reaches the filter's threshold. Each filter is judged on
    the class on which it succeeds most often, its focus class.

    Args:
        maps: Raw low-resolution maps, rectified, of the whole data set: (N, K, h, w). Computed in
            float32.
        masks: Object masks, (N, H, W) bool.
        labels: True class of each image, (N,) integers.
        num_classes: C.
        share: As in `activation_thresholds`; 0.3 is the paper's.
        success: An image counts as found where IoU > `success`; 0.3 is the paper's. (The paper
            prints >=, its code and so table 2 has >.)

    Returns:
        IoU and share of images found (AP), for each filter and class, for each class, in total.

    Raises:
        ValueError: Shapes that do not fit, non-finite maps, masks that are not bool, labels out
            of range, or a share outside (0, 1].

    Source: Liang et al., ECCV 2020, section 4.2 (table 2) and appendix H.1.

    Examples:
        >>> masks = torch.zeros(2, 8, 8, dtype=torch.bool)
        >>> masks[0, :, :4], masks[1, :, 4:] = True, True
        >>> maps = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).expand(2, 1, 2, 2)
        >>> result = activation_localization(maps, masks, torch.tensor([0, 1]), num_classes=3)
        >>> result.focus_class, result.class_iou
        (tensor([0]), tensor([0.5000,    nan,    nan], dtype=torch.float64))
    """
    check_maps(maps, 4, "(N, K, h, w)")
    check_masks(masks, labels, num_classes, len(maps))
    maps = single_precision(maps)
    thresholds = activation_thresholds(maps, share)
    objects = masks.cpu()
    area, inside = (counts.double() for counts in pixel_counts(maps, thresholds, objects))
    iou = inside / (area + objects.sum(dim=(1, 2))[:, None] - inside)
    sums = localization_sums(iou, objects, labels, num_classes, success, strict=True)
    return summarise_filters(sums, int((thresholds <= 0).sum()), success)


def map_localization(
    maps: Tensor,
    masks: Tensor,
    labels: Tensor,
    num_classes: int,
    share: float = 0.3,
    success: float = 0.3,
) -> ImageLocalization:
    """Measure how well one map an image, such as a class activation map, finds the object.

    A pixel belongs to the map's mask where it reaches the value ranked ``int(share * H * W)``
    from the top, the largest having rank 1, of this image's own map.

    Args:
        maps: One map an image at the size of the masks, (N, H, W).
        masks: Object masks, (N, H, W) bool.
        labels: True class of each image, (N,) integers.
        num_classes: C.
        share: Share of the pixels; 0.3 is the paper's. A map with many equal values marks more.
        success: An image counts as found where IoU > `success`; 0.3 is the paper's.

    Returns:
        IoU and share of images found (AP), for each class and in total.

    Raises:
        ValueError: Shapes that do not fit, non-finite maps, masks that are not bool, labels out
            of range, or a share outside (0, 1].

    Source: Liang et al., ECCV 2020, section 4.2 (table 2).

    Examples:
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> maps = torch.tensor([[[3.0, 1.0], [2.0, 0.0]]])
        >>> round(map_localization(maps, masks, torch.tensor([0]), 1, share=0.5).total_iou, 4)
        0.3333
    """
    return summarise_images(map_sums(maps, masks, labels, num_classes, share, success), success)


def map_sums(
    maps: Tensor, masks: Tensor, labels: Tensor, num_classes: int, share: float, success: float
) -> LocalizationSums:
    """Sum a batch for `map_localization`, whose arguments these are; K = 1, on CPU."""
    check_maps(maps, 3, "(N, H, W)")
    check_masks(masks, labels, num_classes, len(maps), maps.shape[1:])
    values, objects = single_precision(maps), masks.cpu()
    flat = values.flatten(1)
    place = flat.shape[1] - checked_rank(share, flat.shape[1])
    thresholds = np.partition(flat.numpy(), place, axis=1)[:, place]
    marked = values >= torch.from_numpy(thresholds)[:, None, None]
    iou = binary_iou(marked, objects)[:, None]
    return localization_sums(iou, objects, labels, num_classes, success, strict=True)


def gradient_localization(
    maps: Tensor,
    masks: Tensor,
    labels: Tensor,
    num_classes: int,
    aggregation: Aggregation = "official",
    threshold: float = 1.0,
    success: float = 0.2,
) -> Localization | ImageLocalization:
    """Measure how well the gradient maps of filters find the object (GradMap).

    For more images than fit at once: `filterscope.metrics.GradientLocalization`.

    Args:
        maps: Blurred gradient maps at the size of the masks, (N, F, H, W), or their binary masks,
            bool. For "paper" the F maps are those of the same filters on every image; for
            "official" those of the strongest filters of the image's class, in any order (the
            published code takes ``class_mean_features(...)[label].topk(30).indices``).
        masks: Object masks, (N, H, W) bool.
        labels: True class of each image, (N,) integers.
        num_classes: C.
        aggregation: "paper" judges each filter on its focus class, as `activation_localization`;
            "official" averages the IoU over the filters of an image and judges images, as the
            published code, and so table 2, does.
        threshold: A pixel belongs to a mask where the map is above it; 1 is the paper's. Of no
            effect on bool maps.
        success: An image counts as found where IoU >= `success`; 0.2 is the paper's.

    Returns:
        A `Localization` over F filters for "paper", an `ImageLocalization` for "official".

    Raises:
        ValueError: Shapes that do not fit, non-finite maps, masks that are not bool, labels out
            of range, or an unknown aggregation.

    Source: Liang et al., ECCV 2020, section 4.2 (table 2) and appendices G and H.

    Examples:
        >>> masks = torch.tensor([[[True, True], [False, False]]])
        >>> maps = torch.tensor([[[[2.0, 0.0], [0.0, 0.0]], [[2.0, 2.0], [0.0, 0.0]]]])
        >>> gradient_localization(maps, masks, torch.tensor([0]), num_classes=1).total_iou
        0.75
    """
    check_aggregation(aggregation)
    sums, fired = gradient_sums(maps, masks, labels, num_classes, aggregation, threshold, success)
    if aggregation == "official":
        return summarise_images(sums, success)
    return summarise_filters(sums, int((fired == 0).sum()), success)


def gradient_sums(
    maps: Tensor,
    masks: Tensor,
    labels: Tensor,
    num_classes: int,
    aggregation: Aggregation,
    threshold: float,
    success: float,
) -> tuple[LocalizationSums, Tensor]:
    """Sum a batch for `gradient_localization`; also the images on which each filter marks a pixel.

    The arguments are those of `gradient_localization`.

    Returns:
        The sums, for F filters or for one map an image, and counts (F,) int64; all on CPU.
    """
    check_maps(maps, 4, "(N, F, H, W)", binary=True)
    check_masks(masks, labels, num_classes, len(maps), maps.shape[2:])
    marked = maps if maps.dtype == torch.bool else maps > threshold
    iou = binary_iou(marked, masks.to(maps.device)[:, None]).cpu()
    fired = marked.flatten(2).any(dim=2).sum(dim=0).cpu()
    if aggregation == "official":
        iou = iou.nanmean(dim=1, keepdim=True)
    return localization_sums(iou, masks.cpu(), labels, num_classes, success, strict=False), fired


def check_aggregation(aggregation: Aggregation) -> None:
    """Refuse an aggregation that is neither of the two."""
    if aggregation not in ("paper", "official"):
        raise ValueError(f'`aggregation` must be "paper" or "official", got {aggregation!r}')
