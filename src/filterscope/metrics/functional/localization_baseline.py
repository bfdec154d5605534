"""What masks that know nothing of the image reach in the localisation metrics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.metrics.functional._localization_checks import check_masks
from filterscope.metrics.functional.localization import binary_iou
from filterscope.metrics.functional.localization_result import (
    ImageLocalization,
    localization_sums,
    summarise_images,
)


@dataclass(frozen=True)
class LocalizationChance:
    """Localisation by masks that are the same for every image.

    Attributes:
        full: Of a mask that is all ones: the IoU is the area share of the object.
        box: Of a centred box as large as the mean object, with the aspect of the image.
        box_size: Its height and width, in pixels.
        mean_area: Mean area share of the objects, over all images.
    """

    full: ImageLocalization
    box: ImageLocalization
    box_size: tuple[int, int]
    mean_area: float


def localization_chance(
    masks: Tensor, labels: Tensor, num_classes: int, success: float = 0.3, strict: bool = True
) -> LocalizationChance:
    """Find the localisation that needs no network, to print beside that of a network.

    Args:
        masks: Object masks, (N, H, W) bool.
        labels: True class of each image, (N,) integers.
        num_classes: C.
        success: IoU that counts as success: 0.3 beside activation maps and class activation maps,
            0.2 beside gradient maps.
        strict: Whether the IoU must be above it (activation maps and class activation maps), or
            may equal it (gradient maps).

    Returns:
        The levels of a full mask and of a centred box whose sides are those of the image times
        the root of the mean area share of the objects, rounded, at least one pixel.

    Raises:
        ValueError: Shapes that do not fit, masks that are not bool, or labels out of range.

    Examples:
        >>> masks = torch.zeros(1, 4, 4, dtype=torch.bool)
        >>> masks[0, 1:3, 1:3] = True
        >>> chance = localization_chance(masks, torch.tensor([0]), num_classes=1)
        >>> chance.full.total_iou, chance.box.total_iou, chance.box_size
        (0.25, 1.0, (2, 2))
    """
    check_masks(masks, labels, num_classes, len(masks))
    objects = masks.cpu()
    height, width = objects.shape[1:]
    area = float(objects.double().mean())
    rows, columns = (max(1, round(side * math.sqrt(area))) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    box = torch.zeros(height, width, dtype=torch.bool)
    box[top : top + rows, left : left + columns] = True
    levels = []
    for mask in (torch.ones_like(box), box):
        iou = binary_iou(mask, objects)[:, None]
        sums = localization_sums(iou, objects, labels, num_classes, success, strict)
        levels.append(summarise_images(sums, success))
    return LocalizationChance(levels[0], levels[1], (rows, columns), area)
