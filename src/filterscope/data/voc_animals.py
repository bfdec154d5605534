"""The data set voc-animals: what `prepare_voc_animals` made, or the authors' own crops."""

from __future__ import annotations

import re
from pathlib import Path

from filterscope.core.files import read_json
from filterscope.data.assembly import Selection, assemble
from filterscope.data.augmentation import Augmentation
from filterscope.data.folders import Found, Store
from filterscope.data.loading import MEMORY_LIMIT, number_classes
from filterscope.data.masked import find_masked
from filterscope.data.split import ImageDataset
from filterscope.data.transform import Transform
from filterscope.data.voc import MANIFEST
from filterscope.data.voc_parts import VOC_ANIMALS

SIZE = 128

_Sides = tuple[Found, Found, tuple[str, ...]]


def load_voc_animals(path: Path, image_size: int | None, selection: Selection) -> ImageDataset:
    """Load the six animals of PASCAL VOC with their object masks.

    Pictures are not scaled at their own size, only normalised by ImageNet's statistics; in
    training they are padded with black by an eighth of their side (16 of 128 pixels), cut back at
    a random place and mirrored at random. Classes come in the order of `VOC_ANIMALS`.

    Args:
        path: What `prepare_voc_animals` wrote; or the authors' preprocessed data, with
            ``processed/128x128/obj_img/CLASS-N-ID.jpg``, ``obj_mask/CLASS-N-ID.mask.bmp`` beside
            it, and the photographs of either split in ``processed/metadata/train.txt`` and
            ``val.txt``.
        image_size: Side in pixels; 128 by default.
        selection: Which images.

    Raises:
        FileNotFoundError: Nothing there; with the command that makes it.
        ValueError: A preparation that is not finished, or another layout.

    Source: Liang et al., ECCV 2020, section 4.1 and the authors' script.
    """
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} does not exist; make it of PASCAL VOC 2010 and PASCAL-Part with: "
            f"filterscope prepare voc-animals SOURCE {path}"
        )
    transform = Transform(image_size or SIZE)
    official = _official_root(path)
    found = _prepared(path) if official is None else _official(official, transform.image_size)
    *sides, notes = found
    classes, train, test = number_classes(sides[0], sides[1], order=VOC_ANIMALS)
    train, test = selection.divide(train, test)
    count = max(len(train.names), len(test.names))
    return assemble(
        "voc-animals",
        classes,
        (train, test),
        transform,
        Augmentation(padding=transform.image_size // 8, scale=None),
        selection,
        in_memory=count * 3 * transform.image_size**2 <= MEMORY_LIMIT,
        notes=notes,
    )


def _prepared(path: Path) -> _Sides:
    """Find what `prepare_voc_animals` wrote."""
    manifest = path / MANIFEST
    if manifest.is_file():
        about = read_json(manifest)
        if not isinstance(about, dict) or not about.get("complete"):
            raise ValueError(
                f"the preparation of {path} was interrupted; finish it with: filterscope prepare "
                f"voc-animals SOURCE {path}"
            )
    found = find_masked(path)
    if found.test is None:
        raise ValueError(f"{path} has no folder val beside train")
    notes = (f"{found.lonely} object masks have no image",) if found.lonely else ()
    return found.train, found.test, notes


def _official_root(path: Path) -> Path | None:
    """The folder with ``metadata`` of the authors' preprocessed data, where it is that."""
    roots = [path / "processed", path / "preprocessed_VOC_Part" / "processed", path]
    return next((root for root in roots if (root / "metadata" / "train.txt").is_file()), None)


def _official(root: Path, image_size: int) -> _Sides:
    """Find the pictures of the authors' layout; those of the wanted size, else the largest."""
    sizes = sorted(
        int(folder.name.split("x")[0])
        for folder in root.iterdir()
        if re.fullmatch(r"(\d+)x\1", folder.name) and (folder / "obj_img").is_dir()
    )
    if not sizes:
        raise ValueError(f"{root} holds no folder such as 128x128/obj_img")
    size = image_size if image_size in sizes else sizes[-1]
    store = Store(root / f"{size}x{size}")
    masks = set(store.below("obj_mask").names()) if "obj_mask" in store.folders() else set()
    pictures: dict[str, tuple[str, str]] = {}
    for name in store.below("obj_img").names():
        match = re.fullmatch(r"([a-z]+)-\d+-(.+)\.jpg", name)
        if match is None or match[1] not in VOC_ANIMALS:
            raise ValueError(f"{store}/obj_img/{name} is not named CLASS-NUMBER-PHOTOGRAPH.jpg")
        pictures[name] = (match[1], match[2])
    listed = {
        split: set((root / "metadata" / f"{split}.txt").read_text(encoding="utf-8").split())
        for split in ("train", "val")
    }
    sides = [
        Found(
            store,
            tuple(f"obj_img/{name}" for name in names),
            tuple(pictures[name][0] for name in names),
            tuple(_official_mask(name, masks) for name in names),
        )
        for split in ("train", "val")
        for names in [[n for n, (_, photo) in pictures.items() if photo in listed[split]]]
    ]
    both = listed["train"] | listed["val"]
    if listed["train"] & listed["val"]:
        raise ValueError(f"{root}/metadata lists photographs as both train and val")
    others = sum(photo not in both for _, photo in pictures.values())
    notes = (f"{others} pictures are of photographs in neither split",) if others else ()
    return sides[0], sides[1], notes


def _official_mask(name: str, masks: set[str]) -> str | None:
    mask = name.removesuffix(".jpg") + ".mask.bmp"
    return f"obj_mask/{mask}" if mask in masks else None
