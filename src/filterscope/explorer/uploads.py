"""Pictures that came from outside: decoded, bounded, nothing else of them is kept."""

from __future__ import annotations

import io
import warnings

import torch
from PIL import Image
from torch import Tensor

from filterscope.data.decode import UnreadableImageError, open_rgb, to_pixels
from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.settings import Limits

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""Kinds of files that are decoded, whatever else Pillow knows."""


def decode_upload(content: bytes, limits: Limits) -> Tensor:
    """Decode an uploaded file.

    The size that the header tells is looked at before anything is decoded, so that a small file
    cannot fill the memory.

    Args:
        content: The file.
        limits: What is allowed.

    Returns:
        uint8 pixels (3, H, W), the longer side at most `limits.kept_side`.

    Raises:
        ExplorerError: Too many bytes or pixels, another kind of file, or damaged content.

    Examples:
        >>> file = io.BytesIO()
        >>> Image.new("RGB", (30, 20)).save(file, "PNG")
        >>> decode_upload(file.getvalue(), Limits()).shape
        torch.Size([3, 20, 30])
    """
    if not content:
        raise ExplorerError(422, "image", "the upload is empty; expected an image file")
    check_bytes(len(content), limits)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                check_pixels(image.size, limits)
                return to_pixels(shrunk(open_rgb(image), limits.kept_side))
    except ExplorerError:
        raise
    except Image.DecompressionBombError:
        raise ExplorerError(413, "pixels", _too_many(None, limits)) from None
    except UnreadableImageError as error:
        raise ExplorerError(422, "image", str(error)) from error
    except Exception as error:  # Pillow's decoders raise anything
        known = ", ".join(FORMATS)
        raise ExplorerError(
            422, "image", f"the upload is not readable as an image; expected one of {known}"
        ) from error


def check_bytes(count: int, limits: Limits) -> None:
    """Refuse a file that is too large.

    Raises:
        ExplorerError: It is.
    """
    if count > limits.upload_bytes:
        raise ExplorerError(
            413,
            "bytes",
            f"the file is larger than the {limits.upload_bytes / 2**20:.3g} MB that are allowed",
        )


def check_pixels(size: tuple[int, int], limits: Limits) -> None:
    """Refuse a picture of too many pixels, by width and height.

    Raises:
        ExplorerError: It has.
    """
    if size[0] * size[1] > limits.upload_pixels:
        raise ExplorerError(413, "pixels", _too_many(size, limits))


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """Shrink a picture so that its longer side is at most `side`; smaller ones stay as they are.

    Examples:
        >>> shrunk(Image.new("RGB", (400, 3)), 40).size
        (40, 1)
    """
    longer = max(image.size)
    if longer <= side:
        return image
    width, height = (max(1, round(length * side / longer)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def shrunk_pixels(pixels: Tensor, side: int) -> Tensor:
    """The same for uint8 pixels (3, H, W)."""
    if max(pixels.shape[1:]) <= side:
        return pixels
    image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    return to_pixels(shrunk(image, side)).contiguous().to(torch.uint8)


def _too_many(size: tuple[int, int] | None, limits: Limits) -> str:
    came = "far too many" if size is None else f"{size[0]} x {size[1]}"
    return (
        f"the picture has {came} pixels; at most {limits.upload_pixels / 1e6:.3g} million are "
        "decoded"
    )
