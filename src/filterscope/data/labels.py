"""Names of classes, and the class of an image told by its name or its folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from filterscope.core.names import unknown_name

Labels = Literal["folder", "synset", "sorted"]

_SYNSET = re.compile(r"(?<![A-Za-z0-9])n\d{8}(?!\d)")


def read_classes(file: str | Path) -> tuple[str, ...]:
    r"""Read class names from a text file, one a line in the order of the logits.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No text in UTF-8, no name, or an empty line between names.

    Examples:
        >>> import tempfile, pathlib
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "classes.txt"
        >>> _ = file.write_text("cat\ndog\n")
        >>> read_classes(file)
        ('cat', 'dog')
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist; expected a text file, one class a line")
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is no text in UTF-8; expected one class a line") from error
    names = tuple(line.strip() for line in lines)
    if not names:
        raise ValueError(f"{file} is empty; expected one class a line")
    if "" in names:
        raise ValueError(f"{file} has no class in line {names.index('') + 1}")
    return names


def imagenet_classes() -> tuple[str, ...]:
    """Names of ImageNet's 1000 classes, as torchvision's published weights carry them.

    Examples:
        >>> imagenet_classes()[:2]
        ('tench', 'goldfish')
    """
    from torchvision.models._meta import _IMAGENET_CATEGORIES

    return tuple(_IMAGENET_CATEGORIES)


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """WordNet numbers of ImageNet's 1000 classes, in the order of the classes.

    Examples:
        >>> imagenet_synsets()[0], len(imagenet_synsets())
        ('n01440764', 1000)
    """
    listed = Path(__file__).with_name("imagenet_synsets.txt").read_text(encoding="utf-8")
    return tuple(listed.split())


def label_images(files: Sequence[Path], by: Labels, classes: Sequence[str]) -> tuple[int, ...]:
    """Tell the class of each image without opening it.

    Args:
        files: The images.
        by: "folder": an image lies in a folder named after its class. "synset": a WordNet number
            such as n01440764 stands in the name of the file or of its folder, for ImageNet's 1000
            classes. "sorted": one image a class; sorted by name they have the order of the classes.
        classes: Names in the order of the logits.

    Returns:
        One class an image.

    Raises:
        ValueError: A folder that is no class or names two of them, a name without a known number,
            another number of images than classes, or an unknown `by`.

    Examples:
        >>> label_images([Path("b/1.png"), Path("a/2.png")], "folder", ["a", "b"])
        (1, 0)
    """
    if by == "folder":
        return tuple(_folder_class(file, classes) for file in files)
    if by == "synset":
        if len(classes) != 1000:
            raise ValueError(
                f"`labels` synset is for ImageNet's 1000 classes; there are {len(classes)}"
            )
        return tuple(_synset_class(file) for file in files)
    if by != "sorted":
        raise unknown_name("`labels`", by, ("folder", "synset", "sorted"))
    if len(files) != len(classes):
        raise ValueError(
            f"`labels` sorted wants one image for each of {len(classes)} classes, got {len(files)}"
        )
    order = sorted(range(len(files)), key=lambda k: (files[k].name, str(files[k])))
    places = {k: place for place, k in enumerate(order)}
    return tuple(places[k] for k in range(len(files)))


def _folder_class(file: Path, classes: Sequence[str]) -> int:
    name = file.resolve().parent.name
    found = [label for label, known in enumerate(classes) if known == name]
    if not found:
        raise unknown_name(f"class (the folder of {file})", name, classes)
    if len(found) > 1:
        raise ValueError(f"{file}: {name!r} is the name of classes {found[0]} and {found[1]}")
    return found[0]


def _synset_class(file: Path) -> int:
    synsets = imagenet_synsets()
    for name in (file.name, file.resolve().parent.name):
        match = _SYNSET.search(name)
        if match and match[0] in synsets:
            return synsets.index(match[0])
    raise ValueError(
        f"neither {file} nor its folder is named after one of ImageNet's 1000 classes, as in "
        "n01440764_tench.jpg"
    )
