"""A data set in memory or on disk: images, labels, names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.data.augmentation import Augmentation
from filterscope.data.transform import Transform

Reader = Callable[[str], bytes]


@dataclass(frozen=True)
class InMemory:
    """Pixels of all images, kept as uint8 and copied once to each device that asks.

    Args:
        pixels: (N, 3, H, W), uint8.
    """

    pixels: Tensor
    _copies: dict[torch.device, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def on(self, device: torch.device) -> Tensor:
        """The pixels on a device."""
        if device == self.pixels.device:
            return self.pixels
        if device not in self._copies:
            self._copies[device] = self.pixels.to(device)
        return self._copies[device]


@dataclass(frozen=True)
class Streamed:
    """Images that are read from files when they are needed.

    Args:
        names: What `read` takes, one an image.
        read: Gives the bytes of an image file; must be picklable.
    """

    names: tuple[str, ...]
    read: Reader


@dataclass(frozen=True)
class Masks:
    """Object masks of a split, one an image, as the network sees the images at test time.

    Args:
        source: (N, S, S) bool, or the files that they are read from.
        empty: Masks without any object.
        full: Masks that are object all over.
    """

    source: Tensor | Streamed
    empty: int = 0
    full: int = 0

    @classmethod
    def in_memory(cls, masks: Tensor) -> Masks:
        """Keep masks (N, S, S) bool and count the empty and the full ones."""
        areas = masks.flatten(1).sum(1)
        return cls(
            masks, int((areas == 0).sum()), int((areas == masks.shape[1] * masks.shape[2]).sum())
        )


@dataclass(frozen=True, repr=False)
class Split(Brief):
    """The training or the test images of a data set.

    Args:
        labels: (N,) int64.
        names: Where each image came from, for people.
        images: The pixels, or where they are read.
        transform: The data set's.
        masks: Where the object is in each image, for data sets that say so.
        name: What the split is called in messages.
        landmarks: (N, P, 2) float32: x and y of each part in pixels of the network's input, from
            the top left corner, for data sets that say so. NaN where a part is missing, or where
            an image has it more than once.
        part_names: The P parts.
    """

    labels: Tensor
    names: Sequence[str]
    images: InMemory | Streamed
    transform: Transform
    masks: Masks | None = None
    name: str = "this split"
    landmarks: Tensor | None = None
    part_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def raw(self, index: int) -> Tensor:
        """Pixels of one image as the network sees it, before normalisation: uint8 (3, S, S)."""
        if isinstance(self.images, InMemory):
            return self.images.pixels[index].cpu()
        return self.transform.pixels(self.images.read(self.images.names[index]))

    @property
    def has_masks(self) -> bool:
        """Whether `mask` has an answer."""
        return self.masks is not None

    def mask(self, index: int) -> Tensor:
        """Object mask of one image, scaled and cut as `raw` is, by nearest values: bool (S, S).

        Args:
            index: Place in the split.

        Raises:
            ValueError: The split has no masks, or a mask file broke meanwhile.
        """
        if self.masks is None:
            raise ValueError(
                f"{self.name} has no object masks; digits, voc-animals and masked-folder:PATH have"
            )
        source = self.masks.source
        if isinstance(source, Tensor):
            return source[index].cpu()
        name = source.names[index]
        try:
            return self.transform.mask(source.read(name))
        except (ValueError, OSError) as error:
            raise ValueError(f"{name}: {error}") from error

    def take(self, places: Tensor) -> Split:
        """The images at the given places, without their masks.

        Args:
            places: (M,) int64; of a bool tensor take ``places.nonzero()[:, 0]``.

        Raises:
            TypeError: No tensor of integers.
        """
        if not isinstance(places, Tensor) or places.dtype not in (torch.int64, torch.int32):
            came = places.dtype if isinstance(places, Tensor) else type(places).__name__
            raise TypeError(f"`places` must be a tensor of integers, got {came}")
        images: InMemory | Streamed
        if isinstance(self.images, InMemory):
            images = InMemory(self.images.pixels[places])
        else:
            names = self.images.names
            images = Streamed(tuple(names[i] for i in places.tolist()), self.images.read)
        told = tuple(self.names[i] for i in places.tolist())
        return replace(
            self,
            labels=self.labels[places],
            names=told,
            images=images,
            masks=None,
            landmarks=None if self.landmarks is None else self.landmarks[places],
        )

    def class_counts(self, num_classes: int) -> Tensor:
        """Images of each class, (C,) int64."""
        return torch.bincount(self.labels, minlength=num_classes)


@dataclass(frozen=True, repr=False)
class ImageDataset(Brief):
    """A data set, ready for training and testing.

    Attributes:
        name: As `load_dataset` took it.
        classes: Class names in the order of the labels.
        train: Training images.
        test: Test images.
        transform: Test-time preprocessing.
        augmentation: Random changes of training images.
        unreadable: Files that were left out, each with the reason.
        mask_notes: Empty masks, masks without an image and the like, counted in words.
        landmark_notes: Missing and repeated parts and the like, counted in words.
        negative: The class of images that show none of the others, where there is one.
        ignored: Files in the folders of the images that are not taken for images, each with the
            reason.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    transform: Transform
    augmentation: Augmentation
    unreadable: tuple[tuple[str, str], ...] = ()
    mask_notes: tuple[str, ...] = ()
    landmark_notes: tuple[str, ...] = ()
    negative: str | None = None
    ignored: tuple[tuple[str, str], ...] = ()

    @property
    def left_out_notes(self) -> tuple[str, ...]:
        """How many files were left out, and the first of them, in words."""
        notes = []
        for files, what in (
            (self.unreadable, "images are unreadable and left out"),
            (self.ignored, "files are not taken for images"),
        ):
            if files:
                first = "; ".join(f"{name} ({reason})" for name, reason in files[:3])
                notes.append(f"{len(files)} {what}: {first}{'; ...' * (len(files) > 3)}")
        return tuple(notes)

    @property
    def categories(self) -> tuple[str, ...]:
        """The classes without the one of the negatives."""
        return tuple(name for name in self.classes if name != self.negative)


def joined(first: Split, second: Split) -> Split:
    """Put the images of two splits of one data set into one, without their masks."""
    images: InMemory | Streamed
    if isinstance(first.images, InMemory) and isinstance(second.images, InMemory):
        images = InMemory(torch.cat([first.images.pixels, second.images.pixels]))
    elif isinstance(first.images, Streamed) and isinstance(second.images, Streamed):
        images = replace(first.images, names=first.images.names + second.images.names)
    else:
        raise ValueError("`first` is in memory and `second` is not, or the other way round")
    landmarks = None
    if first.landmarks is not None and second.landmarks is not None:
        landmarks = torch.cat([first.landmarks, second.landmarks])
    return replace(
        first,
        labels=torch.cat([first.labels, second.labels]),
        names=(*first.names, *second.names),
        images=images,
        masks=None,
        landmarks=landmarks,
    )
