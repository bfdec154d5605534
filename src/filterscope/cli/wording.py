"""What a flag takes, in words, where jsonargparse would tell it in types."""

from __future__ import annotations

import re
from types import NoneType
from typing import Any, get_args, get_origin

from filterscope.core.choices import literal_words

_ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}
_SEVERAL = {int: "whole numbers", float: "numbers", str: "words"}
_REFUSED = re.compile(
    r'Parser key "(?P<name>\w+)":.*\b(?:Got|Given) value: (?P<value>.*)', re.DOTALL
)


def refused_value(message: str) -> tuple[str, str] | None:
    """Name of the setting and the value that jsonargparse refuses in a message; None for others.

    Examples:
        >>> refused_value('Parser key "lr": Expected a float. Got value: abc')
        ('lr', 'abc')
    """
    found = _REFUSED.search(message)
    return None if found is None else (found["name"], found["value"].strip())


def wanted(hint: Any) -> str:
    """What a type allows, in words.

    Examples:
        >>> wanted(float), wanted(tuple[int, int] | None), wanted(tuple[str, ...])
        ('a number', '2 whole numbers', 'words')
    """
    words = literal_words(hint)
    if words:
        return f"one of {', '.join(words)}"
    if hint in _ONE:
        return _ONE[hint]
    inner = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) in (tuple, list):
        count = "" if Ellipsis in inner or get_origin(hint) is list else f"{len(inner)} "
        return f"{count}{_SEVERAL.get(inner[0], 'values')}"
    return " or ".join(wanted(part) for part in inner) or "something else"
