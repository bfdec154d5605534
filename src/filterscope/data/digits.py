"""scikit-learn's handwritten digits: the data set that is always there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SIZE = 16
# of the training images at 16 x 16
MEAN, STD = 0.306, 0.319


def read_digits(image_size: int) -> tuple[Tensor, Tensor]:
    """Read the 1,797 digits, scaled up from 8 x 8 and repeated on three channels.

    Args:
        image_size: Side in pixels.

    Returns:
        Pixels (1797, 3, S, S) uint8, and labels (1797,) int64.
    """
    from sklearn.datasets import load_digits

    values, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(values).float().reshape(-1, 1, 8, 8) * (255 / 16)
    images = F.interpolate(images, size=(image_size, image_size), mode="bilinear")
    pixels = images.round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).contiguous()
    return pixels, torch.from_numpy(labels).long()
