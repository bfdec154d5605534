"""MATLAB's files, read as arrays within bounds."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from filterscope.core.mat_layout import Layout, LayoutError

MEMORY_LIMIT = 2**31
"""Bytes that a file may unpack to; the largest networks of MatConvNet take a third of it."""

_HEADER = 128
_COMPRESSED = 15
_ORDERS = {b"IM": "<", b"MI": ">"}


def read_mat(
    file: str | Path, names: Sequence[str] | None = None, *, limit: int = MEMORY_LIMIT
) -> dict[str, Any]:
    """Read variables of a ``.mat`` file; nothing in it is run.

    Args:
        file: Of MATLAB's versions 5 to 7.
        names: The variables; None reads all.
        limit: Bytes that the file may unpack to.

    Returns:
        Arrays by name, structs as structured arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, something else, version 7.3, or more than `limit` bytes.

    Examples:
        >>> import tempfile, scipy.io
        >>> file = Path(tempfile.mkdtemp()) / "a.mat"
        >>> scipy.io.savemat(file, {"x": [1, 2]})
        >>> read_mat(file)["x"]
        array([[1, 2]])
    """
    from scipy.io import loadmat

    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        _check_layout(file, limit)
        content: dict[str, Any] = loadmat(str(file), variable_names=names)
    except Exception as error:  # scipy's reader raises anything on damaged files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} is not readable as a MATLAB file: {reason}") from error
    return content


def _check_layout(file: Path, limit: int) -> None:
    """Look through a file before SciPy does: it believes what the file says of its sizes."""
    with file.open("rb") as source:
        head = source.read(_HEADER)
        version, order = head[124:126], _ORDERS.get(head[126:128])
        if order is not None and version[order == "<"] == 2:
            raise LayoutError("it is of version 7.3; save it again with: save(..., '-v7')")
        if order is None or version[order == "<"] != 1 or 0 in head[:4]:
            raise LayoutError("it does not begin as one of version 5 to 7")
        left = limit
        for variable in _variables(source, order, limit):
            left -= len(variable)
            if left < 0:
                raise LayoutError(f"it unpacks to more than {limit / 2**20:.0f} MiB")
            Layout(variable, order).check()


def _variables(source: IO[bytes], order: str, limit: int) -> Iterator[bytes]:
    """Each variable, unpacked."""
    size = os.fstat(source.fileno()).st_size
    while tag := source.read(8):
        kind, count = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, size)
        if source.tell() + count > size:
            raise LayoutError("it is cut off")
        content = source.read(count)
        yield _unpacked(content, limit) if kind == _COMPRESSED else tag + content


def _unpacked(content: bytes, limit: int) -> bytes:
    """Unpack a variable, one byte over the limit at most."""
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(content, limit + 1)
    if not unpacker.eof and len(found) <= limit:
        raise LayoutError("a packed variable is cut off")
    return found
