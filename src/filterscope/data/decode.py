"""Any image file to RGB pixels of the wanted size."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

# What a file name must end in to count as an image (torchvision's ImageFolder takes these, too).
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")


class UnreadableImageError(ValueError):
    """A file that is no image, or half of one."""


def open_rgb(source: bytes | str | Path | Image.Image) -> Image.Image:
    """Decode an image to 8-bit RGB, upright.

    Greyscale is repeated on three channels, 16-bit greyscale is scaled down, transparency is laid
    on white, CMYK and palettes are converted, the rotation that the camera noted is applied, and
    of an animation the first frame is taken.

    Args:
        source: The bytes of a file, its path, or an image opened by Pillow.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableImageError: The content is truncated, damaged, no image, or too large to be safe.
    """
    name = "the image" if isinstance(source, (bytes, Image.Image)) else str(source)
    try:
        if isinstance(source, Image.Image):
            return _to_rgb(source)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            return _to_rgb(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise anything: OSError, SyntaxError, struct...
        raise UnreadableImageError(f"{name} is not readable as an image: {_said(error)}") from error


def check_readable(content: bytes) -> None:
    """Raise as `open_rgb` would, but decode a JPEG at an eighth of its size, which is faster.

    Args:
        content: The bytes of a file.

    Raises:
        UnreadableImageError: The content is truncated, damaged, no image, or too large to be safe.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
            _to_rgb(image)
    except Exception as error:
        raise UnreadableImageError(f"not readable as an image: {_said(error)}") from error


def _said(error: Exception) -> str:
    """What Pillow said; addresses of objects in it differ from run to run."""
    return re.sub(r" <_io.*?>", "", str(error)) or type(error).__name__


def _to_rgb(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits; Pillow's own conversion would clip at 255
        values = np.asarray(image, dtype=np.float64)
        values = values / 257 if values.max(initial=0) > 255 else values
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        values = values * 255 if values.max(initial=0) <= 1 else values
        image = Image.fromarray(values.round().clip(0, 255).astype(np.uint8))
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode in ("LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


def open_mask(source: bytes | str | Path | Image.Image) -> Image.Image:
    """Decode an object mask: 255 where a value differs from zero, 0 elsewhere; upright.

    Taken are masks of 1 bit, palette images (by their indices, whatever the colours; a "void"
    border with an index of its own counts as object), and greyscale masks of one grey beside
    zero (0 and 255, 0 and 1). Several greys mean that the file is no mask or that a lossy format
    has blurred it, and colours have no meaning here: both are refused.

    Args:
        source: The bytes of a file, its path, or an image opened by Pillow.

    Returns:
        An 8-bit greyscale image.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableImageError: The content is damaged, no image, or no mask.
    """
    name = "the mask" if isinstance(source, (bytes, Image.Image)) else str(source)
    try:
        if isinstance(source, Image.Image):
            values, mode = _values(source)
        else:
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
                values, mode = _values(image)
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise anything: OSError, SyntaxError, struct...
        raise UnreadableImageError(f"{name} is not readable as a mask: {_said(error)}") from error
    if values.ndim != 2:
        raise UnreadableImageError(
            f"{name} has mode {mode}; expected 1 bit, greyscale or a palette"
        )
    greys = np.unique(values[values != 0]) if mode not in ("1", "P") else ()
    if len(greys) > 1:
        raise UnreadableImageError(
            f"{name} holds {len(greys)} different greys; expected zero and one other value"
        )
    return Image.fromarray(np.where(values != 0, 255, 0).astype(np.uint8))


def _values(image: Image.Image) -> tuple[NDArray[Any], str]:
    return np.asarray(ImageOps.exif_transpose(image)), image.mode


def upright_size(content: bytes) -> tuple[int, int]:
    """Tell width and height of an image as `open_rgb` gives it, from its header alone.

    Raises:
        UnreadableImageError: The content is no image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
            width, height = image.size
    except Exception as error:
        raise UnreadableImageError(f"not readable as an image: {_said(error)}") from error
    return (height, width) if turned else (width, height)


def fit(
    image: Image.Image,
    resize: int,
    crop: int,
    resample: Image.Resampling = Image.Resampling.BILINEAR,
) -> Image.Image:
    """Scale an image so that its shorter side has `resize` pixels, and cut the central square.

    Args:
        image: Of any size.
        resize: Shorter side after scaling.
        crop: Side of the square.
        resample: Bilinear with antialiasing for photographs; masks take the nearest value.
    """
    box, size, (left, top) = _placement(*image.size, resize, crop)
    if box != (0, 0, *image.size):
        image = image.crop(box)
    if size != image.size:
        image = image.resize(size, resample)
    return image.crop((left, top, left + crop, top + crop))


def fit_points(points: Tensor, size: tuple[int, int], resize: int, crop: int) -> Tensor:
    """Tell where points of an image lie after `fit`.

    Args:
        points: (..., 2) float, x and y from the image's top left corner.
        size: Width and height of the image before.
        resize: As `fit` takes it.
        crop: As `fit` takes it.

    Returns:
        (..., 2), x and y from the top left corner of the square, also outside it.
    """
    box, scaled, corner = _placement(*size, resize, crop)
    before = torch.tensor([box[2] - box[0], box[3] - box[1]], dtype=points.dtype)
    moved = (points - torch.tensor(box[:2])) * (torch.tensor(scaled) / before)
    return moved - torch.tensor(corner)


def _placement(
    width: int, height: int, resize: int, crop: int
) -> tuple[tuple[int, int, int, int], tuple[int, int], tuple[int, int]]:
    """The box that is scaled, its size after that, and the corner of the square in it."""
    short = min(width, height)
    left, top = (max(0, side - 8 * short) // 2 for side in (width, height))
    box = (left, top, width - left, height - top)  # what the cut drops anyway need not be scaled
    width, height = box[2] - left, box[3] - top
    scale = resize / short
    size = (max(resize, round(width * scale)), max(resize, round(height * scale)))
    return box, size, (round((size[0] - crop) / 2), round((size[1] - crop) / 2))


def to_pixels(image: Image.Image) -> Tensor:
    """Turn an RGB image into uint8 pixels (3, H, W)."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).contiguous()
