"""Settings that are one of a few words, or a number."""

from __future__ import annotations

from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints


def literal_words(hint: Any) -> tuple[str, ...]:
    """The words that a type allows, also as items or where None is allowed; else none.

    Examples:
        >>> literal_words(Literal["rows", "columns"] | None), literal_words(int)
        (('rows', 'columns'), ())
    """
    inner = get_args(hint)
    if get_origin(hint) is Literal:
        return tuple(str(word) for word in inner)
    return tuple(word for part in inner for word in literal_words(part))


def refuse_other_words(settings: object) -> None:
    """Refuse a dataclass with a word that its type does not allow.

    Type checkers and the command line find such words; from a notebook they would pass, and a
    misspelt schedule would silently be another one.

    Args:
        settings: Its fields of a `Literal` type are looked at, with None where that is allowed.

    Raises:
        ValueError: Another word; the message names the setting.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Drawing:
        ...     side: Literal["left", "right"] = "left"
        >>> refuse_other_words(Drawing("right"))
        >>> refuse_other_words(Drawing("up"))
        Traceback (most recent call last):
        ValueError: `side` must be one of left, right, got 'up'
    """
    for name, words, may_be_none in _choices(type(settings)):
        value = getattr(settings, name)
        if value not in words and not (value is None and may_be_none):
            raise ValueError(f"`{name}` must be one of {', '.join(words)}, got {value!r}")


def _choices(kind: type) -> tuple[tuple[str, tuple[str, ...], bool], ...]:
    """Name, words, and whether None is allowed, of each field that is one of a few words."""
    hints = get_type_hints(kind).items()
    found = ((name, literal_words(hint), type(None) in get_args(hint)) for name, hint in hints)
    return tuple(choice for choice in found if choice[1])


def refuse_other_numbers(settings: object) -> None:
    """Refuse a dataclass with something else where its type wants a number.

    Args:
        settings: Its fields of type int or float are looked at, with None where that is allowed.

    Raises:
        ValueError: No number, or a fraction for a whole one; the message names the setting.

    Examples:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Drawing:
        ...     side: int | None = None
        >>> refuse_other_numbers(Drawing(8))
        >>> refuse_other_numbers(Drawing(8.5))
        Traceback (most recent call last):
        ValueError: `side` must be a whole number, got 8.5
    """
    for name, hint in get_type_hints(type(settings)).items():
        kinds = set(get_args(hint)) if get_origin(hint) is UnionType else {hint}
        if not {int, float} & kinds or kinds - {int, float, NoneType}:
            continue
        value, wanted = getattr(settings, name), Real if float in kinds else Integral
        if value is None and NoneType in kinds:
            continue
        if isinstance(value, bool) or not isinstance(value, wanted):
            words = "a number" if wanted is Real else "a whole number"
            raise ValueError(f"`{name}` must be {words}, got {value!r}")
