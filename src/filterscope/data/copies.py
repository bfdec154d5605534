"""Repeated and mirrored images of a split, and how many of each the papers take."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from filterscope.data.decode import open_rgb
from filterscope.data.points import mirror_points
from filterscope.data.split import InMemory, Reader, Split, Streamed

POSITIVES_PER_NEGATIVE = 3
SEVERAL = (1500, None)
MANY = (100, 400)
_MANY_FROM = 11


class Copies(NamedTuple):
    """Images to take, by place; a place may come several times.

    Attributes:
        places: (M,) int64.
        mirrored: (M,) bool: whether the image is mirrored left to right.
    """

    places: Tensor
    mirrored: Tensor


def evenly_spaced(count: int, share: float) -> tuple[Tensor, Tensor]:
    """Divide places evenly: a share of them at equal distances, and the others.

    Args:
        count: How many there are.
        share: Of the first side; both sides get at least one place.

    Returns:
        Places of the first side and of the second, both rising.

    Raises:
        ValueError: Fewer than two places, or a share outside (0, 1).

    Source: the authors' code of Zhang et al., CVPR 2018, with a share of 0.9.

    Examples:
        >>> evenly_spaced(10, 0.8)[1]
        tensor([2, 7])
    """
    if count < 2:
        raise ValueError(f"`count` must be at least 2 to be divided, got {count}")
    if not 0 < share < 1:
        raise ValueError(f"`share` must lie between 0 and 1, got {share}")
    chosen = min(count - 1, max(1, int(count * share + 0.5)))
    spaced = torch.linspace(0, count - 1, chosen, dtype=torch.float64)
    taken = torch.zeros(count, dtype=torch.bool)
    taken[(spaced + 0.5).floor().long()] = True
    return torch.nonzero(taken).flatten(), torch.nonzero(~taken).flatten()


def copies_of_one(positives: Tensor, negatives: Tensor) -> Copies:
    """Balance one category against negatives: three positives for each negative.

    Too few positives are repeated, each time with their mirror images: all as they are, all
    mirrored, and so on up to the number. Where there are more than enough, each is taken once and
    the negatives are repeated instead. Negatives are not mirrored.

    Args:
        positives: Places of the category's images, (P,).
        negatives: Places of the others, (N,).

    Source: the authors' code of Zhang et al., CVPR 2018.

    Examples:
        >>> copies_of_one(torch.tensor([0, 1]), torch.tensor([2])).places
        tensor([0, 1, 0, 2])
    """
    wanted = POSITIVES_PER_NEGATIVE * len(negatives)
    if wanted >= len(positives):
        mine = _cycled(positives, wanted)
        others = _plain(negatives)
    else:
        mine = _plain(positives)
        others = _plain(negatives.repeat(max(1, int(len(positives) / wanted + 0.5))))
    return _joined([mine, others])


def copies_of_several(members: Sequence[Tensor], share: float) -> Copies:
    """Take every image of every category with its mirror image, and repeat small categories.

    Up to ten categories have at least 1,500 images each, more than ten between 100 and 400.

    Args:
        members: Places of each category's training images.
        share: Of all images that are for training, to which these numbers are scaled: repetition
            comes after the division, so that no object is on both sides.

    Source: the authors' code of Zhang et al., CVPR 2018, which divides after repeating.
    """
    least, most = MANY if len(members) >= _MANY_FROM else SEVERAL
    parts = []
    for places in members:
        wanted = max(2 * len(places), int(least * share + 0.5))
        if most is not None:
            wanted = min(wanted, max(len(places), int(most * share + 0.5)))
        parts.append(_cycled(places, wanted))
    return _joined(parts)


def official_copies_of_one(
    positives: Tensor, negatives: Tensor, share: float
) -> tuple[Copies, Copies]:
    """The authors' lists for one category: training and validation, both with repetitions.

    Objects lie beside their mirror images, the whole is repeated and cut to three times the
    negatives; where there are more objects than that, the last are lost.

    Args:
        positives: Places of all images of the category, (P,).
        negatives: Places of all others, (N,).
        share: Of training images.

    Source: the authors' code of Zhang et al., CVPR 2018.
    """
    wanted = POSITIVES_PER_NEGATIVE * len(negatives)
    order = _beside(len(positives), wanted)
    training = torch.zeros(len(positives), dtype=torch.bool)
    training[evenly_spaced(len(positives), share)[0]] = True
    sides = []
    for side, others in zip((True, False), evenly_spaced(len(negatives), share), strict=True):
        kept = training[order.places] == side
        mine = Copies(positives[order.places[kept]], order.mirrored[kept])
        sides.append(_joined([mine, _plain(negatives[others])]))
    return sides[0], sides[1]


def official_copies_of_several(members: Sequence[Tensor], share: float) -> tuple[Copies, Copies]:
    """The authors' lists for several categories, divided after repeating.

    Copies of one object come to lie on both sides: the validation accuracy says little. For
    comparisons with published numbers alone.

    Args:
        members: Places of all images of each category.
        share: Of training images.

    Source: the authors' code of Zhang et al., CVPR 2018.
    """
    least, most = MANY if len(members) >= _MANY_FROM else SEVERAL
    parts = []
    for places in members:
        wanted = max(2 * len(places), least)
        order = _beside(len(places), wanted if most is None else min(wanted, most))
        parts.append(Copies(places[order.places], order.mirrored))
    every = _joined(parts)
    sides = evenly_spaced(len(every.places), share)
    first, second = (Copies(every.places[side], every.mirrored[side]) for side in sides)
    return first, second


def copied(split: Split, copies: Copies) -> Split:
    """A split of copies; landmarks are mirrored with their images, masks are left behind.

    Args:
        split: Of images that are stretched to their square, which mirrors cleanly.
        copies: Which images.
    """
    places, mirrored = copies.places, copies.mirrored
    taken = split.take(places)
    names = [
        f"{_MIRRORED}{name}" if flip else name
        for name, flip in zip(taken.names, mirrored.tolist(), strict=True)
    ]
    images = taken.images
    if isinstance(images, InMemory):
        images.pixels[mirrored] = images.pixels[mirrored].flip(3)  # take() has made its own
    else:
        files = zip(images.names, mirrored.tolist(), strict=True)
        marked = tuple(f"{_MIRRORED}{name}" if flip else name for name, flip in files)
        images = Streamed(marked, _MirrorReader(images.read))
    landmarks = taken.landmarks
    if landmarks is not None:
        flipped = mirror_points(landmarks, split.transform.image_size)
        landmarks = torch.where(mirrored[:, None, None], flipped, landmarks)
    return replace(taken, names=tuple(names), images=images, landmarks=landmarks)


_MIRRORED = "mirrored:"


@dataclass(frozen=True)
class _MirrorReader:
    """Reads files, those with a mark mirrored."""

    read: Reader

    def __call__(self, name: str) -> bytes:
        if not name.startswith(_MIRRORED):
            return self.read(name)
        image = open_rgb(self.read(name.removeprefix(_MIRRORED)))
        buffer = io.BytesIO()
        # uncompressed: it is read back at once
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(buffer, "BMP")
        return buffer.getvalue()


def _plain(places: Tensor) -> Copies:
    return Copies(places, torch.zeros(len(places), dtype=torch.bool))


def _cycled(places: Tensor, count: int) -> Copies:
    """All places as they are, then all mirrored, and again, up to a count."""
    number = torch.arange(count)
    return Copies(places[number % len(places)], number // len(places) % 2 == 1)


def _beside(objects: int, count: int) -> Copies:
    """Every object beside its mirror image, repeated up to a count."""
    number = torch.arange(count) % (2 * objects)
    return Copies(number // 2, number % 2 == 1)


def _joined(parts: Sequence[Copies]) -> Copies:
    return Copies(torch.cat([p.places for p in parts]), torch.cat([p.mirrored for p in parts]))
