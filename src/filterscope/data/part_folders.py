"""Images with landmarks of their parts, in folders or zip files: what lies where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from filterscope.core.files import read_json
from filterscope.data.decode import UnreadableImageError, upright_size
from filterscope.data.folders import TEST_NAMES, Found, Store
from filterscope.data.landmarks import (
    LANDMARKS_FILE,
    Landmark,
    as_points,
    read_landmarks,
    refuse_outside,
)

Placement = Callable[[Tensor, tuple[int, int]], Tensor]

NEGATIVES = "neg"
MANIFEST = "manifest.json"
EXPECTED_PARTS = (
    "expected PATH/CATEGORY/images and PATH/CATEGORY/landmarks.csv, and PATH/neg/images with "
    "images of none of the categories; or such folders in PATH/train and PATH/test; or the folder "
    "of a single category"
)


@dataclass(frozen=True)
class FoundParts:
    """Images of categories, their landmarks and the negatives of one side.

    Attributes:
        images: Images by category, those of the negatives under `NEGATIVES`.
        points: For each image with a landmark, its (P, 2) float64, x and y in its pixels, and
            its width and height.
        part_names: The P parts of all categories, in alphabetical order.
        repeated: Parts that an image shows more than once.
        notes: What was chosen or found, in words.
    """

    images: Found
    points: dict[str, tuple[Tensor, tuple[int, int]]]
    part_names: tuple[str, ...]
    repeated: int
    notes: tuple[str, ...]


def find_parts(path: Path) -> tuple[FoundParts, FoundParts | None]:
    """Find images with landmarks by their layout.

    Args:
        path: Folder or zip file with categories, or with train and test; or the folder of one
            category, whose negatives are then in ``neg`` in it or beside it, or are the images
            of the categories beside it.

    Returns:
        The images, or those for training and those for testing. One category comes with negatives;
        several come without, because each is the others' negative.

    Raises:
        FileNotFoundError: Nothing there.
        ValueError: Another layout, an unfinished preparation, a category without positives, one
            category without negatives, or landmarks that do not fit (see `read_landmarks`).
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; {EXPECTED_PARTS}")
    path = path.resolve()
    _refuse_unfinished(path)
    store = Store(path)
    folders = {name.lower(): name for name in store.folders()}
    if "images" in folders:
        _refuse_unfinished(path.parent)
        return _single(path, store), None
    if "train" not in folders:
        return _categories(store), None
    test = next((folders[name] for name in TEST_NAMES if name in folders), None)
    if test is None:
        raise ValueError(f"{path} holds train without test; {EXPECTED_PARTS}")
    return _categories(Store(path), folders["train"]), _categories(Store(path), test)


def _refuse_unfinished(path: Path) -> None:
    manifest = path / MANIFEST
    if path.is_dir() and manifest.is_file():
        about = read_json(manifest)
        if not isinstance(about, dict) or not about.get("complete"):
            raise ValueError(
                f"the preparation of {path} was interrupted; give its command again to finish it"
            )


def _single(path: Path, store: Store) -> FoundParts:
    """One category in a folder of its own."""
    if path.is_file():  # an archive has nothing beside it
        raise ValueError(f"{path} holds the images of a category at its top; {EXPECTED_PARTS}")
    beside = Store(path.parent)
    inside = [f"{path.name}/{NEGATIVES}/{name}" for name in _names(store, NEGATIVES)]
    negatives = inside or [f"{NEGATIVES}/{name}" for name in _names(beside, NEGATIVES)]
    notes: tuple[str, ...] = ()
    if not negatives:
        others = [other for other in beside.folders() if _is_category(path.parent / other)]
        others = [other for other in others if other != path.name]
        negatives = [f"{other}/images/{n}" for other in others for n in _names(beside, other, True)]
        notes = (f"the negatives of {path.name} are the images of {', '.join(others)}",)
    return _gathered(beside, [path.name], negatives, "", notes)


def _is_category(folder: Path) -> bool:
    return (folder / LANDMARKS_FILE).is_file() and (folder / "images").is_dir()


def _categories(store: Store, side: str = "") -> FoundParts:
    """Every category of a store, or of a folder in it."""
    prefix = f"{side}/" if side else ""
    inner = store.below(side) if side else store
    names = [name for name in inner.folders() if name != NEGATIVES]
    if not names:
        raise ValueError(f"{inner} holds no category; {EXPECTED_PARTS}")
    negatives = [f"{prefix}{NEGATIVES}/{name}" for name in _names(inner, NEGATIVES)]
    if len(names) > 1:
        notes: tuple[str, ...] = ()
        if negatives:
            notes = (
                f"{len(negatives)} negatives of {inner} are left out: among several categories "
                "each is the others' negative",
            )
        return _gathered(store, names, [], prefix, notes)
    return _gathered(store, names, negatives, prefix, ())


def _names(store: Store, folder: str, images: bool = False) -> list[str]:
    """Images below a folder of a store; none where there is no such folder."""
    if folder not in store.folders():
        return []
    inner = store.below(folder)
    if images:
        return _names(inner, "images")
    return inner.names()


def _gathered(
    store: Store,
    categories: list[str],
    negatives: list[str],
    prefix: str,
    notes: tuple[str, ...],
) -> FoundParts:
    """Read the landmarks of categories and put everything together."""
    if len(categories) == 1 and not negatives:
        raise ValueError(
            f"{store} holds the single category {categories[0]!r} and no negatives; put images "
            f"without it into {store}/{prefix}{NEGATIVES}/images"
        )
    files: list[str] = []
    labels: list[str] = []
    rows: dict[str, list[Landmark]] = {}
    sources: dict[str, str] = {}
    for category in categories:
        found, landmarks, source = _category(store, f"{prefix}{category}")
        files += found
        labels += [category] * len(found)
        rows.update(landmarks)
        sources.update(dict.fromkeys(landmarks, source))
    files += negatives
    labels += [NEGATIVES] * len(negatives)
    parts = tuple(sorted({row.part for group in rows.values() for row in group}))
    points: dict[str, tuple[Tensor, tuple[int, int]]] = {}
    repeated = 0
    for name, group in rows.items():
        size = _size(store, name)
        if size is None:  # told later, with the other unreadable images
            continue
        for row in group:
            refuse_outside(row, size, sources[name])
        place, several = as_points(group, parts)
        points[name], repeated = (place, size), repeated + several
    images = Found(store, tuple(files), tuple(labels))
    return FoundParts(images, points, parts, repeated, notes)


def _category(store: Store, folder: str) -> tuple[list[str], dict[str, list[Landmark]], str]:
    """Images of a category, its landmarks by image, and what their file is called."""
    where = f"{store}/{folder}"
    found = [f"{folder}/images/{name}" for name in _names_below(store, folder)]
    if not found:
        raise ValueError(
            f"category {folder.rsplit('/', 1)[-1]!r} has no positives: {where}/images holds no "
            f"image; {EXPECTED_PARTS}"
        )
    try:
        content = store(f"{folder}/{LANDMARKS_FILE}")
    except FileNotFoundError as error:
        raise ValueError(f"{where} has no {LANDMARKS_FILE}; {EXPECTED_PARTS}") from error
    except UnreadableImageError as error:
        raise ValueError(f"{where}/{LANDMARKS_FILE} is not readable: {error}") from error
    source = f"{where}/{LANDMARKS_FILE}"
    known, landmarks = set(found), dict[str, list[Landmark]]()
    for row in read_landmarks(content, source):
        name = f"{folder}/{row.image}"
        name = name if name in known else f"{folder}/images/{row.image}"
        if name not in known:
            raise ValueError(f"{source}, line {row.line}: there is no image {row.image}")
        landmarks.setdefault(name, []).append(row)
    if not landmarks:
        raise ValueError(f"{source} holds no landmark")
    return found, landmarks, source


def _names_below(store: Store, folder: str) -> list[str]:
    for step in folder.split("/"):
        if step not in store.folders():
            return []
        store = store.below(step)
    return _names(store, "images")


def _size(store: Store, name: str) -> tuple[int, int] | None:
    try:
        return upright_size(store(name))
    except (UnreadableImageError, OSError):
        return None


def landmark_tensor(
    found: FoundParts,
    names: tuple[str, ...],
    part_names: tuple[str, ...],
    place: Placement,
) -> Tensor:
    """Landmarks of images as the network sees them.

    Args:
        found: Where they are known.
        names: The N images.
        part_names: The P parts, perhaps more than `found` knows.
        place: Moves points of an image of some width and height into the network's input.

    Returns:
        (N, P, 2) float32, NaN where a part is missing.
    """
    columns = [part_names.index(part) for part in found.part_names]
    landmarks = torch.full((len(names), len(part_names), 2), torch.nan)
    for i, name in enumerate(names):
        if name in found.points:
            points, size = found.points[name]
            landmarks[i, columns] = place(points, size).float()
    return landmarks
