"""Data sets by name."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from filterscope.core.names import unknown_name
from filterscope.data import digits
from filterscope.data.assembly import Selection, load_folder, load_masked_folder
from filterscope.data.augmentation import Augmentation
from filterscope.data.choice import choose, hold_out
from filterscope.data.cifar import read_cifar
from filterscope.data.digit_parts import load_digit_parts
from filterscope.data.loading import mask_notes
from filterscope.data.part_dataset import load_part_folder
from filterscope.data.split import ImageDataset, InMemory, Masks, Split
from filterscope.data.transform import Transform
from filterscope.data.voc_animals import load_voc_animals

_DATASETS = {
    "digits": "scikit-learn's handwritten digits, 1,797 images of 10 classes, always there",
    "digit-parts": "the digit 6 against others, with landmarks at its stroke's ends, always there",
    "cifar10": "CIFAR-10 in its official layout (python or binary); --download fetches it",
    "cifar100": "CIFAR-100, fine labels, in its official layout; --download fetches it",
    "imagenet": "ImageNet: imagenet/train/SYNSET/*.JPEG and imagenet/val/SYNSET/*.JPEG",
    "voc-animals": "six animals of PASCAL VOC 2010 with object masks; see `filterscope prepare`",
    "folder:PATH": "your images in class folders or zip files, with or without a test split",
    "masked-folder:PATH": "your images with object masks: PATH/images/CLASS and PATH/masks/CLASS",
    "part-folder:PATH": "your images with landmarks: PATH/CATEGORY/landmarks.csv and PATH/neg",
}
_FOLDERS = ("folder:", "masked-folder:", "part-folder:")

_CIFAR = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
}


def list_datasets() -> list[str]:
    """List the names that `load_dataset` takes."""
    return list(_DATASETS)


def describe_dataset(name: str) -> str:
    """Describe a data set in a line.

    Args:
        name: One of `list_datasets`.

    Raises:
        ValueError: Another name, with the near ones.
    """
    if name not in _DATASETS:
        raise unknown_name("data set", name, _DATASETS, "filterscope list datasets")
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
    repeat: bool = True,
    official_leaky_split: bool = False,
) -> ImageDataset:
    """Load a data set.

    Images up to 96 pixels are kept in memory as uint8, larger ones are read when needed.

    Args:
        name: One of `list_datasets`; PATH is that of your own images.
        image_size: Side of the network's input in pixels. Default: 16 for the digits, 32 for CIFAR,
            the images' own for folders of equal small squares, else 224.
        limit: Keep at most this many training images, the same share of each class, and one of each
            at least.
        limit_test: The same for test images.
        seed: Of the held-out share and the limited choice.
        root: Folder of the named data sets. Default: ``$FILTERSCOPE_DATA``, else ``./data``. A
            relative PATH is looked for here, too.
        download: Fetch a missing data set from its official source.
        test_fraction: Share held out where there are no test images.
        max_unreadable: Share of unreadable images above which loading is refused.
        repeat: For part-folder, mirror and repeat training images as published; otherwise each
            comes once, and is mirrored at random.
        official_leaky_split: For part-folder, divide as the authors' code does, with repetitions
            on both sides and, for several categories, one object on both. For comparisons with
            published numbers alone.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: The data is not there; the message has the expected layout.
        ValueError: An unknown name, a wrong layout, one class (but for masked-folder), an empty
            class, too many unreadable images.

    Examples:
        >>> dataset = load_dataset("digits")
        >>> len(dataset.train), len(dataset.test), dataset.train.raw(0).shape
        (1438, 359, torch.Size([3, 16, 16]))
    """
    _refuse_below_one(image_size=image_size, limit=limit, limit_test=limit_test)
    folder = Path(root or os.environ.get("FILTERSCOPE_DATA") or "data")
    if official_leaky_split and not name.startswith("part-folder:"):
        raise ValueError(f"`official_leaky_split` is for part-folder:PATH, not for {name}")
    selection = Selection(
        limit, limit_test, seed, test_fraction, max_unreadable, repeat, official_leaky_split
    )
    if name == "digits":
        return _load_digits(image_size, selection)
    if name == "digit-parts":
        return load_digit_parts(image_size, selection)
    if name in _CIFAR:
        return _load_cifar(name, image_size, selection, folder, download)
    if name == "voc-animals":
        return load_voc_animals(folder / name, image_size, selection)
    if name == "imagenet":
        return load_folder(name, folder / name, image_size, selection, check=False)
    kind = next((kind for kind in _FOLDERS if name.startswith(kind)), None)
    if kind == "folder:":
        return load_folder(name, _own_path(name, kind, folder), image_size, selection, check=True)
    if kind == "part-folder:":
        return load_part_folder(name, _own_path(name, kind, folder), image_size, selection)
    if kind is not None:
        return load_masked_folder(name, _own_path(name, kind, folder), image_size, selection)
    raise unknown_name("data set", name, _DATASETS, "filterscope list datasets")


def _refuse_below_one(**numbers: int | None) -> None:
    for argument, value in numbers.items():
        if value is not None and value < 1:
            raise ValueError(f"`{argument}` must be at least 1, got {value}")


def _own_path(name: str, kind: str, root: Path) -> Path:
    """Find the images that a name such as folder:PATH means, here or under the root."""
    if name == kind:
        raise ValueError(f"`{kind}` needs the path of your images, as in {kind}photos")
    path = Path(name.removeprefix(kind)).expanduser()
    return root / path if not path.exists() and (root / path).exists() else path


def _load_digits(image_size: int | None, selection: Selection) -> ImageDataset:
    transform = Transform(image_size or digits.SIZE, mean=(digits.MEAN,) * 3, std=(digits.STD,) * 3)
    pixels, labels = digits.read_digits(transform.image_size)
    train, test = hold_out(labels, selection.test_fraction, selection.seed)
    train = train[choose(labels[train], selection.limit, selection.seed)]
    test = test[choose(labels[test], selection.limit_test, selection.seed)]
    splits = [
        Split(
            labels[part],
            tuple(f"digit {i}" for i in part.tolist()),
            InMemory(pixels[part]),
            transform,
            Masks.in_memory(digits.ink_masks(pixels[part])),
            f"digits' {side} split",
        )
        for part, side in ((train, "training"), (test, "test"))
    ]
    # a mirrored digit is no digit
    augmentation = Augmentation(padding=max(1, transform.image_size // 8), flip=False)
    classes = tuple(str(digit) for digit in range(10))
    notes = mask_notes(splits)
    train_split, test_split = splits
    return ImageDataset(
        "digits", classes, train_split, test_split, transform, augmentation, mask_notes=notes
    )


def _load_cifar(
    name: str,
    image_size: int | None,
    selection: Selection,
    root: Path,
    download: bool,
) -> ImageDataset:
    parts, classes = read_cifar(name, root, download=download)
    mean, std = _CIFAR[name]
    transform = Transform(image_size or 32, mean=mean, std=std)
    splits = []
    limits = (selection.limit, selection.limit_test)
    for (side, (pixels, labels)), limit in zip(parts.items(), limits, strict=True):
        kept = choose(labels, limit, selection.seed)
        names = tuple(f"{name} {side} {i}" for i in kept.tolist())
        images = InMemory(_resized(pixels[kept], transform))
        called = f"{name}'s {'training' if side == 'train' else side} split"
        splits.append(Split(labels[kept], names, images, transform, name=called))
    augmentation = Augmentation(padding=transform.image_size // 8)
    return ImageDataset(name, classes, splits[0], splits[1], transform, augmentation)


def _resized(pixels: Tensor, transform: Transform) -> Tensor:
    if pixels.shape[-1] == transform.image_size:
        return pixels
    return torch.stack([transform.pixels(image) for image in pixels])
