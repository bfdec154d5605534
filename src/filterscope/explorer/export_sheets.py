"""Sheets: pictures around zero, cropped and side by side in one lossless PNG.

A sheet holds the filters of one line of pixels. Each is cut to the box outside of which every
number is at most a ten-thousandth of its largest, and written in steps of that largest number over
32767, as 16 bits about the middle 32768. The upper half of the sheet has the high bytes, in which
mid grey is zero and which is therefore a picture of the filters; the lower half has the low bytes.
All boxes of a sheet start in cells of one size. What is needed to read a sheet stands in the PNG's
own text, so that a sheet is whole or not there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from filterscope.explorer.boxes import SMALL

STEPS = 32767
WIDTH = 4096
"""Of a sheet in pixels at most, unless a single filter is wider."""

MOST = 2**26
"""Pixels of a sheet at most; Pillow and browsers doubt larger pictures."""

_ZERO = 32768
_KEY = "filterscope"
_HELD = {"cell", "across", "boxes", "scales"}

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Placed:
    """A part of a picture around zero; what lies outside of it is zero.

    Attributes:
        top: Of the part in the picture.
        left: Of the part in the picture.
        values: (C, h, w), C of 1 or 3.
    """

    top: int
    left: int
    values: Floats


def pack_sheet(pictures: Sequence[Placed], header: Mapping[str, Any]) -> bytes:
    """Write pictures as a sheet.

    Args:
        pictures: Of one number of channels.
        header: What else the PNG's text says.

    Returns:
        A PNG file.

    Raises:
        ValueError: No picture, other channels than 1 or 3, numbers that are not finite, or more
            than a reader of PNG files takes.

    Examples:
        >>> values = np.zeros((1, 4, 4), np.float32)
        >>> values[0, 1, 2] = -0.5
        >>> header, found = unpack_sheet(pack_sheet([Placed(10, 20, values)], {"line": 7}))
        >>> header["line"], found[0].top, found[0].left, found[0].values
        (7, 11, 22, array([[[-0.5]]], dtype=float32))
    """
    channels = {picture.values.shape[0] for picture in pictures}
    if len(channels) != 1 or not channels <= {1, 3}:
        raise ValueError(f"`pictures` must have 1 or 3 channels, all of them, got {channels}")
    cut = [_cut(picture) for picture in pictures]
    scales = [float(np.abs(picture.values).max(initial=0)) for picture in cut]
    sizes = [picture.values.shape[1:] for picture in cut]
    cell = (max(1, *(h for h, _ in sizes)), max(1, *(w for _, w in sizes)))
    across = max(1, min(len(cut), WIDTH // cell[1]))
    height, width = cell[0] * -(-len(cut) // across), cell[1] * across
    if 2 * height * width > MOST:
        raise ValueError(
            f"the {len(cut)} filters of a line fill {width} x {2 * height} pixels, too many for "
            "readers of PNG files: take fewer (a larger stride) or a smaller picture"
        )
    numbers = np.full((height, width, channels.pop()), _ZERO, np.uint16)
    for k, (picture, scale) in enumerate(zip(cut, scales, strict=True)):
        top, left = cell[0] * (k // across), cell[1] * (k % across)
        h, w = sizes[k]
        share = picture.values.astype(np.float64) / scale if scale else picture.values
        steps = np.rint(share * STEPS).astype(np.int32) + _ZERO
        numbers[top : top + h, left : left + w] = steps.transpose(1, 2, 0)
    described = {
        **header,
        "cell": cell,
        "across": across,
        "boxes": [[p.top, p.left, *size] for p, size in zip(cut, sizes, strict=True)],
        "scales": [float(f"{scale:.7g}") for scale in scales],
    }
    return _written(numbers, described)


def unpack_sheet(content: bytes) -> tuple[dict[str, Any], list[Placed]]:
    """Read a sheet back: its header, and its pictures.

    Raises:
        ValueError: The content is no sheet.
    """
    with Image.open(io.BytesIO(content)) as image:
        header = _header(image)
        pixels = np.asarray(image).astype(np.int32)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    half = len(pixels) // 2
    numbers = pixels[:half] * 256 + pixels[half:] - _ZERO
    (down, right), across = header["cell"], header["across"]
    found = []
    for k, ((top, left, h, w), scale) in enumerate(
        zip(header["boxes"], header["scales"], strict=True)
    ):
        first, second = down * (k // across), right * (k % across)
        part = numbers[first : first + h, second : second + w].transpose(2, 0, 1)
        found.append(Placed(top, left, (part * (scale / STEPS)).astype(np.float32)))
    return header, found


def sheet_header(path: Path) -> dict[str, Any] | None:
    """What a sheet says of itself; None where there is no whole sheet."""
    try:
        with Image.open(path) as image:
            header = _header(image)
            image.verify()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # Pillow's words for damaged files
    return header if header.keys() >= _HELD else None


def _header(image: Image.Image) -> dict[str, Any]:
    text = image.info.get(_KEY)
    if not isinstance(text, str):
        raise ValueError("`content` is no sheet: the PNG does not say what is in it")
    header = json.loads(text)
    if not isinstance(header, dict):
        raise ValueError("`content` is no sheet: what the PNG says of itself is no object")
    return header


def _cut(picture: Placed) -> Placed:
    """The box of what is larger than a ten-thousandth of the largest."""
    values = picture.values
    if not np.isfinite(values).all():
        raise ValueError("`pictures` hold numbers that are not finite")
    sizes = np.abs(values).max(axis=0)
    seen = sizes > SMALL * sizes.max(initial=0)
    if not seen.any():
        return Placed(picture.top, picture.left, values[:, :0, :0])
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    top, left = int(rows[0]), int(columns[0])
    part = values[:, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    return Placed(picture.top + top, picture.left + left, part)


def _written(numbers: NDArray[np.uint16], header: Mapping[str, Any]) -> bytes:
    both = np.concatenate([numbers >> 8, numbers & 255]).astype(np.uint8)
    text = PngImagePlugin.PngInfo()
    text.add_text(_KEY, json.dumps(header, separators=(",", ":")), zip=True)
    file = io.BytesIO()
    image = Image.fromarray(both[..., 0] if both.shape[2] == 1 else both)
    image.save(file, "PNG", pnginfo=text, compress_level=9)
    return file.getvalue()
