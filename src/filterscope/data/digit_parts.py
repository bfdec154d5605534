"""A digit with landmarks at the ends of its strokes: landmark data that is always there."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from filterscope.data import digits
from filterscope.data.assembly import Selection
from filterscope.data.augmentation import Augmentation
from filterscope.data.choice import choose, hold_out
from filterscope.data.part_folders import NEGATIVES
from filterscope.data.split import ImageDataset, InMemory, Split
from filterscope.data.transform import Transform

CATEGORY = 6
PARTS = ("bottom", "top")
INK = 127
"""Grey level above which a pixel is ink; half of the largest."""


def load_digit_parts(image_size: int | None, selection: Selection) -> ImageDataset:
    """Load scikit-learn's digit 6 against as many other digits.

    Landmarks are computed, not drawn by people: where the ink of the uppermost and of the
    lowermost inked row lies in the mean. Images come once each and are not mirrored.

    Args:
        image_size: Side in pixels; that of `digits` by default.
        selection: Which images; `repeat` changes nothing.
    """
    transform = Transform(image_size or digits.SIZE, mean=(digits.MEAN,) * 3, std=(digits.STD,) * 3)
    pixels, numbers = digits.read_digits(transform.image_size)
    kept = _balanced(numbers)
    pixels, labels = pixels[kept], (numbers[kept] == CATEGORY).long()
    landmarks = stroke_ends(pixels)
    landmarks[labels == 0] = float("nan")
    train, test = hold_out(labels, selection.test_fraction, selection.seed)
    sides = []
    for part, limit in ((train, selection.limit), (test, selection.limit_test)):
        part = part[choose(labels[part], limit, selection.seed)]
        names = tuple(f"digit {kept[i]}" for i in part.tolist())
        split = Split(labels[part], names, InMemory(pixels[part]), transform)
        sides.append(replace(split, landmarks=landmarks[part], part_names=PARTS))
    return ImageDataset(
        "digit-parts",
        (NEGATIVES, str(CATEGORY)),
        replace(sides[0], name="the digits' training split"),
        replace(sides[1], name="the digits' test split"),
        transform,
        Augmentation(padding=max(1, transform.image_size // 8), flip=False),
        negative=NEGATIVES,
    )


def stroke_ends(pixels: Tensor) -> Tensor:
    """Find the lower and the upper end of the ink.

    Args:
        pixels: (N, 3, S, S) uint8, bright ink on black.

    Returns:
        (N, 2, 2) float32: x and y of bottom and top in pixels, edge to edge; NaN without ink.

    Examples:
        >>> pixels = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
        >>> pixels[:, :, 2:7, 3] = 255
        >>> stroke_ends(pixels)[0].tolist()
        [[3.5, 6.5], [3.5, 2.5]]
    """
    ink = pixels[:, 0] > INK
    rows = ink.any(2)
    columns = torch.arange(ink.shape[2], dtype=torch.float32) + 0.5
    mean_column = (ink * columns).sum(2) / ink.sum(2)
    found = []
    for row in (ink.shape[1] - 1 - rows.flip(1).int().argmax(1), rows.int().argmax(1)):
        x = mean_column.gather(1, row[:, None])[:, 0]
        y = torch.where(rows.any(1), row + 0.5, float("nan"))
        found.append(torch.stack([x, y], 1))
    return torch.stack(found, 1)


def _balanced(numbers: Tensor) -> Tensor:
    """Places of all images of the category and of as many others, the same number a digit."""
    own = torch.nonzero(numbers == CATEGORY).flatten()
    each = len(own) // 9
    others = [
        torch.nonzero(numbers == digit).flatten()[:each] for digit in range(10) if digit != CATEGORY
    ]
    return torch.cat([own, *others]).sort().values
