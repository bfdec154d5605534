"""Records that print themselves on a few lines, however much they hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_LINE = 88  # characters; longer records take a line for each field
_ITEMS = 6  # of a sequence or a mapping, and values of a vector, that are written out
_LETTERS = 60


class Brief:
    """Base of dataclasses (with ``repr=False``) whose arrays print as their kind and shape.

    Numbers keep all their digits; of long sequences and mappings the first items are shown, with
    how many follow.

    Examples:
        >>> from dataclasses import dataclass
        >>> import torch
        >>> @dataclass(repr=False)
        ... class Map(Brief):
        ...     label: str
        ...     values: torch.Tensor
        ...     classes: list[str]
        >>> Map("cat", torch.zeros(3, 64, 64), [f"class {i}" for i in range(100)])
        Map(
          label='cat',
          values=float32 (3, 64, 64),
          classes=['class 0', 'class 1', 'class 2', ...97 more],
        )
    """

    __slots__ = ()

    def __repr__(self: DataclassInstance) -> str:
        shown = [f"{f.name}={brief(getattr(self, f.name))}" for f in fields(self) if f.repr]
        name = type(self).__qualname__
        line = f"{name}({', '.join(shown)})"
        if len(line) <= _LINE:
            return line
        return "\n".join([f"{name}(", *(f"  {one}," for one in shown), ")"])


def brief(value: Any) -> str:
    """Say what a value is, in about a line.

    Args:
        value: Anything.

    Returns:
        Its ``repr``; the kind and shape of an array; the beginning of what is long.
    """
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _array(value)
    if isinstance(value, dict):
        return _items((f"{key!r}: {brief(one)}" for key, one in value.items()), len(value), "{}")
    if isinstance(value, list | tuple):
        return _items(map(brief, value), len(value), "[]" if isinstance(value, list) else "()")
    if not isinstance(value, type) and (is_dataclass(value) or hasattr(value, "named_modules")):
        count = f"{len(value)} items" if hasattr(type(value), "__len__") else "..."
        return f"{type(value).__qualname__}({count})"
    if isinstance(value, PurePath):
        return repr(str(value))
    text = repr(value)
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}..."


def _array(value: Any) -> str:
    kind, shape = str(value.dtype).removeprefix("torch."), tuple(value.shape)
    if not shape:
        return brief(value.item())
    if len(shape) == 1 and shape[0] <= _ITEMS:
        return f"{kind} [{', '.join(map(_entry, value.tolist()))}]"
    return f"{kind} {shape}"


def _entry(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _items(shown: Iterable[str], count: int, brackets: str) -> str:
    listed = list(islice(shown, count if count <= _ITEMS else 3))
    if count > _ITEMS:
        listed.append(f"...{count - 3} more")
    elif count == 1 and brackets == "()":
        listed.append("")
    return f"{brackets[0]}{', '.join(listed)}{brackets[1]}"
