"""Objects with landmarks in the official layouts of PASCAL-Part, CUB-200-2011 and ILSVRC parts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.core.mat_files import read_mat
from filterscope.data.decode import EXTENSIONS
from filterscope.data.part_folders import NEGATIVES
from filterscope.data.voc_parts import VOC_ANIMALS, Mask, read_objects
from filterscope.data.voc_source import find_voc, read_list

MIN_AREA = 50**2
"""Smallest area of an object's box, in pixels: the authors'."""

NUM_NEGATIVES = 1000
VOC_PARTS = ("head", "neck", "torso")
CUB_PARTS = {1: "back", 6: "forehead", 14: "tail"}
ILSVRC_PARTS = {1: "head", 2: "legs"}

EXPECTED_CUB = (
    "expected CUB_200_2011 with images.txt, train_test_split.txt, bounding_boxes.txt, "
    "parts/part_locs.txt and images/ (from CUB_200_2011.tgz, "
    "https://www.vision.caltech.edu/datasets/cub_200_2011), and a folder neg with photographs "
    "without birds (data/neg of https://github.com/zqs1022/interpretableCNN)"
)
EXPECTED_ILSVRC = (
    "expected detanimalpart with nXXXXXXXX_obj/img/data.mat and nXXXXXXXX_obj/img/img/*.jpg "
    "(https://github.com/zqs1022/detanimalpart), and "
    "data_input_DET-2015-subset-ILSVRC2013train/nXXXXXXXX/truth_part01.mat (code/data_input of "
    "https://github.com/zqs1022/interpretableCNN)"
)
_TRUTH = "data_input_DET-2015-subset-ILSVRC2013train"

Box = tuple[int, int, int, int]
Place = tuple[str, float, float]


@dataclass(frozen=True)
class PartObject:
    """An object of a photograph.

    Attributes:
        category: What it is.
        name: Of its picture, without an ending.
        photograph: The file.
        box: Left, top, right and bottom (the last two exclusive) in the photograph.
        landmarks: Part, x and y from the photograph's top left corner, in its pixels.
        side: "train" or "test" where the layout says so, else "".
    """

    category: str
    name: str
    photograph: Path
    box: Box
    landmarks: tuple[tuple[str, float, float], ...]
    side: str = ""


@dataclass(frozen=True)
class Negative:
    """A photograph without any of the categories.

    Attributes:
        photograph: The file.
        side: As that of `PartObject`.
    """

    photograph: Path
    side: str = ""


@dataclass(frozen=True)
class Broken:
    """A file that cannot be read.

    Attributes:
        file: The file.
        reason: Why.
    """

    file: Path
    reason: str


Entry = PartObject | Negative | Broken


def read_voc_objects(source: Path) -> Iterator[Entry]:
    """Read the six animals of PASCAL VOC 2010 with head, neck and torso from PASCAL-Part.

    The box is that of the object's mask, a landmark the middle of the box of its part's mask.
    Negatives are those of a folder ``neg``, else 1,000 photographs without any of the six, drawn
    by Python's ``random.sample`` with seed 0.

    Args:
        source: As `find_voc` takes it.

    Raises:
        FileNotFoundError: Something is missing.

    Source: Zhang et al., CVPR 2018, section 5; Chen et al., CVPR 2014 (PASCAL-Part).
    """
    voc = find_voc(source)
    groups = {animal: {part: (part,) for part in VOC_PARTS} for animal in VOC_ANIMALS}
    without: list[Path] = []
    for photograph in sorted(read_list(voc.list)):
        annotation = voc.annotations / f"{photograph}.mat"
        file = voc.images / f"{photograph}.jpg"
        try:
            objects = read_objects(annotation, groups)
        except (ValueError, OSError) as error:
            yield Broken(annotation, _reason(error).removeprefix(f"{annotation} is "))
            continue
        if not objects:
            without.append(file)
        for found in objects:
            if found.mask.any():
                places = [
                    (part, *_middle(mask)) for part, mask in found.parts.items() if mask.any()
                ]
                name = f"{photograph}_{found.index}"
                yield PartObject(found.kind, name, file, _box(found.mask), tuple(places))
    own = list(_own_negatives(source))
    if not own:
        drawn = random.Random(0).sample(without, min(NUM_NEGATIVES, len(without)))
        own = [Negative(file) for file in sorted(drawn)]
    yield from own


def _box(mask: Mask) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _middle(mask: Mask) -> tuple[float, float]:
    left, top, right, bottom = _box(mask)
    return (left + right) / 2, (top + bottom) / 2


def _own_negatives(source: Path) -> Iterator[Negative]:
    """Photographs of a folder ``neg`` or ``data/neg``."""
    folders = [source / NEGATIVES, source / "data" / NEGATIVES]
    folder = next((place for place in folders if place.is_dir()), None)
    if folder is not None:
        files = (file for file in folder.rglob("*") if file.suffix.lower() in EXTENSIONS)
        yield from (Negative(file) for file in sorted(files))


def read_cub_objects(source: Path) -> Iterator[Entry]:
    """Read CUB-200-2011 as one category, "bird", in its official split, with three landmarks.

    Landmarks are back, forehead (for the head) and tail; what is marked as not visible is missing.
    The first half of the negatives is for training.

    Args:
        source: ``CUB_200_2011``, or the folder that holds it; with ``neg``.

    Raises:
        FileNotFoundError: Something is missing.
        ValueError: A list that does not fit the others.

    Source: Wah et al., CUB-200-2011; Zhang et al., CVPR 2018, the authors' code.
    """
    root = source / "CUB_200_2011" if (source / "CUB_200_2011").is_dir() else source
    lists = ("images.txt", "train_test_split.txt", "bounding_boxes.txt", "parts/part_locs.txt")
    absent = [name for name in lists if not (root / name).is_file()]
    if absent:
        raise FileNotFoundError(f"{root} has no {absent[0]}; {EXPECTED_CUB}")
    try:
        images, side, box, landmarks = _cub_lists(root, lists)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"a list of {root} is damaged: {_reason(error)}") from error
    unknown = [image for image, _ in images if image not in side or image not in box]
    if unknown:
        raise ValueError(f"{root}: image {unknown[0]} has no split or no box")
    for image, file in images:
        yield PartObject(
            "bird",
            Path(file).stem,
            root / "images" / file,
            box[image],
            tuple(landmarks.get(image, ())),
            side[image],
        )
    negatives = list(_own_negatives(source)) or list(_own_negatives(root))
    for number, negative in enumerate(negatives):
        first = number < (len(negatives) + 1) // 2
        yield Negative(negative.photograph, "train" if first else "test")


def _cub_lists(
    root: Path, lists: tuple[str, ...]
) -> tuple[list[list[str]], dict[str, str], dict[str, Box], dict[str, list[Place]]]:
    """Images with their files, and by image the side, the box and the landmarks."""
    images, splits, boxes, places = (_table(root / name) for name in lists)
    landmarks: dict[str, list[Place]] = {}
    for image, part, x, y, visible in places:
        if int(part) in CUB_PARTS and int(visible):
            landmarks.setdefault(image, []).append((CUB_PARTS[int(part)], float(x), float(y)))
    side = {image: "train" if int(flag) else "test" for image, flag in splits}
    box: dict[str, Box] = {}
    for image, *numbers in boxes:
        left, top, width, height = (float(number) for number in numbers)
        box[image] = round(left), round(top), round(left + width), round(top + height)
    return [[image, file] for image, file in images], side, box, landmarks


def _table(file: Path) -> list[list[str]]:
    """Rows of a list, all with as many entries as the first."""
    rows = [line.split() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError(f"{file} is damaged: its lines differ in their number of entries")
    return rows


def read_ilsvrc_objects(source: Path) -> Iterator[Entry]:
    """Read the animal parts of ILSVRC 2013: thirty categories, head and front legs.

    Args:
        source: Folder with ``detanimalpart`` (or its content), with the authors' part truth,
            ``data_input_DET-2015-subset-ILSVRC2013train``, and with ``neg``.

    Raises:
        FileNotFoundError: Something is missing.

    Source: Zhang et al., CVPR 2018, the authors' code.
    """
    roots = [source / "detanimalpart", source / "data" / "detanimalpart", source]
    root = next((place for place in roots if list(place.glob("n*_obj"))), None)
    truths = [source / _TRUTH, source / "data_input" / _TRUTH, source / "code/data_input" / _TRUTH]
    truth = next((place for place in truths if place.is_dir()), None)
    if root is None or truth is None:
        lacking = "detanimalpart" if root is None else _TRUTH
        raise FileNotFoundError(f"{source} has no {lacking}; {EXPECTED_ILSVRC}")
    for folder in sorted(root.glob("n*_obj")):
        category = folder.name.removesuffix("_obj")
        try:
            yield from _ilsvrc_category(folder / "img", truth / category, category)
        except (ValueError, OSError, LookupError, TypeError, OverflowError) as error:
            yield Broken(folder / "img" / "data.mat", _reason(error))
    yield from _own_negatives(source)


def _ilsvrc_category(images: Path, truth: Path, category: str) -> list[Entry]:
    samples = _structs(images / "data.mat", "samples")
    centres = {
        part: _structs(truth / f"truth_part{number:02d}.mat", "truth")
        for number, part in ILSVRC_PARTS.items()
        if (truth / f"truth_part{number:02d}.mat").is_file()
    }
    if not centres:
        raise FileNotFoundError(f"{truth} has no truth_part01.mat")
    entries: list[Entry] = []
    for index, sample in enumerate(samples):
        frame = sample["obj"].flat[0]["bndbox"].flat[0]
        left, top, right, bottom = (
            round(float(np.asarray(frame[name]).flat[0]))
            for name in ("xmin", "ymin", "xmax", "ymax")
        )
        left, top = max(0, left - 1), max(0, top - 1)  # MATLAB counts from 1
        places = [
            (part, left + x * (right - left), top + y * (bottom - top))
            for part, rows in centres.items()
            if index < len(rows)
            for x, y in _centres(rows[index])
        ]
        file = images / "img" / f"{index + 1:05d}.jpg"
        entries.append(
            PartObject(category, file.stem, file, (left, top, right, bottom), tuple(places))
        )
    return entries


def _centres(row: Any) -> list[tuple[float, float]]:
    """Centres of a part, each as shares of the box's width and height."""
    values = np.asarray(row["pHW_center"], dtype=np.float64)
    if not values.size:
        return []
    rows, columns = values.reshape(2, -1)  # row and column, one instance a column
    return [(float(x) / 224, float(y) / 224) for y, x in zip(rows, columns, strict=True)]


def _structs(file: Path, name: str) -> list[Any]:
    """The structs of an array in a MATLAB file."""
    content = read_mat(file, [name])
    if name not in content:
        raise ValueError(f"{file} holds no struct array {name}")
    return list(np.asarray(content[name]).ravel())


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
