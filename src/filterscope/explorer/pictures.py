"""The pictures that can be looked at: those given at the start, and a few uploaded ones."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.settings import Limits
from filterscope.explorer.uploads import decode_upload


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        id: A short text that stands for its pixels.
        name: For people.
        pixels: uint8 (3, H, W).
        uploaded: Whether it came through the page, and will not last.
    """

    id: str
    name: str
    pixels: Tensor
    uploaded: bool = False

    def to_dict(self) -> dict[str, object]:
        """What the page is told."""
        height, width = self.pixels.shape[1:]
        return {"id": self.id, "name": self.name, "height": height, "width": width,
                "uploaded": self.uploaded}  # fmt: skip


class Pictures:
    """All pictures by their id; uploads beyond the limit push out the oldest ones.

    Args:
        given: Name and pixels, uint8 (3, H, W), of the pictures that stay.
        limits: What is allowed of uploads.

    Examples:
        >>> pictures = Pictures({"grey": torch.full((3, 4, 4), 99, dtype=torch.uint8)}, Limits())
        >>> [picture.name for picture in pictures]
        ['grey']
    """

    def __init__(self, given: Mapping[str, Tensor], limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._given = {
            picture.id: picture
            for picture in (Picture(_mark(pixels), name, pixels) for name, pixels in given.items())
        }
        self._uploaded: OrderedDict[str, Picture] = OrderedDict()

    def __iter__(self) -> Iterator[Picture]:
        with self._lock:
            return iter([*self._given.values(), *self._uploaded.values()])

    def get(self, key: str) -> Picture:
        """The picture of an id.

        Raises:
            ExplorerError: There is none, or it is no longer kept.
        """
        with self._lock:
            found = self._given.get(key) or self._uploaded.get(key)
        if found is None:
            raise ExplorerError(404, "picture", "this picture is not kept here; upload it again")
        return found

    def upload(self, content: bytes, name: str = "") -> Picture:
        """Decode a file and keep its pixels.

        Args:
            content: The file.
            name: What the page calls it; cut to 60 printable characters.

        Raises:
            ExplorerError: It is refused.
        """
        pixels = decode_upload(content, self._limits)
        called = "".join(c for c in name if c.isprintable()).strip()[:60] or "uploaded picture"
        picture = Picture(f"upload-{_mark(pixels)}", called, pixels, uploaded=True)
        with self._lock:
            self._uploaded.pop(picture.id, None)
            self._uploaded[picture.id] = picture
            while len(self._uploaded) > self._limits.kept_pictures:
                self._uploaded.popitem(last=False)
        return picture


def read_pictures(paths: Iterable[str | Path], limits: Limits) -> dict[str, Tensor]:
    """Read image files, with the bounds of uploads.

    Returns:
        Pixels by file name; a number tells apart those of one name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is refused as an upload would be.
    """
    found: dict[str, Tensor] = {}
    for path in map(Path, paths):
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist; expected an image file")
        try:
            pixels = decode_upload(path.read_bytes(), limits)
        except ExplorerError as error:
            raise ValueError(f"{path}: {error.message}") from error
        name, number = path.name, 2
        while name in found:
            name, number = f"{path.name} ({number})", number + 1
        found[name] = pixels
    return found


def drawn_picture(side: int = 64) -> Tensor:
    """A small drawn scene with edges, slopes, discs and fine stripes, for a start without data.

    Args:
        side: In pixels.

    Returns:
        uint8 (3, side, side).

    Examples:
        >>> drawn_picture().shape
        torch.Size([3, 64, 64])
    """
    steps = 4  # drawn finer, then averaged: no jagged edges
    y, x = np.mgrid[0 : side * steps, 0 : side * steps] / (side * steps) + 0.5 / (side * steps)
    picture = np.stack([0.30 + 0.45 * y, 0.52 + 0.25 * y, 0.80 - 0.10 * y])
    sun = np.hypot(x - 0.72, y - 0.27) < 0.15
    picture[:, sun] = np.array([[0.99], [0.80], [0.30]])
    for level, height, colour in (
        (0.60, 0.11, (0.33, 0.45, 0.55)),
        (0.74, 0.07, (0.16, 0.33, 0.3)),
    ):
        edge = level - height * np.sin(2 * math.pi * (x * (1.3 + level) + level))
        picture[:, y > edge] = np.array(colour)[:, None]
    fence = (y > 0.84) & (np.abs((x * 14) % 1 - 0.5) < 0.25)
    picture[:, fence] = np.array([[0.93], [0.90], [0.82]])
    mast = (np.abs(x - 0.25 - 0.12 * (y - 0.5)) < 0.016) & (y > 0.18) & (y < 0.68)
    picture[:, mast] = np.array([[0.12], [0.13], [0.18]])
    sail = (x > 0.27) & (y > 0.2) & (y < 0.56) & (x - 0.27 < 0.5 * (y - 0.2))
    picture[:, sail] = np.array([[0.86], [0.24], [0.20]])
    means = picture.reshape(3, side, steps, side, steps).mean((2, 4))
    return torch.from_numpy((means * 255).round().clip(0, 255).astype(np.uint8))


def _mark(pixels: Tensor) -> str:
    """A short text that stands for pixels; the same in every run."""
    content = f"{tuple(pixels.shape)}".encode() + pixels.contiguous().numpy().tobytes()
    return hashlib.sha256(content).hexdigest()[:12]
