"""The package as a whole: its public names, and results that nobody changes."""

import importlib
import pkgutil
from dataclasses import is_dataclass

import pytest

from filterscope import linear


@pytest.mark.parametrize("name", linear.__all__)
def test_public_names_are_found_where_they_are_defined(name) -> None:
    found = getattr(linear, name)
    assert found.__name__ == name
    assert found.__module__.startswith("filterscope.linear.")
    assert name in dir(linear)


def test_nobody_can_change_a_result() -> None:
    modules = [
        importlib.import_module(info.name)
        for info in pkgutil.walk_packages(linear.__path__, "filterscope.linear.")
    ]
    kinds = {
        kind
        for module in modules
        for kind in vars(module).values()
        if is_dataclass(kind) and kind.__module__ == module.__name__
    }
    assert len(kinds) > 20
    assert [kind for kind in kinds if not kind.__dataclass_params__.frozen] == []
