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

from filterscope.data.decode import UnreadableImageError, open_rgb
from filterscope.data.folders import Found, Store
from filterscope.data.split import InMemory, Split, Streamed, choose, hold_out
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
    """

    store: Store
    names: tuple[str, ...]
    labels: Tensor

    def take(self, indices: Tensor) -> Files:
        """The files at the given places."""
        names = tuple(self.names[i] for i in indices.tolist())
        return Files(self.store, names, self.labels[indices])


def number_classes(train: Found, test: Found | None) -> tuple[tuple[str, ...], Files, Files | None]:
    """Number the classes in the order of their names.

    Raises:
        ValueError: A single class, or training and test images of different classes.
    """
    classes = tuple(sorted(set(train.classes)))
    if len(classes) < 2:
        raise ValueError(f"{train.store} holds a single class ({classes[0]}); two are needed")
    if test is not None and set(test.classes) != set(classes):
        extra, absent = set(test.classes) - set(classes), set(classes) - set(test.classes)
        odd = sorted(extra or absent)
        side = "only in the test" if extra else "not in the test"
        raise ValueError(f"{test.store}: classes {', '.join(odd[:5])} are {side} images")
    number = {name: i for i, name in enumerate(classes)}

    def numbered(found: Found) -> Files:
        labels = torch.tensor([number[name] for name in found.classes], dtype=torch.int64)
        return Files(found.store, found.names, labels)

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
        kept, held_out = hold_out(train.labels, test_fraction, seed)
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


def read_split(files: Files, transform: Transform, *, check: bool) -> tuple[Split, Unreadable]:
    """Make a split of files: in memory when they are small, else streamed.

    Args:
        files: The labelled files.
        transform: Gives the size.
        check: Look at streamed files before they are used. Images in memory are decoded, and so
            are always checked.

    Returns:
        The split without the unreadable images, and these with reasons.
    """
    size = transform.image_size
    if not fits_memory(len(files.names), size):
        bad = _broken(files) if check else {}
        good = files.take(_readable(files, bad))
        images = Streamed(good.names, files.store)
        return Split(good.labels, good.names, images, transform), _named(files.store, bad)
    pixels = torch.empty(len(files.names), 3, size, size, dtype=torch.uint8)
    bad = {}

    def read(index: int) -> None:
        name = files.names[index]
        try:
            pixels[index] = transform.pixels(files.store(name))
        except (UnreadableImageError, OSError) as error:
            bad[name] = _reason(error)

    _in_threads(read, range(len(files.names)), files.store)
    if bad:
        places = _readable(files, bad)
        files, pixels = files.take(places), pixels[places]
    split = Split(files.labels, files.names, InMemory(pixels), transform)
    return split, _named(files.store, bad)


def _readable(files: Files, bad: dict[str, str]) -> Tensor:
    """Places of the files that are not bad."""
    places = [i for i, name in enumerate(files.names) if name not in bad]
    return torch.tensor(places, dtype=torch.long)


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


def _broken(files: Files) -> dict[str, str]:
    """Find files that do not begin, or do not end, as images do."""
    bad: dict[str, str] = {}

    def look(name: str) -> None:
        try:
            content = files.store(name)
            if not _ends_well(content):
                open_rgb(content)
        except (UnreadableImageError, OSError) as error:
            bad[name] = _reason(error)

    _in_threads(look, files.names, files.store)
    return bad


def _ends_well(content: bytes) -> bool:
    """Whether a JPEG or PNG has its first and last mark, which truncation takes away."""
    jpeg = content.startswith(b"\xff\xd8\xff") and content.rstrip(b"\0").endswith(b"\xff\xd9")
    png = content.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND" in content[-16:]
    return jpeg or png


def _in_threads(work: Callable[[Any], None], items: Iterable[Any], store: Store) -> None:
    # one zip file has one position, so its members are read one after the other
    threads = 1 if store.root.is_file() else min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, items))  # drained, so that what a thread raises arrives here


def _reason(error: Exception) -> str:
    return str(error).removeprefix("the image is not readable as an image: ").splitlines()[0]


def _named(store: Store, bad: dict[str, str]) -> Unreadable:
    return tuple((f"{store}/{name}", reason) for name, reason in sorted(bad.items()))
