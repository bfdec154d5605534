"""Data sets by name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from filterscope.core.names import unknown_name
from filterscope.data import digits
from filterscope.data.cifar import read_cifar
from filterscope.data.folders import find_images
from filterscope.data.loading import (
    Files,
    divide,
    fits_memory,
    number_classes,
    read_split,
    refuse_many,
    usual_size,
)
from filterscope.data.split import ImageDataset, InMemory, Split, choose, hold_out
from filterscope.data.transform import Augmentation, Transform

_DATASETS = {
    "digits": "scikit-learn's handwritten digits, 1,797 images of 10 classes, always there",
    "cifar10": "CIFAR-10 in its official layout (python or binary); --download fetches it",
    "cifar100": "CIFAR-100, fine labels, in its official layout; --download fetches it",
    "imagenet": "ImageNet: imagenet/train/SYNSET/*.JPEG and imagenet/val/SYNSET/*.JPEG",
    "folder:PATH": "your images in class folders or zip files, with or without a test split",
}
_FOLDER = "folder:"

_CIFAR = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}

IMAGENET_SIZE = 224


def list_datasets() -> list[str]:
    """List the names that `load_dataset` takes."""
    return list(_DATASETS)


def describe_dataset(name: str) -> str:
    """Describe a data set in a line."""
    return _DATASETS[name]


def load_dataset(
    name: str = "digits",
    *,
    image_size: int | None = None,
    limit: int | None = None,
    limit_test: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
    download: bool = False,
    test_fraction: float = 0.2,
    max_unreadable: float = 0.01,
) -> ImageDataset:
    """Load a data set.

    Images up to 96 pixels are kept in memory as uint8, larger ones are read when they are needed.

    Args:
        name: One of `list_datasets`; ``folder:PATH`` for your own images.
        image_size: Side of the network's input in pixels. Default: 16 for digits, 32 for CIFAR,
            the images' own for folders of equal small squares, else 224.
        limit: Keep at most this many training images, the same share of each class.
        limit_test: Keep at most this many test images.
        seed: Of the held-out share and the limited choice.
        root: Folder of the named data sets. Default: ``$FILTERSCOPE_DATA``, else ``./data``. A
            relative PATH is looked for here, too.
        download: Fetch a missing data set from its official source.
        test_fraction: Share held out where there are no test images.
        max_unreadable: Share of unreadable images above which loading is refused.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: The data is not there; the message has the expected layout.
        ValueError: An unknown name, a wrong layout, one class, an empty class, too many
            unreadable images.

    Example:
        >>> dataset = load_dataset("digits")
        >>> len(dataset.train), len(dataset.test), dataset.train.raw(0).shape
        (1438, 359, torch.Size([3, 16, 16]))
    """
    numbers = {"image_size": image_size, "limit": limit, "limit_test": limit_test}
    for argument, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"`{argument}` must be at least 1, got {value}")
    folder = Path(root or os.environ.get("FILTERSCOPE_DATA") or "data")
    limits = (limit, limit_test)
    if name == "digits":
        return _load_digits(image_size, limits, seed, test_fraction)
    if name in _CIFAR:
        return _load_cifar(name, image_size, limits, seed, folder, download)
    if name == "imagenet":
        path = folder / "imagenet"
        return _load_folder(
            name, path, image_size, limits, seed, test_fraction, max_unreadable, check=False
        )
    if name.startswith(_FOLDER):
        if name == _FOLDER:
            raise ValueError("`folder:` needs the path of your images, as in folder:photos")
        path = Path(name.removeprefix(_FOLDER)).expanduser()
        if not path.exists() and (folder / path).exists():
            path = folder / path
        return _load_folder(
            name, path, image_size, limits, seed, test_fraction, max_unreadable, check=True
        )
    raise unknown_name("data set", name, _DATASETS, "filterscope list datasets")


def _load_digits(
    image_size: int | None,
    limits: tuple[int | None, int | None],
    seed: int,
    test_fraction: float,
) -> ImageDataset:
    transform = Transform(image_size or digits.SIZE, mean=(digits.MEAN,) * 3, std=(digits.STD,) * 3)
    pixels, labels = digits.read_digits(transform.image_size)
    train, test = hold_out(labels, test_fraction, seed)
    train = train[choose(labels[train], limits[0], seed)]
    test = test[choose(labels[test], limits[1], seed)]
    splits = [
        Split(
            labels[part],
            tuple(f"digit {i}" for i in part.tolist()),
            InMemory(pixels[part]),
            transform,
        )
        for part in (train, test)
    ]
    # a mirrored digit is no digit
    augmentation = Augmentation(padding=max(1, transform.image_size // 8), flip=False)
    classes = tuple(str(digit) for digit in range(10))
    return ImageDataset("digits", classes, splits[0], splits[1], transform, augmentation)


def _load_cifar(
    name: str,
    image_size: int | None,
    limits: tuple[int | None, int | None],
    seed: int,
    root: Path,
    download: bool,
) -> ImageDataset:
    parts, classes = read_cifar(name, root, download=download)
    mean, std = _CIFAR[name]
    transform = Transform(image_size or 32, mean=mean, std=std)
    splits = []
    for (side, (pixels, labels)), limit in zip(parts.items(), limits, strict=True):
        kept = choose(labels, limit, seed)
        names = tuple(f"{name} {side} {i}" for i in kept.tolist())
        images = InMemory(_resized(pixels[kept], transform))
        splits.append(Split(labels[kept], names, images, transform))
    augmentation = Augmentation(padding=transform.image_size // 8)
    return ImageDataset(name, classes, splits[0], splits[1], transform, augmentation)


def _resized(pixels: Tensor, transform: Transform) -> Tensor:
    if pixels.shape[-1] == transform.image_size:
        return pixels
    return torch.stack([transform.pixels(image) for image in pixels])


def _load_folder(
    name: str,
    path: Path,
    image_size: int | None,
    limits: tuple[int | None, int | None],
    seed: int,
    test_fraction: float,
    max_unreadable: float,
    *,
    check: bool,
) -> ImageDataset:
    classes, all_train, all_test = number_classes(*find_images(path))
    train, test = divide(
        all_train,
        all_test,
        limit=limits[0],
        limit_test=limits[1],
        test_fraction=test_fraction,
        seed=seed,
    )
    transform = _folder_transform(train, image_size)
    train_split, bad = read_split(train, transform, check=check)
    test_split, more = read_split(test, transform, check=check)
    unreadable = (*bad, *more)
    refuse_many(unreadable, len(train.names) + len(test.names), max_unreadable)
    for split, side in ((train_split, "training"), (test_split, "test")):
        empty = torch.nonzero(split.class_counts(len(classes)) == 0).flatten().tolist()
        if empty:
            raise ValueError(f"class {classes[empty[0]]!r} has no readable {side} image")
    return ImageDataset(
        name,
        classes,
        train_split,
        test_split,
        transform,
        Augmentation(padding=transform.image_size // 8),
        unreadable,
    )


def _folder_transform(train: Files, image_size: int | None) -> Transform:
    size = image_size or usual_size(train) or IMAGENET_SIZE
    if fits_memory(len(train.names), size):
        return Transform(size)
    return Transform(size, resize=round(size * 256 / 224))
