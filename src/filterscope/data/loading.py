"""From labelled files to splits: decode, count what is unreadable, keep in memory or stream."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from filterscope.data.choice import choose, hold_out
from filterscope.data.decode import (
    UnreadableImageError,
    check_readable,
    open_mask,
    upright_size,
)
from filterscope.data.folders import Found, Store
from filterscope.data.split import InMemory, Masks, Split, Streamed
from filterscope.data.transform import Transform

MEMORY_LIMIT = 2**30
"""Bytes of uint8 pixels up to which a split is kept in memory."""

SMALL = 96
"""Largest image size, in pixels, of data that is kept in memory."""

Unreadable = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Files:
    """Labelled files of one split, by number.

    Attributes:
        store: Where they are read.
        names: Their names.
        labels: (N,) int64.
        masks: Names of their object masks in the same store, None where one is missing; None for
            data without masks.
    """

    store: Store
    names: tuple[str, ...]
    labels: Tensor
    masks: tuple[str | None, ...] | None = None

    def take(self, indices: Tensor) -> Files:
        """The files at the given places."""
        places = indices.tolist()
        names = tuple(self.names[i] for i in places)
        masks = None if self.masks is None else tuple(self.masks[i] for i in places)
        return Files(self.store, names, self.labels[indices], masks)


def number_classes(
    train: Found, test: Found | None, *, order: tuple[str, ...] | None = None, least: int = 2
) -> tuple[tuple[str, ...], Files, Files | None]:
    """Number the classes in the order of their names.

    Args:
        train: Training images.
        test: Test images, if there are any.
        order: The classes in another order.
        least: How many classes are needed.

    Raises:
        ValueError: Too few classes, training and test images of different classes, or an order
            that names other classes.
    """
    classes = tuple(sorted(set(train.classes)))
    if order is not None:
        if sorted(order) != list(classes):
            raise ValueError(
                f"{train.store} holds the classes {', '.join(classes)}, but their order is given "
                f"as {', '.join(order)}"
            )
        classes = order
    if len(classes) < least:
        raise ValueError(f"{train.store} holds a single class ({classes[0]}); two are needed")
    if test is not None and set(test.classes) != set(classes):
        extra, absent = set(test.classes) - set(classes), set(classes) - set(test.classes)
        odd = sorted(extra or absent)
        side = "only in the test" if extra else "not in the test"
        raise ValueError(f"{test.store}: classes {', '.join(odd[:5])} are {side} images")
    number = {name: i for i, name in enumerate(classes)}

    def numbered(found: Found) -> Files:
        labels = torch.tensor([number[name] for name in found.classes], dtype=torch.int64)
        return Files(found.store, found.names, labels, found.masks)

    return classes, numbered(train), None if test is None else numbered(test)


def divide(
    train: Files,
    test: Files | None,
    *,
    limit: int | None,
    limit_test: int | None,
    test_fraction: float,
    seed: int,
) -> tuple[Files, Files]:
    """Hold out test images where there are none, and keep as many of each side as wanted."""
    if test is None:
        kept, held_out = hold_out(train.labels, test_fraction, seed, train.names)
        train, test = train.take(kept), train.take(held_out)
    return (
        train.take(choose(train.labels, limit, seed)),
        test.take(choose(test.labels, limit_test, seed)),
    )


def usual_size(files: Files) -> int | None:
    """Side of the first images when they are all equal small squares, else None."""
    sizes = set()
    step = max(1, len(files.names) // 32)  # images of one class lie together: look at all
    for name in files.names[::step]:
        try:
            with Image.open(BytesIO(files.store(name))) as image:
                sizes.add(image.size)
        except Exception:  # unreadable ones are counted later
            continue
    if len(sizes) == 1 and (size := sizes.pop())[0] == size[1] <= SMALL:
        return size[0]
    return None


def fits_memory(count: int, image_size: int) -> bool:
    """Whether so many images of this size are kept in memory."""
    return image_size <= SMALL and count * 3 * image_size**2 <= MEMORY_LIMIT


def read_split(
    files: Files,
    transform: Transform,
    *,
    check: bool,
    in_memory: bool | None = None,
    name: str = "this split",
) -> tuple[Split, Unreadable]:
    """Make a split of files: in memory when they are small, else streamed.

    A pair of image and mask is left out when either is unreadable, when the mask is missing, or
    when their sizes differ.

    Args:
        files: The labelled files.
        transform: Gives the size.
        check: Look at streamed files before they are used. Images in memory are decoded, and so
            are always checked; so are pairs of image and mask.
        in_memory: Whether the pixels are kept. Default: by `fits_memory`.
        name: Of the split, for messages.

    Returns:
        The split without the unreadable images, and these with reasons.
    """
    if in_memory is None:
        in_memory = fits_memory(len(files.names), transform.image_size)
    if in_memory:
        return _kept(files, transform, name)
    checks = _Checks(files, transform)
    if check or files.masks is not None:
        _in_threads(checks.look, range(len(files.names)), files.store)
    good = files.take(_readable(files, checks.bad))
    masks = None
    if good.masks is not None:
        paths = Streamed(tuple(mask for mask in good.masks if mask is not None), files.store)
        areas = list(checks.areas.values())
        masks = Masks(paths, areas.count(0.0), areas.count(1.0))
    images = Streamed(good.names, files.store)
    split = Split(good.labels, good.names, images, transform, masks, name)
    return split, _named(files.store, checks.bad)


def _kept(files: Files, transform: Transform, name: str) -> tuple[Split, Unreadable]:
    """Decode all files into memory."""
    count, size = len(files.names), transform.image_size
    pixels = torch.empty(count, 3, size, size, dtype=torch.uint8)
    masks = None if files.masks is None else torch.empty(count, size, size, dtype=torch.bool)
    bad: dict[str, str] = {}

    def read(index: int) -> None:
        try:
            content = files.store(files.names[index])
            pixels[index] = transform.pixels(content)
            if masks is not None:
                masks[index] = _mask(files, index, content, transform)
        except (UnreadableImageError, OSError) as error:
            bad[files.names[index]] = _reason(error)

    _in_threads(read, range(count), files.store)
    if bad:
        places = _readable(files, bad)
        files, pixels = files.take(places), pixels[places]
        masks = None if masks is None else masks[places]
    kept = None if masks is None else Masks.in_memory(masks)
    split = Split(files.labels, files.names, InMemory(pixels), transform, kept, name)
    return split, _named(files.store, bad)


def _mask(files: Files, index: int, content: bytes, transform: Transform) -> Tensor:
    """Read the mask of an image whose bytes are `content`."""
    name = None if files.masks is None else files.masks[index]
    if name is None:
        raise UnreadableImageError("no mask")
    try:
        mask = open_mask(files.store(name))
    except (UnreadableImageError, OSError) as error:
        raise UnreadableImageError(f"its mask {name}: {_reason(error)}") from error
    size = upright_size(content)
    if mask.size != size:
        raise UnreadableImageError(
            f"its mask is {mask.size[0]} x {mask.size[1]} pixels, the image {size[0]} x {size[1]}"
        )
    return transform.mask(mask)


def _readable(files: Files, bad: dict[str, str]) -> Tensor:
    """Places of the files that are not bad."""
    places = [i for i, name in enumerate(files.names) if name not in bad]
    return torch.tensor(places, dtype=torch.long)


def mask_notes(splits: Sequence[Split]) -> tuple[str, ...]:
    """Say in words how many masks of the splits are empty, and how many full."""
    notes = []
    for split in splits:
        masks = split.masks
        if masks is not None and (masks.empty or masks.full):
            notes.append(
                f"{split.name}: of {len(split)} object masks, as cut, {masks.empty} are empty "
                f"and {masks.full} are object all over"
            )
    return tuple(notes)


def refuse_many(unreadable: Sequence[tuple[str, str]], count: int, limit: float) -> None:
    """Raise when more images are unreadable than the limit allows.

    Raises:
        ValueError: With the number and the first of them.
    """
    if len(unreadable) > limit * count:
        first = "; ".join(f"{name} ({reason})" for name, reason in unreadable[:3])
        raise ValueError(
            f"{len(unreadable)} of {count} images are unreadable, more than {limit:.1%}: {first}"
        )


class _Checks:
    """What a look at streamed files finds: the bad ones, and the share of object in each mask."""

    def __init__(self, files: Files, transform: Transform) -> None:
        self.files, self.transform = files, transform
        self.bad: dict[str, str] = {}
        self.areas: dict[int, float] = {}

    def look(self, index: int) -> None:
        """Decode a file as far as it takes to know that it is whole, and read its mask."""
        name = self.files.names[index]
        try:
            content = self.files.store(name)
            check_readable(content)
            if self.files.masks is not None:
                mask = _mask(self.files, index, content, self.transform)
                self.areas[index] = float(mask.double().mean())
        except (UnreadableImageError, OSError) as error:
            self.bad[name] = _reason(error)


def _in_threads(work: Callable[[Any], None], items: Iterable[Any], store: Store) -> None:
    # one zip file has one position, so its members are read one after the other
    threads = 1 if store.root.is_file() else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))  # drained, so that what a thread raises arrives here


def _reason(error: Exception) -> str:
    text = str(error).removeprefix("the image is ").removeprefix("not readable as an image: ")
    return text.removeprefix("the mask is ").removeprefix("the mask ").splitlines()[0]


def _named(store: Store, bad: dict[str, str]) -> Unreadable:
    return tuple((f"{store}/{name}", reason) for name, reason in sorted(bad.items()))
