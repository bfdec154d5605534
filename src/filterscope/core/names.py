"""Unknown names answered with the near ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> ValueError:
    """Build the error for a name that is not known, with the nearest known ones.

    Args:
        kind: What the name should have been, as in ``"model"``.
        name: What came.
        known: Every name that would have been accepted.
        hint: Where the whole list can be read, as in ``"filterscope list models"``.

    Returns:
        A `ValueError` for the caller to raise.

    Examples:
        >>> unknown_name("model", "resnet81", ["resnet18", "vgg16"])
        ValueError("unknown model 'resnet81'; near: resnet18")
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    message = f"unknown {kind} {name!r}"
    if near:
        message += "; near: " + ", ".join(near)
    elif 0 < len(known) <= 12:
        message += "; known: " + ", ".join(known)
    if hint:
        message += f" (all: {hint})"
    return ValueError(message)
