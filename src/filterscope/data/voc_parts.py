"""The annotations of PASCAL-Part: objects, their masks, and the masks of their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filterscope.core.mat_files import read_mat

VOC_ANIMALS = ("bird", "cat", "dog", "cow", "horse", "sheep")
"""The six animals in the order of their labels, which is not the alphabet's."""

Mask = NDArray[np.bool_]

_ANNOTATION_LIMIT = 2**28  # bytes of all masks of a photograph; they take a few millions

_HOOFED_LIMBS = {
    "FLIMB": ("lflleg", "lfuleg", "rflleg", "rfuleg"),
    "BLIMB": ("lblleg", "lbuleg", "rblleg", "rbuleg"),
}
_PAWED = {
    "TORSO": ("torso", "neck"),
    "FLIMB": ("lfleg", "rfleg", "lfpa", "rfpa"),
    "BLIMB": ("lbleg", "rbleg", "lbpa", "rbpa"),
    "TAIL": ("tail",),
}
_FACE = ("head", "leye", "reye", "lear", "rear")

PART_GROUPS: dict[str, dict[str, tuple[str, ...]]] = {
    "bird": {
        "HEAD": ("head", "leye", "reye", "beak"),
        "TORSO": ("torso", "neck", "lwing", "rwing"),
        "BLIMB": ("lleg", "rleg", "lfoot", "rfoot"),
        "TAIL": ("tail",),
    },
    "cat": {"HEAD": (*_FACE, "nose"), **_PAWED},
    "dog": {"HEAD": (*_FACE, "nose", "muzzle"), **_PAWED},
    "cow": {
        "HEAD": (*_FACE, "muzzle", "lhorn", "rhorn"),
        "TORSO": ("torso", "neck"),
        **_HOOFED_LIMBS,
    },
    "horse": {
        "HEAD": (*_FACE, "muzzle"),
        "TORSO": ("torso", "neck"),
        "FLIMB": (*_HOOFED_LIMBS["FLIMB"], "lfho", "rfho"),
        "BLIMB": (*_HOOFED_LIMBS["BLIMB"], "lbho", "rbho"),
    },
    "sheep": {
        "HEAD": (*_FACE, "muzzle", "lhorn", "rhorn"),
        "TORSO": ("torso", "neck"),
        **_HOOFED_LIMBS,
    },
}
"""Fine parts of PASCAL-Part that are merged into one, by animal; tails of hoofed animals have no
group, and a bird's wings belong to its torso."""


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of an image.

    Attributes:
        index: Its place among all objects of the image, from 0.
        kind: Its class.
        mask: (H, W) bool, in the pixels of the image.
        parts: (H, W) bool for each group, usually of `PART_GROUPS`, that is annotated.
    """

    index: int
    kind: str
    mask: Mask
    parts: dict[str, Mask]


Groups = Mapping[str, Mapping[str, tuple[str, ...]]]


def read_objects(path: Path, groups: Groups = PART_GROUPS) -> list[AnnotatedObject]:
    """Read the animals in a file of PASCAL-Part.

    Args:
        path: A file of ``Annotations_Part``: the struct ``anno`` with ``objects``, each with
            ``class``, ``mask`` and ``parts``, each with ``part_name`` and ``mask``.
        groups: Classes that are read, and which fine parts make which part of each.

    Returns:
        The objects of these classes, in the order of the file. None is left out for its size,
        or because it is truncated, occluded or difficult.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or has another structure.

    Source: Chen et al., CVPR 2014 (PASCAL-Part); the groups are those of the authors' script of
        Liang et al., ECCV 2020.
    """
    content = read_mat(path, ["anno"], limit=_ANNOTATION_LIMIT)
    try:
        entries = np.atleast_1d(content["anno"]).flat[0]["objects"].ravel()
        return [
            _object(index, kind, entry, groups[kind])
            for index, entry in enumerate(entries)
            if (kind := _text(entry["class"])) in groups
        ]
    except Exception as error:  # whatever else the file holds, it is not what is expected
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"{path} is not readable as an annotation of PASCAL-Part: {reason}"
        ) from error


def _object(
    index: int, kind: str, entry: Any, merged_parts: Mapping[str, tuple[str, ...]]
) -> AnnotatedObject:
    mask = _mask(entry["mask"])
    groups = {part: group for group, parts in merged_parts.items() for part in parts}
    merged: dict[str, Mask] = {}
    for part in entry["parts"].ravel():
        group = groups.get(_text(part["part_name"]))
        if group is None:
            continue
        part_mask = _mask(part["mask"])
        if part_mask.shape != mask.shape:
            raise ValueError(
                f"a part's mask is {part_mask.shape}, the mask of its object {mask.shape}"
            )
        merged[group] = merged[group] | part_mask if group in merged else part_mask
    return AnnotatedObject(index, kind, mask, merged)


def _mask(values: Any) -> Mask:
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise ValueError(f"a mask of shape {array.shape} and type {array.dtype}")
    mask: Mask = array != 0
    return mask


def _text(value: Any) -> str:
    return str(np.asarray(value).ravel()[0])
