"""The image files that a user means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from filterscope.data.decode import EXTENSIONS


def image_files(paths: Sequence[Path]) -> Iterator[Path]:
    """Find images: files as they are, folders with everything below them, sorted.

    Args:
        paths: Files and folders.

    Yields:
        Files; one that is named is not looked into.

    Raises:
        FileNotFoundError: A path that does not exist, or a folder without an image.
    """
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; expected an image or a folder of them")
        if path.is_file():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not found:
            raise FileNotFoundError(f"{path} holds no image ({', '.join(EXTENSIONS)})")
        yield from found
