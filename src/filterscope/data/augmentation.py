"""Random changes of training images, and of the points in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from filterscope.data.points import inside_square, mirror_points


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, each a function of uniform numbers drawn beforehand.

    Images in memory are padded with black and shifted; images that stream from files are cut at
    a random place, size and aspect ratio (the usual recipe for ImageNet), or shifted, too.

    Args:
        padding: Largest shift in pixels, for images in memory.
        flip: Mirror every second image.
        scale: Smallest share of the area that a random cut keeps, for streamed images; None
            shifts these like images in memory.

    Raises:
        ValueError: A negative padding, or a share outside (0, 1].
    """

    padding: int = 4
    flip: bool = True
    scale: float | None = 0.08

    NUMBERS = 5
    """Uniform numbers that an image needs."""

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"`padding` must be at least 0, got {self.padding}")
        if self.scale is not None and not 0 < self.scale <= 1:
            raise ValueError(f"`scale` must lie in (0, 1] or be None, got {self.scale}")

    def shift(self, pixels: Tensor, numbers: Tensor) -> Tensor:
        """Shift and mirror a batch of equal size, each image by its own numbers.

        Args:
            pixels: uint8, (N, 3, H, W).
            numbers: Uniform in [0, 1), (N, NUMBERS), on the same device.

        Returns:
            uint8, (N, 3, H, W).
        """
        if self.padding:
            places = (numbers[:, :2] * (2 * self.padding + 1)).long()
            padded = F.pad(pixels, (self.padding,) * 4)
            height, width = pixels.shape[2:]
            windows = padded.unfold(2, height, 1).unfold(3, width, 1)
            every = torch.arange(len(pixels), device=pixels.device)
            pixels = windows[every, :, places[:, 0], places[:, 1]]
        if self.flip:
            mirrored = (numbers[:, 2] < 0.5)[:, None, None, None]
            pixels = torch.where(mirrored, pixels.flip(3), pixels)
        return pixels

    def shift_points(self, points: Tensor, numbers: Tensor, size: int) -> Tensor:
        """Move points with the images that `shift` changes.

        Args:
            points: (N, P, 2), x and y in pixels of the images; NaN stays NaN.
            numbers: What `shift` was given, (N, NUMBERS).
            size: Side of the images in pixels.

        Returns:
            (N, P, 2); NaN for a point that left its image.
        """
        if self.padding:
            places = (numbers[:, :2] * (2 * self.padding + 1)).long()
            points = points + (self.padding - places.flip(1))[:, None]
        if self.flip:
            mirrored = (numbers[:, 2] < 0.5)[:, None, None]
            points = torch.where(mirrored, mirror_points(points, size), points)
        return inside_square(points, size)

    def cut(self, image: Image.Image, size: int, numbers: Tensor) -> Image.Image:
        """Cut a random window out of an image, scale it to a square, and maybe mirror it.

        Args:
            image: Of any size.
            size: Side of the result in pixels.
            numbers: Uniform in [0, 1), (NUMBERS,).
        """
        box = self._window(*image.size, numbers)
        image = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
        mirror = self.flip and float(numbers[2]) < 0.5
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirror else image

    def cut_points(
        self, points: Tensor, image_size: tuple[int, int], size: int, numbers: Tensor
    ) -> Tensor:
        """Move points with the image that `cut` changes.

        Args:
            points: (P, 2), x and y in pixels of the image before; NaN stays NaN.
            image_size: Width and height of the image before.
            size: As `cut` takes it.
            numbers: What `cut` was given.

        Returns:
            (P, 2); NaN for a point outside the window.
        """
        left, top, right, bottom = self._window(*image_size, numbers)
        corner = torch.tensor([left, top], dtype=points.dtype)
        sides = torch.tensor([right - left, bottom - top], dtype=points.dtype)
        moved = (points - corner) * (size / sides)
        if self.flip and float(numbers[2]) < 0.5:
            moved = mirror_points(moved, size)
        return inside_square(moved, size)

    def _window(self, width: int, height: int, numbers: Tensor) -> tuple[int, int, int, int]:
        if self.scale is None:
            raise ValueError("`scale` is None: these images are shifted, not cut")
        u = [float(number) for number in numbers]
        area = width * height * (self.scale + (1 - self.scale) * u[3])
        ratio = math.exp(math.log(3 / 4) + u[4] * (math.log(4 / 3) - math.log(3 / 4)))
        w = min(width, max(1, round(math.sqrt(area * ratio))))
        h = min(height, max(1, round(math.sqrt(area / ratio))))
        left, top = int(u[0] * (width - w + 1)), int(u[1] * (height - h + 1))
        return (left, top, left + w, top + h)
