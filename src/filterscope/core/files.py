"""Files that are old or new after a crash, never half of one."""

from __future__ import annotations

import glob
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_LEFT = ".tmp"


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name beside its target, flush it, and rename it.

    Whatever happens in between (an exception, a kill, a full disk), `path` holds either what it
    held before or the whole new content.

    A kill can leave the temporary file behind: see `remove_leftovers`.

    Args:
        path: The file to write; its folder must exist.

    Yields:
        A binary file to write into.

    Raises:
        OSError: The file cannot be written, with its name: a full disk, a folder without access.

    Examples:
        >>> import tempfile, pathlib
        >>> target = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
        >>> with atomic_write(target) as file:
        ...     _ = file.write(b"whole")
        >>> target.read_text()
        'whole'
    """
    path = Path(path)
    # named before it is made: Ctrl-C may come at any time
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{_LEFT}")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if not isinstance(error, OSError) or error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def is_leftover(path: str | Path) -> bool:
    """Whether a file is what a kill left of an unfinished `atomic_write`.

    Examples:
        >>> is_leftover("run/.last.ckpt.k3v_9x2a.tmp"), is_leftover("run/last.ckpt")
        (True, False)
    """
    name = Path(path).name
    return name.startswith(".") and name.endswith(_LEFT) and name.count(".") >= 3


def remove_leftovers(path: str | Path) -> None:
    """Delete what kills left of unfinished writes of a file; nobody may be writing it.

    Args:
        path: The file that was to be written; its folder may be missing.
    """
    path = Path(path)
    for file in path.parent.glob(f".{glob.escape(path.name)}.*{_LEFT}"):
        file.unlink(missing_ok=True)


def nearest_folder(path: str | Path) -> Path:
    """The folder, or the nearest above it that exists.

    Examples:
        >>> import tempfile
        >>> folder = Path(tempfile.gettempdir())
        >>> nearest_folder(folder / "not" / "there") == folder
        True
    """
    path = Path(path)
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def refuse_unwritable(folder: str | Path) -> None:
    """Refuse a folder that could not be made or written to, before anything is computed for it.

    Args:
        folder: It may not exist yet; nothing is left in it or made on the way to it.

    Raises:
        PermissionError: No file can be made there: permissions, a read-only or a full disk.
        NotADirectoryError: A file is where a folder is wanted.
    """
    wanted = Path(folder).absolute()
    for place in (wanted, *wanted.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(f"{place} is a file; {folder} wants a folder there")
    there = nearest_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=there):  # permissions alone do not tell of full disks
            return
    except OSError as error:
        raise PermissionError(f"{there} cannot be written to ({error.strerror})") from error


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` to `path` atomically as indented JSON; NaN and infinities become null.

    Null is what JSON readers outside Python accept; inside the library a null number is NaN.
    """
    write_text(path, json.dumps(_finite(value), indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; a damaged one raises `ValueError` with its name."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # also endless nesting and endless numbers
        raise ValueError(f"{path} is not readable as JSON: {error}") from error


def _finite(value: Any) -> Any:
    """Replace non-finite floats by None, in nested containers, and numpy scalars by Python's."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value
