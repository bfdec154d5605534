"""The format in which pictures travel: float32 boxes, everything else in a JSON header.

A message is, in this order:

- 4 bytes ``FSB1``;
- 4 bytes, unsigned little-endian: the length n of the header;
- n bytes of JSON in UTF-8, filled up with spaces so that 8 + n is a multiple of 4;
- the boxes' numbers, each box from a multiple of 4 on.

The header's ``boxes`` gives for each name: ``shape`` (channels, height, width) of the whole
picture; ``top``, ``left``, ``height``, ``width`` of the box outside of which every number is at
most a ten-thousandth of the largest, and is drawn as zero; ``scale``, the largest size of a
number; ``type``, "float32" or "uint8"; ``offset`` in bytes from the first number. Numbers are
little-endian, channel by channel, row by row. The other entries of the header belong to the view.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAGIC = b"FSB1"
MEDIA_TYPE = "application/x-filterscope-boxes"
SMALL = 1e-4
"""Share of the largest number below which a number outside the box is left out."""


def pack_boxes(header: Mapping[str, Any], pictures: Mapping[str, Tensor]) -> bytes:
    """Write pictures and what is to be said about them as one message.

    Args:
        header: What goes into the header beside the boxes.
        pictures: By name, (C, H, W), uint8 (sent whole) or floating point (its box is sent).

    Raises:
        ValueError: A picture of another shape, or with numbers that are not finite.

    Examples:
        >>> picture = torch.zeros(1, 4, 4)
        >>> picture[0, 2, 3] = -0.5
        >>> header, found = unpack_boxes(pack_boxes({"answer": 42}, {"row": picture}))
        >>> header["answer"], header["boxes"]["row"]["top"], float(found["row"][0, 2, 3])
        (42, 2, -0.5)
    """
    boxes: dict[str, dict[str, Any]] = {}
    parts: list[bytes] = []
    offset = 0
    for name, picture in pictures.items():
        described, numbers = _box(name, picture)
        content = numbers.tobytes()
        content += b"\0" * (-len(content) % 4)
        boxes[name] = {**described, "offset": offset}
        parts.append(content)
        offset += len(content)
    written = json.dumps({**header, "boxes": boxes}, allow_nan=False).encode()
    written += b" " * (-len(written) % 4)
    return b"".join([MAGIC, struct.pack("<I", len(written)), written, *parts])


def unpack_boxes(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a message back: its header, and the whole pictures with zeros around their boxes.

    Raises:
        ValueError: The content is no such message.
    """
    if len(content) < 8 or content[:4] != MAGIC:
        raise ValueError("`content` is no message of boxes: it does not begin with FSB1")
    first = 8 + struct.unpack("<I", content[4:8])[0]
    header: dict[str, Any] = json.loads(content[8:first])
    pictures = {}
    for name, box in header["boxes"].items():
        channels = box["shape"][0]
        kind = np.dtype("<f4" if box["type"] == "float32" else np.uint8)
        count = channels * box["height"] * box["width"]
        numbers = np.frombuffer(content, kind, count, first + box["offset"])
        picture = np.zeros(box["shape"], kind)
        rows = slice(box["top"], box["top"] + box["height"])
        columns = slice(box["left"], box["left"] + box["width"])
        picture[:, rows, columns] = numbers.reshape(channels, box["height"], box["width"])
        pictures[name] = picture
    return header, pictures


def _box(name: str, picture: Tensor) -> tuple[dict[str, Any], NDArray[Any]]:
    """What the header says about a picture, and the numbers that travel."""
    if picture.dim() != 3 or not picture.numel():
        raise ValueError(f"picture {name!r} must be (C, H, W), got {tuple(picture.shape)}")
    described: dict[str, Any] = {"shape": list(picture.shape)}
    if picture.dtype == torch.uint8:
        height, width = picture.shape[1:]
        described |= {"top": 0, "left": 0, "height": height, "width": width}
        return {**described, "scale": 255, "type": "uint8"}, picture.contiguous().numpy()
    values: NDArray[Any] = picture.detach().float().contiguous().numpy()
    if not np.isfinite(values).all():
        raise ValueError(f"picture {name!r} holds numbers that are not finite")
    sizes = np.abs(values).max(axis=0)
    scale = float(sizes.max())
    seen = sizes > SMALL * scale
    top, height = _span(seen.any(axis=1))
    left, width = _span(seen.any(axis=0))
    described |= {"top": top, "left": left, "height": height, "width": width}
    cut = np.ascontiguousarray(values[:, top : top + height, left : left + width], "<f4")
    return {**described, "scale": scale, "type": "float32"}, cut


def _span(seen: NDArray[np.bool_]) -> tuple[int, int]:
    """First position and length of what is seen; nothing where nothing is."""
    positions = np.flatnonzero(seen)
    if not len(positions):
        return 0, 0
    return int(positions[0]), int(positions[-1] - positions[0] + 1)
