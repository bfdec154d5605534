"""Arrays of an npz file, read one at a time."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from filterscope.runs.array_file import ArrayFile

ARRAYS = {"gate": np.eye(3), "mi": np.arange(6.0).reshape(2, 3), "names": np.array(["a", "b"])}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.savez_compressed(tmp_path / "arrays.npz", **ARRAYS)
    return tmp_path / "arrays.npz"


def test_it_holds_what_was_written(path: Path) -> None:
    found = ArrayFile(path)
    assert list(found) == list(ARRAYS)
    assert len(found) == 3
    assert "mi" in found
    assert "mis" not in found
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    with pytest.raises(KeyError, match="mis"):
        found["mis"]


def test_an_array_is_read_when_it_is_asked_for_and_then_kept(path: Path) -> None:
    found = ArrayFile(path)
    gate = found["gate"]
    path.unlink()
    assert found["gate"] is gate
    with pytest.raises(ValueError, match="not readable as arrays"):
        found["mi"]


def test_damage_is_told_with_the_file(path: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"cut\.npz is not readable as arrays"):
        ArrayFile(tmp_path / "cut.npz")
    np.save(tmp_path / "single.npy", ARRAYS["mi"])
    with pytest.raises(ValueError, match=r"single\.npy is not readable as arrays"):
        ArrayFile(tmp_path / "single.npy")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("mi.npy", "no array")
    with pytest.raises(ValueError, match=r"other\.npz is not readable as arrays: mi is no array"):
        ArrayFile(tmp_path / "other.npz")["mi"]


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "objects.npz", mi=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="not readable as arrays"):
        ArrayFile(tmp_path / "objects.npz")["mi"]
