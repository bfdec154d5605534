"""PASCAL VOC 2010 and PASCAL-Part in their official layouts, and their division."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from pathlib import Path

EXPECTED_VOC = (
    "expected VOCdevkit/VOC2010 with JPEGImages and ImageSets/Main/trainval.txt (from "
    "VOCtrainval_03-May-2010.tar, http://host.robots.ox.ac.uk/pascal/VOC/voc2010) and "
    "Annotations_Part with one .mat file a photograph (from trainval.tar.gz of PASCAL-Part, "
    "http://roozbehm.info/pascal-parts/pascal-parts.html)"
)
TRAIN_SHARE = 0.7
_LIST = "ImageSets/Main/trainval.txt"
_ARCHIVES = {"VOCtrainval_03-May-2010.tar": "-xf", "trainval.tar.gz": "-xzf"}


@dataclass(frozen=True)
class VocSource:
    """Where the official files lie.

    Attributes:
        images: ``JPEGImages``.
        annotations: ``Annotations_Part``.
        list: ``ImageSets/Main/trainval.txt``.
    """

    images: Path
    annotations: Path
    list: Path


def find_voc(source: Path) -> VocSource:
    """Find the official files.

    Args:
        source: ``VOC2010``, ``VOCdevkit``, or the folder that holds one of them.

    Raises:
        FileNotFoundError: Something is missing. The message names it, and for an archive that is
            there the command that unpacks it.
    """
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is no folder; {EXPECTED_VOC}")
    roots = [source, source / "VOC2010", source / "VOCdevkit" / "VOC2010"]
    voc = next((r for r in roots if (r / "JPEGImages").is_dir() and (r / _LIST).is_file()), None)
    if voc is None:
        raise FileNotFoundError(_missing(source, "VOC 2010", "VOCtrainval_03-May-2010.tar"))
    places = [voc, source, voc.parent, voc.parent.parent, source / "metadata"]
    found = (place / "Annotations_Part" for place in places)
    annotations = next((folder for folder in found if folder.is_dir()), None)
    if annotations is None:
        raise FileNotFoundError(_missing(source, "PASCAL-Part", "trainval.tar.gz"))
    return VocSource(voc / "JPEGImages", annotations, voc / _LIST)


def _missing(source: Path, what: str, archive: str) -> str:
    if (source / archive).is_file():
        command = f"tar {_ARCHIVES[archive]} {source / archive} -C {source}"
        return f"{what} is still packed; unpack it with: {command}"
    return f"{what} is not in {source}; {EXPECTED_VOC}"


def read_list(path: Path) -> list[str]:
    """Read the names of a list of photographs, in its order.

    Raises:
        ValueError: An empty list, a name that is no name of a file, or one that comes twice.
    """
    try:
        names = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8; expected a list of photographs") from error
    odd = [name for name in names if not re.fullmatch(r"\w[\w-]*", name)]
    if odd or not names or len(set(names)) != len(names):
        what = f"{odd[0]!r}" if odd else "names that come twice" if names else "nothing"
        raise ValueError(f"{path} holds {what}; expected one name of a photograph a line")
    return names


def divide_photographs(names: list[str], seed: int = 0) -> set[str]:
    """Choose the photographs of the training split: 70 %, as Python's ``random.sample`` draws them.

    Args:
        names: All photographs, in the order of VOC's list, on which the choice depends.
        seed: Of the generator.

    Examples:
        >>> sorted(divide_photographs(["a", "b", "c", "d"]))
        ['b', 'd']
    """
    return set(random.Random(seed).sample(names, int(len(names) * TRAIN_SHARE)))
