"""Checks of what attacks are given."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor


def check_images(images: Tensor, labels: Tensor) -> None:
    """Refuse images that are no pixels in [0, 1], and labels that do not belong to them.

    Args:
        images: Must be (N, channels, H, W), float32 or float64, in [0, 1], and not empty.
        labels: Must be (N,) integers.

    Raises:
        TypeError: Images that are no floating-point tensor, or labels that are no integers.
        ValueError: Shapes that do not fit, pixels outside [0, 1], another precision.
    """
    for name, value in (("images", images), ("labels", labels)):
        if not isinstance(value, Tensor):
            raise TypeError(f"`{name}` must be a tensor, got {type(value).__name__}")
    if images.dim() != 4 or not images.numel():
        raise ValueError(
            f"`images` must be (N, channels, H, W) and not empty, got {tuple(images.shape)}"
        )
    if not images.is_floating_point():
        raise TypeError(f"`images` must be floating point in [0, 1], got {images.dtype}")
    if images.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"`images` must be float32 or float64, got {images.dtype}")
    least, most = (float(end) for end in images.detach().aminmax())
    if not (least >= 0 and most <= 1):
        raise ValueError(
            f"`images` must be pixels in [0, 1], got {least:.3g} to {most:.3g}; give what prepares "
            "them for the network as `normalize`"
        )
    check_classes("labels", labels, len(images))


def check_classes(name: str, classes: Tensor, count: int) -> None:
    """Refuse what is not one class for each image.

    Args:
        name: Of the argument.
        classes: Must be (`count`,) integers.
        count: N.

    Raises:
        TypeError: No tensor of integers.
        ValueError: Another shape.
    """
    if not isinstance(classes, Tensor):
        raise TypeError(f"`{name}` must be a tensor, got {type(classes).__name__}")
    if classes.is_floating_point() or classes.is_complex() or classes.dtype == torch.bool:
        raise TypeError(f"`{name}` must be integers, got {classes.dtype}")
    if classes.shape != (count,):
        raise ValueError(
            f"`{name}` must be one class for each of {count} images, got {tuple(classes.shape)}"
        )


def check_range(name: str, classes: Tensor, num_classes: int) -> None:
    """Refuse classes that the network does not have.

    Args:
        name: Of the argument.
        classes: Integers, (N,).
        num_classes: C.

    Raises:
        ValueError: A class outside [0, C - 1].
    """
    if not 0 <= int(classes.min()) <= int(classes.max()) < num_classes:
        raise ValueError(
            f"`{name}` must lie in [0, {num_classes - 1}], "
            f"got {int(classes.min())} to {int(classes.max())}"
        )


def check_number(
    name: str, value: float, least: float, most: float = float("inf"), *, whole: bool = False
) -> None:
    """Refuse a setting outside its range.

    Args:
        name: Of the argument.
        value: What came.
        least: The smallest that is allowed.
        most: The largest that is allowed.
        whole: Whether it must be an integer.

    Raises:
        TypeError: No number, or no integer where one is needed.
        ValueError: A number outside [least, most].
    """
    wanted: Any = Integral if whole else Real  # NumPy's numbers are such, too
    if isinstance(value, bool) or not isinstance(value, wanted):
        kind = "an integer" if whole else "a number"
        raise TypeError(f"`{name}` must be {kind}, got {value!r}")
    if not least <= value <= most:
        expected = f"at least {least:g}" if most == float("inf") else f"in [{least:g}, {most:g}]"
        raise ValueError(f"`{name}` must be {expected}, got {value}")
