"""The layout of MATLAB's files of version 5, looked through before anything is built from it.

SciPy's reader believes what such a file says of its own sizes; a damaged one can end the process.
Format: "MAT-File Format", The MathWorks; its names of classes and types are used here.
"""

from __future__ import annotations

import math
import struct

_MATRIX = 14
# Bytes of a number of each type; UTF texts count as bytes here.
_TYPES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
_INT32, _UINT32 = 5, 6
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_NUMERIC = range(6, 16)
_COMPLEX = 0x0800
_DEEPEST = 32
_MOST_DIMENSIONS = 8
_NAME_LENGTHS = range(1, 65)


class LayoutError(ValueError):
    """A file whose parts do not fit into each other."""


class Layout:
    """Looks through the elements of a file.

    Args:
        content: Variables one after the other, unpacked.
        order: "<" or ">".
    """

    def __init__(self, content: bytes | memoryview, order: str) -> None:
        self.content, self.order = memoryview(content), order

    def check(self) -> None:
        """Raise where a size, a count or a kind cannot be."""
        place = 0
        while place < len(self.content):
            place = self._matrix(place, len(self.content), 0)

    def _tag(self, place: int, end: int) -> tuple[int, int, int, int]:
        """Type, start of the data, their number of bytes, and where the next element starts."""
        if place + 8 > end:
            raise LayoutError("an element is cut off")
        first, size = struct.unpack_from(f"{self.order}II", self.content, place)
        if first >> 16:  # up to four bytes of data in the tag itself
            kind, size, start, after = first & 0xFFFF, first >> 16, place + 4, place + 8
            fits = size <= 4
        else:
            kind, start = first, place + 8
            after = start + size + (-size % 8 if kind != _MATRIX else 0)
            fits = start + size <= end
        if not fits:
            raise LayoutError("an element is larger than what holds it")
        return kind, start, size, after

    def _integers(self, place: int, end: int, kind: int) -> tuple[tuple[int, ...], int]:
        found, start, size, after = self._tag(place, end)
        if found != kind or size % 4:
            raise LayoutError("a header holds something else than whole numbers")
        letter = "i" if kind == _INT32 else "I"
        return struct.unpack_from(f"{self.order}{size // 4}{letter}", self.content, start), after

    def _text(self, place: int, end: int) -> tuple[int, int]:
        """Length of a name, and where the next element starts."""
        kind, _, size, after = self._tag(place, end)
        if _TYPES.get(kind) != 1:
            raise LayoutError("a name is no text")
        return size, after

    def _numbers(self, place: int, end: int, count: int | None) -> int:
        """Look at the numbers of an array; where the next element starts."""
        kind, _, size, after = self._tag(place, end)
        width = _TYPES.get(kind)
        if width is None or size % width or (count is not None and size != count * width):
            raise LayoutError("an array does not hold as many numbers as it says")
        return after

    def _matrix(self, place: int, end: int, depth: int) -> int:
        """Look at an array and what it holds; where the next element starts."""
        kind, start, size, after = self._tag(place, end)
        if kind != _MATRIX:
            raise LayoutError("something else stands where an array is expected")
        if depth > _DEEPEST:
            raise LayoutError(f"arrays are nested more than {_DEEPEST} deep")
        if not size:  # an empty cell
            return after
        end = start + size
        flags, place = self._integers(start, end, _UINT32)
        dimensions, place = self._integers(place, end, _INT32)
        _, place = self._text(place, end)
        if len(flags) != 2 or not 2 <= len(dimensions) <= _MOST_DIMENSIONS or min(dimensions) < 0:
            raise LayoutError("an array has an impossible shape")
        count, parts = math.prod(dimensions), 2 if flags[0] & _COMPLEX else 1
        place = self._content(flags[0] & 0xFF, place, end, (count, parts, depth))
        if depth and place != end:  # SciPy goes on where the content ends, whatever the size says
            raise LayoutError("an array is larger than what it holds")
        return after

    def _content(self, kind: int, place: int, end: int, about: tuple[int, int, int]) -> int:
        """Look at what an array holds; where that ends."""
        count, parts, depth = about
        if kind in (_CELL, _STRUCT, _OBJECT):
            fields = 1 if kind == _CELL else 0
            if kind == _OBJECT:
                _, place = self._text(place, end)
            if kind != _CELL:
                fields, place = self._fields(place, end)
            if count * fields > max(0, end - place) // 8 or (not fields and count > 1):
                raise LayoutError("an array has more entries than its bytes can hold")
            for _ in range(count * fields):
                place = self._matrix(place, end, depth + 1)
        elif kind == _SPARSE:
            for _ in range(2 + parts):
                place = self._numbers(place, end, None)
        elif kind == _CHAR or kind in _NUMERIC:
            for _ in range(parts):
                # of texts, the bytes of a letter are not fixed
                place = self._numbers(place, end, None if kind == _CHAR else count)
        else:
            raise LayoutError(f"an array of class {kind}, which is neither numbers nor text")
        return place

    def _fields(self, place: int, end: int) -> tuple[int, int]:
        """Number of a struct's fields, and where its values start."""
        length, place = self._integers(place, end, _INT32)
        size, place = self._text(place, end)
        if len(length) != 1 or length[0] not in _NAME_LENGTHS or size % length[0]:
            raise LayoutError("a struct has impossible names of fields")
        return size // length[0], place
