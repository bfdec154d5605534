"""The package's public names."""

import pytest

import filterscope


def test_every_public_name_exists() -> None:
    for name in filterscope.__all__:
        assert getattr(filterscope, name) is not None
    assert set(filterscope.__all__) <= set(dir(filterscope))
    with pytest.raises(AttributeError, match="GatedClasifier"):
        _ = filterscope.GatedClasifier
