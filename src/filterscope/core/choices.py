"""Settings that are one of a few words."""

from __future__ import annotations

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
