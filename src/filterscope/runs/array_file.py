"""Arrays of an npz file, read one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np


class ArrayFile(Mapping[str, np.ndarray]):
    """The arrays of an npz file by name, each read when it is asked for first, and then kept.

    An evaluation of a thousand classes holds hundreds of megabytes, of which a figure needs one
    array or two.

    Args:
        path: The file, of NumPy's `savez` or `savez_compressed`; nothing in it is unpickled.

    Raises:
        ValueError: The file is damaged; for a single array, when that one is asked for.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "arrays.npz")
        ...     np.savez(path, mi=np.eye(2), gate=np.ones((2, 3)))
        ...     arrays = ArrayFile(path)
        ...     sorted(arrays), arrays["gate"].shape
        (['gate', 'mi'], (2, 3))
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._opened() as arrays:
            self._names = tuple(arrays)
        self._kept: dict[str, np.ndarray] = {}

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._kept:
            with self._opened() as arrays:
                found = arrays[name]
                if not isinstance(found, np.ndarray):  # without the mark of an array: bytes
                    raise ValueError(f"{name} is no array")
            self._kept[name] = found
        return self._kept[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:  # the inherited one would read the array
        return name in self._names

    def __repr__(self) -> str:
        return f"ArrayFile({str(self.path)!r}, {len(self)} arrays)"

    @contextmanager
    def _opened(self) -> Iterator[Mapping[str, np.ndarray]]:
        try:
            with np.load(self.path, allow_pickle=False) as arrays:
                yield arrays
        except Exception as error:  # NumPy's and the archive's readers raise many kinds
            raise ValueError(f"{self.path} is not readable as arrays: {error}") from error
