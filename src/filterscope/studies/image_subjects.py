"""The networks that give pictures, and the pictures, which a study finds without any training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor

from filterscope.data.decode import to_pixels
from filterscope.linear import LinearInterpreter
from filterscope.models import ImageNetwork, create_image_network
from filterscope.studies.settings import StudySettings

Family = Literal["super-resolution", "image-to-image"]

BUILT_IN, SET5 = "built-in", "set5"
"""Two photographs that scikit-learn brings along, with random weights; Set5, with given weights."""

PICTURES = (BUILT_IN, SET5)
SIDES = {"smoke": 16, "quick": 64, "paper": 96}
"""Side of a picture that a network is given, by preset; `image_size` overrides it."""

_REDUCED = 3
_PHOTOGRAPHS = ("china.jpg", "flower.jpg")
# What is taken of a folder of weights: the network, a pattern of file names, what a side is called.
_FILES: dict[Family, Sequence[tuple[str, str, str]]] = {
    "super-resolution": (
        ("espcn", "espcn_*", "4-layer PixelShuffle"),
        ("edsr_baseline", "edsr_baseline_*", "EDSR baseline"),
        ("edsr", "edsr_x*", "EDSR"),
    ),
    "image-to-image": (
        ("fast_style", "fast_style_*", "fast style"),
        ("cyclegan", "cyclegan_*", "CycleGAN"),
    ),
}
_SUFFIXES = (".pt", ".pth", ".safetensors")
# With random weights; the smoke preset takes the first alone.
_RANDOM: dict[Family, Sequence[tuple[str, str, int | None]]] = {
    "super-resolution": (("espcn", "4-layer PixelShuffle", 3), ("edsr_baseline", "EDSR", 2)),
    "image-to-image": (("fast_style", "fast style", None), ("cyclegan", "CycleGAN", None)),
}


@dataclass(frozen=True)
class ImageSubject:
    """A network that gives a picture, as a side of a study.

    Attributes:
        name: Of the side.
        family: What the network is for.
        network: With its own handling of pixels.
        trained: Whether its weights were learned; a fixed kernel and random weights were not.
    """

    name: str
    family: Family
    network: ImageNetwork
    trained: bool

    def read(self, pixels: Tensor) -> LinearInterpreter:
        """Read the network at a picture.

        Args:
            pixels: RGB, (3, H, W) uint8.
        """
        return LinearInterpreter(self.network.model, self.network.prepare(pixels))


def image_subjects(settings: StudySettings, data: str, family: Family) -> list[ImageSubject]:
    """Find the networks of a family.

    Args:
        settings: Of the study; `data_root` holds a folder ``weights``.
        data: "built-in" gives networks with random weights, "set5" those whose files are there:
            ``espcn_*``, ``edsr_baseline_*``, ``edsr_x*``, ``fast_style_*``, ``cyclegan_*``.
        family: Which.

    Returns:
        Bicubic upscaling first, where super-resolution is asked for.

    Raises:
        FileNotFoundError: No file of weights of this family.
    """
    found: list[ImageSubject] = []
    if family == "super-resolution":
        bicubic = create_image_network("bicubic", scale=3)
        found.append(ImageSubject("bicubic", family, bicubic, trained=False))
    if data == BUILT_IN:
        for name, told, scale in _RANDOM[family][: 1 if settings.preset == "smoke" else None]:
            network = create_image_network(name, random_weights=True, scale=scale)
            side = f"{told}, random weights"
            found.append(ImageSubject(side, family, network, trained=False))
        return found
    folder = data_root(settings) / "weights"
    for name, pattern, told in _FILES[family]:
        files = sorted(file for file in folder.glob(pattern) if file.suffix in _SUFFIXES)
        for file in files:
            rest = file.stem.removeprefix(pattern.rstrip("*x")).replace("_", " ").strip()
            network = create_image_network(name, weights=file)
            side = f"{told} {rest}" if len(files) > 1 else told
            found.append(ImageSubject(side, family, network, trained=True))
    if not any(subject.trained for subject in found):
        patterns = ", ".join(pattern for _, pattern, _ in _FILES[family])
        raise FileNotFoundError(
            f"{folder} holds no weights of {family} networks ({patterns}); set --data-root, or "
            f"take --data {BUILT_IN}"
        )
    return found


def study_picture(settings: StudySettings, data: str, seed: int) -> Tensor:
    """Choose a picture by a seed: a random part of a photograph reduced to a third.

    Args:
        settings: Of the study.
        data: "built-in" or "set5".
        seed: Photographs take turns; each seed has a part of its own.

    Returns:
        RGB, (3, side, side) uint8. The reduction is Pillow's bilinear one.

    Raises:
        FileNotFoundError: Set5 is not there.
        ValueError: A side that the photograph has not.
    """
    image = _photograph(settings, data, seed)
    width, height = image.width // _REDUCED, image.height // _REDUCED
    pixels = to_pixels(image.resize((width, height), Image.Resampling.BILINEAR))
    side = settings.image_size or SIDES[settings.preset]
    if not 8 <= side <= min(width, height):
        raise ValueError(
            f"`image_size` must be in [8, {min(width, height)}] for this picture, got {side}"
        )
    draw = torch.Generator().manual_seed(seed)
    top, left = (
        int(torch.randint(0, length - side + 1, (1,), generator=draw)) for length in (height, width)
    )
    return pixels[:, top : top + side, left : left + side].contiguous()


def _photograph(settings: StudySettings, data: str, seed: int) -> Image.Image:
    if data == BUILT_IN:
        return Image.fromarray(load_sample_image(_PHOTOGRAPHS[seed % len(_PHOTOGRAPHS)]))
    folder = data_root(settings) / "super_resolution" / "Set5" / "x3"
    files = sorted(folder.glob("*_HR.png"))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds no pictures *_HR.png; set --data-root, or take --data {BUILT_IN}"
        )
    with Image.open(files[seed % len(files)]) as image:
        return image.convert("RGB")


def data_root(settings: StudySettings) -> Path:
    """Folder of the named data sets."""
    return Path(settings.data_root or os.environ.get("FILTERSCOPE_DATA") or "data")
