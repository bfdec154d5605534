"""The data set part-folder:PATH: categories with landmarks, divided and repeated as published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from filterscope.data.assembly import IMAGENET_SIZE, Selection, assemble
from filterscope.data.augmentation import Augmentation
from filterscope.data.choice import choose
from filterscope.data.copies import (
    Copies,
    copied,
    copies_of_one,
    copies_of_several,
    evenly_spaced,
    official_copies_of_one,
    official_copies_of_several,
)
from filterscope.data.folders import Found
from filterscope.data.loading import Files
from filterscope.data.part_folders import NEGATIVES, FoundParts, find_parts, landmark_tensor
from filterscope.data.split import ImageDataset, Split, joined
from filterscope.data.transform import Transform


def load_part_folder(
    name: str, path: Path, image_size: int | None, selection: Selection
) -> ImageDataset:
    """Load categories with the landmarks of their parts.

    Images are stretched to the square of the network's input, as the authors' crops were. One
    category is learned against negatives, and the classes are "neg" and the category, labels 0
    and 1; several categories are learned against each other. Objects are divided at equal
    distances, not at random. Training images are then mirrored and repeated (see `copies_of_one`
    and `copies_of_several`); test images come once each, as they are.

    Args:
        name: Of the data set.
        path: The folder or zip file, see `find_parts`.
        image_size: Side in pixels; 224 by default.
        selection: Which images; `repeat` takes each training image once and mirrors at random
            instead, and `official_leaky_split` gives the authors' lists, with repetitions on both
            sides and, for several categories, one object on both sides.

    Raises:
        FileNotFoundError: Nothing there.
        ValueError: Another layout, no positives, no negatives, or bad landmarks.

    Source: Zhang et al., CVPR 2018, section 5, and the authors' code.
    """
    train, test = find_parts(path)
    classes = _classes(train, test)
    parts = tuple(sorted({*train.part_names, *(() if test is None else test.part_names)}))
    transform = Transform(image_size or IMAGENET_SIZE, stretch=True)
    augmentation = Augmentation(padding=0, flip=not selection.repeat, scale=None)
    sides = _sides(train, test, classes, selection)
    dataset = assemble(name, classes, sides, transform, augmentation, selection)
    founds = (train, train if test is None else test)
    plain = [
        _with_landmarks(split, found, parts, transform)
        for split, found in zip((dataset.train, dataset.test), founds, strict=True)
    ]
    negative = NEGATIVES if NEGATIVES in classes else None
    if selection.official_leaky_split:
        splits = _official(plain, negative, selection)
    else:
        splits = _fixed(plain, negative, selection, share=1.0 if test else None)
    limits = (selection.limit, selection.limit_test)
    first, second = (
        split if limit is None else split.take(choose(split.labels, limit, selection.seed))
        for split, limit in zip(splits, limits, strict=True)
    )
    notes = _notes(plain, (train,) if test is None else (train, test))
    return replace(dataset, train=first, test=second, landmark_notes=notes, negative=negative)


def _classes(train: FoundParts, test: FoundParts | None) -> tuple[str, ...]:
    """Class names; the negatives come first, so that the one category has label 1."""
    names = set(train.images.classes)
    if test is not None and set(test.images.classes) != names:
        odd = sorted(names ^ set(test.images.classes))
        raise ValueError(
            f"{train.images.store}: {', '.join(odd[:5])} is in only one of training and test"
        )
    return (*([NEGATIVES] if NEGATIVES in names else []), *sorted(names - {NEGATIVES}))


def _sides(
    train: FoundParts, test: FoundParts | None, classes: tuple[str, ...], selection: Selection
) -> tuple[Files, Files]:
    """Files of both sides, each object once."""
    files = _numbered(train.images, classes)
    if test is not None:
        return files, _numbered(test.images, classes)
    kept: list[Tensor] = []
    held_out: list[Tensor] = []
    for label, name in enumerate(classes):
        members = torch.nonzero(files.labels == label).flatten()
        if len(members) < 2:
            raise ValueError(
                f"class {name!r} has a single image; a split into training and test needs two"
            )
        first, second = evenly_spaced(len(members), _train_share(selection))
        kept.append(members[first])
        held_out.append(members[second])
    return files.take(torch.cat(kept)), files.take(torch.cat(held_out))


def _train_share(selection: Selection) -> float:
    if not 0 < selection.test_fraction < 1:
        raise ValueError(f"`test_fraction` must lie between 0 and 1, got {selection.test_fraction}")
    return 1 - selection.test_fraction


def _numbered(found: Found, classes: tuple[str, ...]) -> Files:
    labels = torch.tensor([classes.index(name) for name in found.classes], dtype=torch.int64)
    return Files(found.store, found.names, labels)


def _with_landmarks(
    split: Split, found: FoundParts, parts: tuple[str, ...], transform: Transform
) -> Split:
    names = tuple(split.names)
    landmarks = landmark_tensor(found, names, parts, transform.points)
    return replace(split, landmarks=landmarks, part_names=parts)


def _members(split: Split) -> list[Tensor]:
    """Places of each class, in the order of the labels."""
    labels = sorted(set(split.labels.tolist()))
    return [torch.nonzero(split.labels == label).flatten() for label in labels]


def _fixed(
    plain: list[Split], negative: str | None, selection: Selection, *, share: float | None
) -> list[Split]:
    """Mirror and repeat the training images alone."""
    train, test = plain
    if not selection.repeat:
        return [train, test]
    members = _members(train)
    if negative is not None:
        copies = copies_of_one(members[1], members[0])
    else:
        copies = copies_of_several(members, _train_share(selection) if share is None else share)
    return [copied(train, copies), test]


def _official(plain: list[Split], negative: str | None, selection: Selection) -> list[Split]:
    """Put both sides together again, in the order of the files, and divide as the authors do."""
    whole = _joined(plain)
    members = _members(whole)
    share = _train_share(selection)
    sides: tuple[Copies, Copies]
    if negative is not None:
        sides = official_copies_of_one(members[1], members[0], share)
    else:
        sides = official_copies_of_several(members, share)
    names = [split.name for split in plain]
    return [replace(copied(whole, c), name=n) for c, n in zip(sides, names, strict=True)]


def _joined(plain: list[Split]) -> Split:
    """One split of both sides, sorted by the names of its images."""
    whole = joined(plain[0], plain[1])
    order = sorted(range(len(whole)), key=lambda i: whole.names[i])
    return whole.take(torch.tensor(order))


def _notes(plain: list[Split], found: tuple[FoundParts, ...]) -> tuple[str, ...]:
    """Say how many images have each part, and what was left out."""
    notes = [note for one in found for note in one.notes]
    for split in plain:
        assert split.landmarks is not None
        shown = (~split.landmarks.isnan().any(2)).sum(0).tolist()
        counts = ", ".join(f"{p} in {n}" for p, n in zip(split.part_names, shown, strict=True))
        notes.append(f"{split.name}: of {len(split)} images, {counts}")
    repeated = sum(one.repeated for one in found)
    if repeated:
        notes.append(
            f"{repeated} parts that an image shows more than once have no single place and count "
            "as missing"
        )
    return tuple(notes)
