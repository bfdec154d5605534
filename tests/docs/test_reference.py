"""The reference names everything public."""

import importlib
import re
from types import ModuleType
from typing import Any

import pytest
from tests.docs.blocks import DOCS, ROOT

SOURCE = ROOT / "src"
ENTRIES = re.findall(r"^::: (\S+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)
PACKAGES = sorted(
    ".".join(file.relative_to(SOURCE).parent.parts) for file in SOURCE.rglob("__init__.py")
)


def found(entry: str) -> Any:
    """What an entry of the reference names: a module, or a member of one."""
    try:
        return importlib.import_module(entry)
    except ModuleNotFoundError:
        module, _, name = entry.rpartition(".")
        return getattr(importlib.import_module(module), name)


NAMED = {entry: found(entry) for entry in ENTRIES}


def is_described(package: str, name: str) -> bool:
    """Whether an entry is this name, or the module that defines it."""
    wanted = getattr(importlib.import_module(package), name)
    if isinstance(wanted, ModuleType) or name == "__version__":
        return True
    home = getattr(wanted, "__module__", None)
    for entry, named in NAMED.items():
        if not isinstance(named, ModuleType):
            if named is wanted:
                return True
        elif home == entry:
            return True
        elif getattr(named, name, None) is wanted and named.__file__:
            # a constant knows no module: look for the line that makes it
            text = (SOURCE / "/".join(entry.split("."))).with_suffix(".py")
            if text.exists() and re.search(rf"^{name}\b.*=", text.read_text(), re.MULTILINE):
                return True
    return False


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_of_a_package_is_in_the_reference(package: str) -> None:
    names = getattr(importlib.import_module(package), "__all__", [])
    assert [name for name in names if not is_described(package, name)] == []


def test_no_entry_stands_twice() -> None:
    assert sorted(set(ENTRIES)) == sorted(ENTRIES)
