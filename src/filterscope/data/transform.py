"""What happens to an image between its file and the network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from filterscope.data.decode import fit, fit_points, open_mask, open_rgb, to_pixels
from filterscope.data.points import inside_square

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Transform:
    """Turns an image into a network's input, at test time.

    The shorter side is scaled to `resize` pixels, the central square of `image_size` pixels is
    cut out, values in [0, 1] are normalised.

    Args:
        image_size: Side of the network's input in pixels.
        resize: Shorter side before the cut; None keeps the whole shorter side.
        mean: Of each channel, in [0, 1]; ImageNet's by default.
        std: Of each channel.
        stretch: Scale both sides to `image_size` instead, without a cut: the whole image is kept,
            its aspect ratio is not.

    Examples:
        >>> from PIL import Image
        >>> Transform(image_size=32)(Image.new("L", (40, 60))).shape
        torch.Size([3, 32, 32])
    """

    image_size: int
    resize: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    stretch: bool = False

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise ValueError(f"`image_size` must be at least 1, got {self.image_size}")
        for name, numbers in (("mean", self.mean), ("std", self.std)):
            if len(numbers) != 3 or not all(isinstance(n, (int, float)) for n in numbers):
                raise ValueError(f"`{name}` must be three numbers, got {numbers!r}")
            if not all(math.isfinite(n) for n in numbers):
                raise ValueError(f"`{name}` must be finite, got {numbers!r}")
        if not all(n > 0 for n in self.std):
            raise ValueError(f"`std` must be above 0, got {self.std}")
        if not isinstance(self.stretch, bool):
            raise ValueError(f"`stretch` must be True or False, got {self.stretch!r}")
        if self.stretch and self.resize is not None:
            raise ValueError("`resize` must be None with `stretch`, which makes no cut")
        if self.resize is not None and self.resize < self.image_size:
            raise ValueError(
                f"`resize` ({self.resize}) must not be below `image_size` ({self.image_size})"
            )

    def __call__(self, image: str | Path | bytes | Image.Image | Tensor) -> Tensor:
        """Turn one image into the network's input.

        Args:
            image: A file, its bytes, a Pillow image, or uint8 pixels (3, H, W).

        Returns:
            Normalised pixels, (3, image_size, image_size).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The content is no readable image.
        """
        return self.normalize(self.pixels(image)[None])[0]

    def pixels(self, image: str | Path | bytes | Image.Image | Tensor) -> Tensor:
        """Scale and cut an image, without normalising: uint8 (3, image_size, image_size)."""
        if isinstance(image, Tensor):
            if image.dtype != torch.uint8 or image.dim() != 3 or image.shape[0] != 3:
                raise ValueError(
                    "`image` as a tensor must be uint8 (3, H, W), got "
                    f"{image.dtype} {tuple(image.shape)}"
                )
            image = Image.fromarray(image.permute(1, 2, 0).cpu().numpy())
        return to_pixels(self._fitted(open_rgb(image), Image.Resampling.BILINEAR))

    def mask(self, mask: str | Path | bytes | Image.Image) -> Tensor:
        """Scale and cut an object mask exactly as `pixels` does its image, without blending.

        Args:
            mask: A file, its bytes, or a Pillow image of the image's size; not zero is object.

        Returns:
            bool, (image_size, image_size).

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The content is no mask, see `open_mask`.

        Examples:
            >>> from PIL import Image
            >>> Transform(image_size=32).mask(Image.new("1", (40, 60), 1)).all()
            tensor(True)
        """
        cut = self._fitted(open_mask(mask), Image.Resampling.NEAREST)
        return torch.from_numpy(np.array(cut) != 0)

    def points(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Move points of an image to where `pixels` moves what they lie on.

        Coordinates run from edge to edge: 0 is the left edge of the first pixel, W the right edge
        of the last, and the middle of pixel i is i + 0.5.

        Args:
            points: (..., 2) float, x and y in pixels of the upright image; NaN stays NaN.
            size: Width and height of that image.

        Returns:
            (..., 2), x and y in pixels of the network's input; NaN for a point that was cut away.

        Examples:
            >>> Transform(100, stretch=True).points(torch.tensor([20.0, 15.0]), (40, 20))
            tensor([50., 75.])
        """
        side = self.image_size
        if self.stretch:
            moved = points * (side / torch.tensor(size, dtype=points.dtype))
        else:
            moved = fit_points(points, size, self.resize or side, side)
        return inside_square(moved, side)

    def _fitted(self, image: Image.Image, resample: Image.Resampling) -> Image.Image:
        size = self.image_size
        if not self.stretch:
            return fit(image, self.resize or size, size, resample)
        return image if image.size == (size, size) else image.resize((size, size), resample)

    def normalize(self, pixels: Tensor) -> Tensor:
        """Turn uint8 pixels (N, 3, H, W) into normalised float32."""
        return self.standardize(pixels.to(torch.float32) / 255)

    def standardize(self, values: Tensor) -> Tensor:
        """Turn values in [0, 1], (N, 3, H, W), into normalised ones; gradients pass.

        Examples:
            >>> float(Transform(1).standardize(torch.full((1, 3, 1, 1), 0.485))[0, 0])
            0.0
        """
        mean, std = self._statistics(values)
        return (values - mean) / std

    def denormalize(self, images: Tensor) -> Tensor:
        """Turn normalised images (N, 3, H, W) back into values in [0, 1]."""
        mean, std = self._statistics(images)
        return (images * std + mean).clamp(0, 1)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation in the precision and on the device of a tensor."""
        mean, std = (
            torch.tensor(numbers, dtype=like.dtype, device=like.device).view(1, 3, 1, 1)
            for numbers in (self.mean, self.std)
        )
        return mean, std

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Transform:
        """Build the transform from what `to_dict` gave.

        Raises:
            ValueError: Missing or foreign entries.
        """
        if isinstance(values, dict):
            values = {"stretch": False, **values}  # older descriptions have no such entry
        if not isinstance(values, dict) or values.keys() != cls(1).to_dict().keys():
            raise ValueError(f"not the description of a transform: {values!r}")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return cls(**plain)
        except TypeError as error:
            raise ValueError(f"not the description of a transform: {values!r}") from error
