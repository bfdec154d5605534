"""Packages that import their members on first use, so that a command answers at once."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazy_members(
    package: str, members: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Give a package's ``__getattr__`` and ``__dir__`` for members that live in its modules.

    Args:
        package: The package's ``__name__``.
        members: For each public name, the module that defines it; a name that maps to itself
            with its package, as ``"pkg.maps"``, is the submodule.

    Returns:
        The two module-level functions.
    """

    def getattribute(name: str) -> Any:
        if name not in members:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(members[name])
        return module if members[name] == f"{package}.{name}" else getattr(module, name)

    def directory() -> list[str]:
        return sorted({*members, *vars(sys.modules[package])})

    return getattribute, directory
