"""PASCAL VOC's animals: one square picture an object, with its mask and those of its parts."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from filterscope.core.brief import Brief
from filterscope.core.files import read_json, write_json, write_text
from filterscope.data.masked import CLASSES_FILE
from filterscope.data.voc_crops import (
    Box,
    cut_image,
    cut_mask,
    is_whole,
    object_window,
    write_picture,
)
from filterscope.data.voc_parts import VOC_ANIMALS, AnnotatedObject, Mask, read_objects
from filterscope.data.voc_source import (
    TRAIN_SHARE,
    VocSource,
    divide_photographs,
    find_voc,
    read_list,
)

MANIFEST = "manifest.json"
SPLITS = ("train", "val")

Progress = Callable[[int, int], None]


@dataclass(frozen=True, repr=False)
class PreparationReport(Brief):
    """What `prepare_voc_animals` made.

    Attributes:
        destination: The folder.
        counts: Objects of each class in "train" and "val".
        images: Photographs that each split was given, with and without animals.
        parts: Masks of parts.
        made: Objects that were made now.
        kept: Objects that an earlier, interrupted call had made.
        skipped: Objects without a window, each with the reason.
        corrupt: Files that are missing or damaged, each with the reason.
    """

    destination: Path
    counts: dict[str, dict[str, int]]
    images: dict[str, int]
    parts: int = 0
    made: int = 0
    kept: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    corrupt: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """Objects in all."""
        return sum(sum(classes.values()) for classes in self.counts.values())


def prepare_voc_animals(
    source: str | Path,
    destination: str | Path,
    *,
    size: int = 128,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> PreparationReport:
    """Cut the six animals out of PASCAL VOC 2010, with their masks from PASCAL-Part.

    Photographs are divided 70 to 30, and every annotated object goes where its photograph goes:
    none is left out for its size, or as truncated, occluded or difficult. Each becomes a square
    picture with its background (`object_window`). The whole of VOC 2010's trainval, 10,103
    photographs, gives 5,344 objects, of which the paper trains on 3,644 and tests on 1,700.

    The result is ``SPLIT/images/CLASS/ID_N.jpg``, ``SPLIT/masks/CLASS/ID_N.bmp`` and
    ``SPLIT/parts/CLASS/ID_N/GROUP.bmp`` for the splits train and val, ``classes.txt`` with the
    order of the classes, and ``manifest.json``. An interrupted call is taken up by the same call:
    pictures that are there and whole are not made again.

    Args:
        source: Folder with ``JPEGImages`` and ``ImageSets/Main/trainval.txt``, or one that holds
            ``VOC2010`` or ``VOCdevkit/VOC2010``; ``Annotations_Part`` in it or beside these.
        destination: A new folder, or one that this function began with the same settings.
        size: Side of the pictures in pixels; the paper's by default.
        seed: Of the division; the authors' by default.
        on_progress: Called with the photographs done and their total, after each.

    Returns:
        What was made. Damaged files are listed in it; they do not end the work.

    Raises:
        FileNotFoundError: The source lacks something; the message has the layout and the origin.
        ValueError: A size below 1, a damaged list of photographs, or a destination that holds
            something else.

    Source: Liang et al., ECCV 2020, section 4.1 and the authors' script.
    """
    if size < 1:
        raise ValueError(f"`size` must be at least 1, got {size}")
    voc = find_voc(Path(source))
    photographs = read_list(voc.list)
    train = divide_photographs(photographs, seed)
    work = _Work(voc, Path(destination), size)
    rules = _rules(photographs, size, seed)
    _begin(work.destination, rules)
    for done, photograph in enumerate(sorted(photographs), start=1):
        work.cut(photograph, "train" if photograph in train else "val")
        if on_progress is not None:
            on_progress(done, len(photographs))
    images = {"train": len(train), "val": len(photographs) - len(train)}
    report = work.report(images)
    _finish(report, rules)
    return report


@dataclass
class _Work:
    """The pictures made so far."""

    voc: VocSource
    destination: Path
    size: int
    counts: dict[str, dict[str, int]] = field(
        default_factory=lambda: {split: dict.fromkeys(VOC_ANIMALS, 0) for split in SPLITS}
    )
    parts: int = 0
    made: int = 0
    kept: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)

    def cut(self, photograph: str, split: str) -> None:
        """Cut every animal out of a photograph."""
        annotation = self.voc.annotations / f"{photograph}.mat"
        try:
            objects = read_objects(annotation)
        except (ValueError, OSError) as error:
            reason = _reason(error).removeprefix(f"{annotation} is ")
            self.corrupt.append((str(annotation), reason))
            return
        file = self.voc.images / f"{photograph}.jpg"
        image: Image.Image | None = None
        for found in objects:
            name = f"{photograph}_{found.index}"
            box = object_window(found.mask) if found.mask.any() else None
            if box is None:
                why = "its window has no pixels" if found.mask.any() else "its mask is empty"
                self.skipped.append((f"{name} ({found.kind})", why))
                continue
            pictures = self._pictures(found, name, split)
            missing = {
                path: mask
                for path, mask in pictures.items()
                if not is_whole(path, self.size, "image" if mask is None else "mask")
            }
            try:
                if missing:
                    image = image or _open(file)
                    self._write(missing, image, found, box)
            except _DamagedError as error:
                self.corrupt.append((str(file), str(error)))
                return
            self.counts[split][found.kind] += 1
            self.parts += len(found.parts)
            self.made, self.kept = self.made + bool(missing), self.kept + (not missing)

    def _pictures(self, found: AnnotatedObject, name: str, split: str) -> dict[Path, Mask | None]:
        """The files of an object with their masks; its picture comes last and has None."""
        folder = self.destination / split
        parts = folder / "parts" / found.kind / name
        return {
            **{parts / f"{group}.bmp": mask for group, mask in found.parts.items()},
            folder / "masks" / found.kind / f"{name}.bmp": found.mask,
            folder / "images" / found.kind / f"{name}.jpg": None,
        }

    def _write(
        self,
        pictures: dict[Path, Mask | None],
        image: Image.Image,
        found: AnnotatedObject,
        box: Box,
    ) -> None:
        if image.size != found.mask.shape[::-1]:
            height, width = found.mask.shape
            raise _DamagedError(
                f"the photograph is {image.size[0]} x {image.size[1]} pixels, its masks are "
                f"{width} x {height}"
            )
        for path, mask in pictures.items():
            if mask is None:
                write_picture(path, cut_image(image, box, self.size), "image")
            else:
                write_picture(path, cut_mask(mask, box, self.size), "mask")

    def report(self, images: dict[str, int]) -> PreparationReport:
        """Sum up."""
        return PreparationReport(
            self.destination,
            self.counts,
            images,
            self.parts,
            self.made,
            self.kept,
            tuple(self.skipped),
            tuple(self.corrupt),
        )


class _DamagedError(ValueError):
    """A photograph that cannot be used."""


def _open(file: Path) -> Image.Image:
    """Decode a photograph as it is stored: the masks know nothing of a rotation noted in it."""
    try:
        with Image.open(file) as image:
            return image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise anything
        raise _DamagedError(_reason(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "missing"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _rules(photographs: list[str], size: int, seed: int) -> dict[str, Any]:
    """What must be equal for an interrupted preparation to be taken up."""
    return {
        "size": size,
        "seed": seed,
        "train_share": TRAIN_SHARE,
        "split": "by photograph",
        "window": "square about the mask's box, half side max(height, width) / 2, black outside",
        "photographs": len(photographs),
        "list_sha256": hashlib.sha256("\n".join(photographs).encode()).hexdigest(),
        "classes": list(VOC_ANIMALS),
    }


def _begin(destination: Path, rules: dict[str, Any]) -> None:
    """Mark the folder as begun, or refuse one that holds something else."""
    manifest = destination / MANIFEST
    if manifest.is_file():
        begun = read_json(manifest)
        known = begun.get("rules") if isinstance(begun, dict) else None
        if known != rules:
            other = [n for n in rules if not isinstance(known, dict) or known.get(n) != rules[n]]
            raise ValueError(
                f"{destination} was prepared otherwise ({', '.join(other) or 'other rules'} "
                "differ); name another folder"
            )
    elif destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise FileExistsError(f"{destination} holds something else; name a new folder")
    destination.mkdir(parents=True, exist_ok=True)
    write_json(manifest, {"complete": False, "rules": rules})
    write_text(destination / CLASSES_FILE, "\n".join(VOC_ANIMALS) + "\n")


def _finish(report: PreparationReport, rules: dict[str, Any]) -> None:
    manifest = {
        "complete": True,
        "rules": rules,
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "pillow": PIL.__version__,
        },
        "images": report.images,
        "counts": report.counts,
        "parts": report.parts,
        "skipped": report.skipped,
        "corrupt": report.corrupt,
    }
    write_json(report.destination / MANIFEST, manifest)
