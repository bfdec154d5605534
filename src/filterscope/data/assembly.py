"""From labelled files to a data set: held-out and limited images, readable ones, their masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from filterscope.data.augmentation import Augmentation
from filterscope.data.folders import find_images
from filterscope.data.loading import (
    Files,
    divide,
    fits_memory,
    mask_notes,
    number_classes,
    read_split,
    refuse_many,
    usual_size,
)
from filterscope.data.masked import find_masked
from filterscope.data.split import ImageDataset, Split
from filterscope.data.transform import Transform

IMAGENET_SIZE = 224


@dataclass(frozen=True)
class Selection:
    """Which images of a data set are taken.

    Attributes:
        limit: At most this many training images, but one of each class at least.
        limit_test: The same for test images.
        seed: Of the held-out share and the limited choice.
        test_fraction: Share held out where there are no test images.
        max_unreadable: Share of unreadable images above which loading is refused.
        repeat: Mirror and repeat training images with landmarks as published.
        official_leaky_split: Divide images with landmarks as the authors' code does.
    """

    limit: int | None = None
    limit_test: int | None = None
    seed: int = 0
    test_fraction: float = 0.2
    max_unreadable: float = 0.01
    repeat: bool = True
    official_leaky_split: bool = False

    def divide(self, train: Files, test: Files | None) -> tuple[Files, Files]:
        """Hold out test images where there are none, and keep as many as wanted."""
        return divide(
            train,
            test,
            limit=self.limit,
            limit_test=self.limit_test,
            test_fraction=self.test_fraction,
            seed=self.seed,
        )


def load_folder(
    name: str, path: Path, image_size: int | None, selection: Selection, *, check: bool
) -> ImageDataset:
    """Load images in class folders or zip files.

    Args:
        name: Of the data set.
        path: The folder or zip file.
        image_size: Side in pixels; None takes the images' own, or ImageNet's.
        selection: Which images.
        check: Look at streamed files before they are used.
    """
    found = find_images(path)
    classes, train, test = number_classes(*found)
    train, test = selection.divide(train, test)
    transform = _folder_transform(train, image_size)
    augmentation = Augmentation(padding=transform.image_size // 8)
    sides = (train, test)
    dataset = assemble(name, classes, sides, transform, augmentation, selection, check=check)
    ignored = [entry for side in found if side is not None for entry in side.ignored]
    return replace(dataset, ignored=tuple(ignored))


def load_masked_folder(
    name: str, path: Path, image_size: int | None, selection: Selection
) -> ImageDataset:
    """Load images with object masks beside them; a single class is enough for localisation.

    Args:
        name: Of the data set.
        path: The folder or zip file.
        image_size: Side in pixels; None takes the images' own, or ImageNet's.
        selection: Which images.
    """
    found = find_masked(path)
    classes, train, test = number_classes(found.train, found.test, order=found.order, least=1)
    train, test = selection.divide(train, test)
    transform = _folder_transform(train, image_size)
    augmentation = Augmentation(padding=transform.image_size // 8)
    notes = (f"{found.lonely} object masks have no image",) if found.lonely else ()
    return assemble(name, classes, (train, test), transform, augmentation, selection, notes=notes)


def assemble(
    name: str,
    classes: tuple[str, ...],
    sides: tuple[Files, Files],
    transform: Transform,
    augmentation: Augmentation,
    selection: Selection,
    *,
    check: bool = True,
    in_memory: bool | None = None,
    notes: tuple[str, ...] = (),
) -> ImageDataset:
    """Read training and test files and make a data set of them.

    Args:
        name: Of the data set.
        classes: In the order of the labels.
        sides: Training and test files.
        transform: Test-time preprocessing.
        augmentation: Random changes of training images.
        selection: Tells how many unreadable images are borne.
        check: Look at streamed files before they are used.
        in_memory: Whether the pixels are kept. Default: those of small images.
        notes: What was found about the masks, beside the empty and the full ones.

    Raises:
        ValueError: Too many unreadable images, or a class without any.
    """
    splits: list[Split] = []
    unreadable: list[tuple[str, str]] = []
    for files, side in zip(sides, ("training", "test"), strict=True):
        split, bad = read_split(
            files, transform, check=check, in_memory=in_memory, name=f"{name}'s {side} split"
        )
        splits.append(split)
        unreadable.extend(bad)
    refuse_many(unreadable, sum(len(files.names) for files in sides), selection.max_unreadable)
    for split, side in zip(splits, ("training", "test"), strict=True):
        empty = torch.nonzero(split.class_counts(len(classes)) == 0).flatten().tolist()
        if empty:
            raise ValueError(f"{name}: class {classes[empty[0]]!r} has no readable {side} image")
    return ImageDataset(
        name,
        classes,
        splits[0],
        splits[1],
        transform,
        augmentation,
        tuple(unreadable),
        (*mask_notes(splits), *notes),
    )


def _folder_transform(train: Files, image_size: int | None) -> Transform:
    size = image_size or usual_size(train) or IMAGENET_SIZE
    if fits_memory(len(train.names), size):
        return Transform(size)
    return Transform(size, resize=round(size * 256 / 224))
