"""Peaks of maps and landmarks of objects, as the metrics of parts are given them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from filterscope.metrics.functional._localization_checks import check_maps


def peak_units(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Find the unit of each map with the largest activation.

    Args:
        maps: (N, K, h, w).

    Returns:
        The unit ``row * w + column``, the first of equals, (N, K) int64, -1 where the map is
        constant and so has no peak; and the activation there, (N, K).

    Raises:
        ValueError: No maps, maps of a single unit, or non-finite values.

    Examples:
        >>> units, values = peak_units(torch.tensor([[[[0.0, 1.0], [3.0, 0.0]], [[0.0] * 2] * 2]]))
        >>> units, values
        (tensor([[ 2, -1]]), tensor([[3., 0.]]))
    """
    check_maps(maps, 4, "(N, K, h, w)")
    if maps.shape[2:].numel() < 2:
        raise ValueError(f"`maps` must have more than one unit, got {tuple(maps.shape)}")
    flat = maps.detach().flatten(2)
    units = flat.argmax(dim=2)
    values = flat.gather(2, units[..., None])[..., 0]
    return units.where(values > flat.amin(dim=2), -1), values


def check_centres(centres: Tensor, map_size: Sequence[int] | None = None) -> None:
    """Refuse what is not one finite point for each unit."""
    if centres.dim() != 3 or centres.shape[2] != 2 or not centres.numel():
        raise ValueError(f"`centres` must be (h, w, 2), got {tuple(centres.shape)}")
    if not bool(torch.isfinite(centres).all()):
        raise ValueError("`centres` holds non-finite values")
    if map_size is not None and tuple(centres.shape[:2]) != tuple(map_size):
        raise ValueError(
            f"`centres` are those of a map {tuple(centres.shape[:2])}, `maps` are {tuple(map_size)}"
        )


def check_peaks(units: Tensor, values: Tensor, num_units: int) -> None:
    """Refuse what is not one unit, or -1, and one finite value for each image and filter."""
    if units.dim() != 2 or not units.numel() or units.is_floating_point():
        raise ValueError(f"`units` must be (N, K) integers, got {tuple(units.shape)} {units.dtype}")
    if not -1 <= int(units.min()) <= int(units.max()) < num_units:
        raise ValueError(
            f"`units` must lie in [-1, {num_units - 1}], the units of `centres`, got "
            f"{int(units.min())} to {int(units.max())}"
        )
    if values.shape != units.shape:
        raise ValueError(f"`values` must be {tuple(units.shape)}, got {tuple(values.shape)}")
    if not bool(torch.isfinite(values).all()):
        raise ValueError("`values` holds non-finite entries")


def middle(centres: Tensor) -> Tensor:
    """Point (x, y) in the middle of a map, (1, 1, 2); between units where its side is even.

    Args:
        centres: Of the units, (h, w, 2).
    """
    rows, columns = centres.shape[:2]
    block = centres[[(rows - 1) // 2, rows // 2]][:, [(columns - 1) // 2, columns // 2]]
    return block.mean(dim=(0, 1), keepdim=True)


def check_image_size(image_size: tuple[int, int]) -> None:
    """Refuse what is not two positive numbers."""
    if len(image_size) != 2 or min(image_size) <= 0:
        raise ValueError(f"`image_size` must be (height, width) in pixels, got {image_size}")


def check_landmarks(landmarks: Tensor, num_images: int, image_size: tuple[int, int]) -> None:
    """Refuse landmarks of a wrong shape, with half a point, or more than a pixel outside.

    A point may stand on the image's edge, whether its pixels are counted from 0 or 1.
    """
    check_image_size(image_size)
    if landmarks.dim() != 3 or landmarks.shape[2] != 2 or not landmarks.shape[1]:
        raise ValueError(f"`landmarks` must be (N, parts, 2), got {tuple(landmarks.shape)}")
    if len(landmarks) != num_images:
        raise ValueError(f"`landmarks` holds {len(landmarks)} images, expected {num_images}")
    if not landmarks.is_floating_point():
        raise ValueError(f"`landmarks` must be floating point, got {landmarks.dtype}")
    missing = landmarks.isnan()
    if bool((missing[..., 0] != missing[..., 1]).any()):
        raise ValueError("`landmarks` must have both x and y, or NaN for both")
    height, width = image_size
    limit = torch.tensor([width, height], dtype=landmarks.dtype, device=landmarks.device)
    outside = ((landmarks < -1) | (landmarks > limit)).any(dim=2)
    if bool(outside.any()):
        image, part = outside.nonzero()[0].tolist()
        x, y = landmarks[image, part].tolist()
        raise ValueError(
            f"`landmarks` of image {image}, part {part} lie at ({x:g}, {y:g}), outside the image "
            f"of height {height} and width {width}"
        )
