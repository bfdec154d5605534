"""Square pictures of objects, cut out of photographs with their masks."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from filterscope.core.files import atomic_write
from filterscope.data.voc_parts import Mask

Box = tuple[int, int, int, int]
Kind = Literal["image", "mask"]


def object_window(mask: Mask) -> Box | None:
    """Find the square window about an object.

    It is centred on the bounding box of the object's mask, and its half side is half of the
    longer distance between first and last row or column (without the one that would make it a
    count of pixels). Both ends are rounded to the nearest integer, ties to the even one, in the
    coordinates of an image that is padded by its own height and width: that is how the published
    crops were made, and it can make a window a pixel longer one way than the other.

    Args:
        mask: (H, W) bool.

    Returns:
        Left, top, right and bottom (the last two exclusive), possibly outside the image; None for
        a window without pixels, as for an object of a single pixel.

    Raises:
        ValueError: The mask is empty.

    Source: the authors' script of Liang et al., ECCV 2020.

    Examples:
        >>> mask = np.zeros((8, 8), bool)
        >>> mask[2:5, 1:6] = True
        >>> object_window(mask)
        (1, 1, 5, 5)
    """
    if not mask.any():
        raise ValueError("`mask` has no object")
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    half = max(y1 - y0, x1 - x0) / 2
    top = round(height + (y0 + y1) / 2 - half) - height
    bottom = round(height + (y0 + y1) / 2 + half) - height
    left = round(width + (x0 + x1) / 2 - half) - width
    right = round(width + (x0 + x1) / 2 + half) - width
    return (left, top, right, bottom) if left < right and top < bottom else None


def cut_image(image: Image.Image, box: Box, size: int) -> Image.Image:
    """Cut a window out of a photograph, black where it leaves it, and scale it (Lanczos).

    Args:
        image: RGB.
        box: As `object_window` gives it.
        size: Side of the result in pixels.
    """
    return image.crop(box).resize((size, size), Image.Resampling.LANCZOS)


def cut_mask(mask: Mask, box: Box, size: int) -> Image.Image:
    """Cut a window out of a mask, empty where it leaves it, and scale it by nearest values.

    Args:
        mask: (H, W) bool.
        box: As `object_window` gives it.
        size: Side of the result in pixels.

    Returns:
        An image of one bit; an empty mask stays one.
    """
    window = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).crop(box)
    scaled = window.resize((size, size), Image.Resampling.NEAREST)
    return scaled.convert("1", dither=Image.Dither.NONE)


def write_picture(path: Path, picture: Image.Image, kind: Kind) -> None:
    """Write a picture atomically: images as JPEG of Pillow's usual quality, masks as 1-bit BMP."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG" if kind == "image" else "BMP")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def is_whole(path: Path, size: int, kind: Kind) -> bool:
    """Whether a picture is there, can be decoded to its end, and is of the wanted size."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.size == (size, size) and (picture.mode == "1") == (kind == "mask")
    except Exception:  # Pillow's decoders raise anything; what cannot be read is made again
        return False
