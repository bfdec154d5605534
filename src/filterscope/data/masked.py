"""Images beside their object masks, in folders or zip files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filterscope.data.decode import UnreadableImageError
from filterscope.data.folders import TEST_NAMES, Found, Store

EXPECTED_MASKED = (
    "expected images/ and masks/ with files of the same stem (images/CLASS/x.jpg and "
    "masks/CLASS/x.png, or without class folders for a single class), or train/ and test/ with "
    "both in each"
)
CLASSES_FILE = "classes.txt"


@dataclass(frozen=True)
class FoundMasked:
    """Images with masks, by split.

    Attributes:
        train: Training images.
        test: Test images, where the layout has them.
        order: Classes in the order of ``classes.txt``; None without that file.
        lonely: Number of masks without an image.
    """

    train: Found
    test: Found | None
    order: tuple[str, ...] | None
    lonely: int


def find_masked(path: Path) -> FoundMasked:
    """Find images and their masks by the layout.

    Args:
        path: Folder or zip file with ``images`` and ``masks``, or with ``train`` and ``test``
            that have both. ``classes.txt`` beside them, one name a line, gives an order of
            classes that differs from the alphabetical one.

    Returns:
        What was found. An image without a mask is in it, without a mask's name.

    Raises:
        FileNotFoundError: Nothing there.
        ValueError: Another layout, files in and beside class folders, or two files that claim
            one stem.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {EXPECTED_MASKED}")
    store, name = Store(path), path.resolve().stem if path.is_file() else path.resolve().name
    folders = _by_lower_name(store)
    while len(folders) == 1 and not folders.keys() & {"images", "masks", "train"}:
        store = store.below(next(iter(folders.values())))  # as archives often have it
        folders = _by_lower_name(store)
    if "images" not in folders and "train" in folders:
        test_name = next((known for known in TEST_NAMES if known in folders), None)
        train, lonely = _paired(store.below(folders["train"]), name)
        if test_name is None:
            return FoundMasked(train, None, _order(store), lonely)
        test, more = _paired(store.below(folders[test_name]), name)
        return FoundMasked(train, test, _order(store), lonely + more)
    train, lonely = _paired(store, name)
    return FoundMasked(train, None, _order(store), lonely)


def _by_lower_name(store: Store) -> dict[str, str]:
    return {name.lower(): name for name in store.folders()}


def _paired(store: Store, name: str) -> tuple[Found, int]:
    """Pair the images of a store with its masks; also the number of masks left over.

    Args:
        store: Holds ``images`` and ``masks``.
        name: The class of images without class folders.
    """
    folders = _by_lower_name(store)
    if not {"images", "masks"} <= folders.keys():
        found = ", ".join(sorted(folders.values())[:6]) or "no folder"
        raise ValueError(f"{store} holds {found}; {EXPECTED_MASKED}")
    images = _by_stem(store, folders["images"])
    masks = _by_stem(store, folders["masks"])
    if not images:
        raise ValueError(f"{store}/{folders['images']} holds no image; {EXPECTED_MASKED}")
    classes = {stem.split("/")[0] if "/" in stem else "" for stem in images}
    if "" in classes and len(classes) > 1:
        raise ValueError(
            f"{store}/{folders['images']} holds images in class folders and beside them; "
            f"{EXPECTED_MASKED}"
        )
    empty = sorted(set(store.below(folders["images"]).folders()) - classes)
    if empty:
        raise ValueError(f"{store}: class folder {empty[0]!r} holds no image")
    if {known.lower() for known in classes} <= {"train", *TEST_NAMES}:
        raise ValueError(
            f"{store}/{folders['images']} is divided into {', '.join(sorted(classes))}; "
            f"{EXPECTED_MASKED}"
        )
    found_images = Found(
        store,
        tuple(images.values()),
        tuple(stem.split("/")[0] if "/" in stem else name for stem in images),
        tuple(masks.get(stem) for stem in images),
    )
    return found_images, len(masks.keys() - images.keys())


def _by_stem(store: Store, folder: str) -> dict[str, str]:
    """Files below a folder of a store, by their path in it without the ending."""
    files: dict[str, str] = {}
    for name in store.below(folder).names():
        stem = PurePosixPath(name).with_suffix("").as_posix()
        if stem in files:
            raise ValueError(f"{store}: {files[stem]} and {folder}/{name} have the same stem")
        files[stem] = f"{folder}/{name}"
    return files


def _order(store: Store) -> tuple[str, ...] | None:
    """Read the order of the classes."""
    try:
        text = store(CLASSES_FILE).decode("utf-8")
    except FileNotFoundError:
        return None
    except (UnicodeDecodeError, UnreadableImageError) as error:
        raise ValueError(f"{store}/{CLASSES_FILE} is not readable: {error}") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{store}/{CLASSES_FILE} must name each class once, one a line")
    return names
