"""What lies in a folder of data sets, told by its layout; no image is read."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filterscope.data.decode import EXTENSIONS
from filterscope.data.folders import TEST_NAMES, Store
from filterscope.data.landmarks import LANDMARKS_FILE

WEIGHTS = (".safetensors", ".pt", ".pth", ".th", ".mat")
_NAMED = {
    "cifar10": ("cifar-10-batches-py", "cifar-10-batches-bin"),
    "cifar100": ("cifar-100-python", "cifar-100-binary"),
    "imagenet": ("imagenet",),
    "voc-animals": ("voc-animals",),
}
_PICTURES = Path("super_resolution", "Set5", "x3")  # what `filterscope study --data set5` takes
_SHOWN = 6


@dataclass(frozen=True)
class FoundData:
    """A folder of data.

    Attributes:
        name: Of the folder.
        what: What it holds.
        use: The words that choose it, as ``--data part-folder:birds``; None: nothing reads it.
        good_for: What can be done with it.
    """

    name: str
    what: str
    use: str | None
    good_for: str


def find_data(root: Path) -> list[FoundData]:
    """Look at what lies in a folder of data sets.

    Args:
        root: The folder, as ``$FILTERSCOPE_DATA`` names it.

    Returns:
        An entry a folder, by name; hidden ones are left out.

    Raises:
        FileNotFoundError: No such folder.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as made:
        ...     for kind in ("cat", "dog"):
        ...         Path(made, "pets", kind).mkdir(parents=True)
        ...         Path(made, "pets", kind, "1.jpg").touch()
        ...     found = find_data(Path(made))
        >>> found[0].what, found[0].use
        ('2 classes (cat, dog)', '--data folder:pets')
    """
    if not root.is_dir():
        raise FileNotFoundError(f"`root` must be a folder of data sets, got {root}")
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    return [_recognised(path) for path in folders if not path.name.startswith(".")]


def _recognised(path: Path) -> FoundData:
    named = next((name for name, folders in _NAMED.items() if path.name in folders), None)
    if named is not None:
        return FoundData(path.name, "a data set by name", f"--data {named}", _GOOD[named])
    for look in (_parts, _masked, _set5, _weights, _classes, _pictures):
        found = look(path)
        if found is not None:
            return found
    return FoundData(path.name, "no layout that is known here", None, "")


_TRAINING = "train, evaluate, compare"
_GOOD = {
    "cifar10": f"{_TRAINING}; preset csg-cifar",
    "cifar100": _TRAINING,
    "imagenet": f"{_TRAINING}; preset csg-imagenet",
    "voc-animals": f"{_TRAINING}, localisation; presets csg-voc-paper, csg-voc-official",
}


def _parts(path: Path) -> FoundData | None:
    names = sorted({file.parent.name for file in _below(path, LANDMARKS_FILE)})
    if not names:
        return None
    what = f"landmarks of {_listed(names, 'category', 'categories')}"
    good = "train --method parts, location instability"
    if any(_is_image(file) for file in _below(path, "images/*")):
        return FoundData(path.name, what, f"--data part-folder:{path.name}", good)
    return FoundData(path.name, f"{what}, without images", None, "")


def _below(path: Path, pattern: str) -> list[Path]:
    """Files of categories, and of categories in training and test folders."""
    sides = [path, *(path / name for name in ("train", *TEST_NAMES))]
    return [file for side in sides for file in side.glob(f"*/{pattern}")]


def _masked(path: Path) -> FoundData | None:
    side = next((side for side in (path, path / "train") if (side / "masks").is_dir()), None)
    if side is None or not (side / "images").is_dir():
        return None
    names = sorted(entry.name for entry in (side / "images").iterdir() if entry.is_dir())
    what = f"images with object masks, {_listed(names or [path.name], 'class', 'classes')}"
    use = f"--data masked-folder:{path.name}"
    return FoundData(path.name, what, use, f"{_TRAINING}, localisation")


def _set5(path: Path) -> FoundData | None:
    count = len(list((path.parent / _PICTURES).glob("*_HR.png")))
    if path.name != _PICTURES.parts[0] or not count:
        return None
    return FoundData(
        path.name, f"Set5, {count} pictures", "--data set5", "study linear-fig4 to linear-fig8"
    )


def _weights(path: Path) -> FoundData | None:
    names = sorted(file.name for file in path.iterdir() if file.suffix in WEIGHTS)
    if not names:
        return None
    what = f"weights in {_listed(names, 'file', 'files')}"
    return FoundData(path.name, what, "--weights FILE", "train, interpret, explore; studies")


def _classes(path: Path) -> FoundData | None:
    """Class folders, of both sides or not, on disk or in zip files."""
    archives = [file for file in _sides(path) if file.suffix == ".zip"]
    archives = archives or sorted(path.glob("*.zip"))[:1]
    side = next((side for side in (path / "train", *archives) if side.exists()), path)
    try:
        store = Store(side)
        while len(store.folders()) == 1 and side in archives:
            store = store.below(store.folders()[0])  # as archives often have it
        names = store.folders()
    except (OSError, ValueError, zipfile.BadZipFile):
        return FoundData(path.name, f"{side.name} cannot be read as a zip file", None, "")
    if side not in archives:
        names = [name for name in names if _holds_images(side / name)]
    if not names:
        return None
    use, what = f"--data folder:{path.name}", _listed(names, "class", "classes")
    if side in archives:
        what += f" in {', '.join(file.name for file in archives)}"
        use += "" if side.stem == "train" else f"/{side.name}"
    return FoundData(path.name, what, use, _TRAINING)


def _sides(path: Path) -> list[Path]:
    """Training and test zip files, where there are training ones."""
    files = [path / f"{name}.zip" for name in ("train", *TEST_NAMES)]
    return [file for file in files if file.is_file()] if files[0].is_file() else []


def _pictures(path: Path) -> FoundData | None:
    count = sum(_is_image(file) for file in path.iterdir())
    if not count:
        return None
    what = f"{count} images, not in class folders"
    return FoundData(path.name, what, f"the path {path}", "explain, interpret, explore --image")


def _holds_images(folder: Path) -> bool:
    return any(_is_image(file) for file in folder.iterdir())


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in EXTENSIONS


def _listed(names: Sequence[str], one: str, several: str) -> str:
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {one if len(names) == 1 else several} ({shown})"
