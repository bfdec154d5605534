"""MATLAB's files: what SciPy gives, or a ValueError with the file's name, within bounds."""

import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.damage import damaged

from filterscope.core.mat_files import read_mat
from filterscope.core.mat_layout import Layout, LayoutError


def saved(content: dict[str, Any], *, packed: bool = False) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, content, do_compression=packed)
    return file.getvalue()


def cells(*values: Any) -> np.ndarray:
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


CONTENT = {
    "numbers": np.arange(12, dtype=np.float32).reshape(3, 4),
    "whole": np.array([[1, -2, 3]], np.int16),
    "truth": np.array([[True, False]]),
    "complex": np.array([[1 + 2j]]),
    "text": "a photograph",
    "cells": cells("x", np.zeros((2, 2, 2)), np.zeros((0, 0))),
    "struct": {"name": "conv1", "weights": cells(np.ones((2, 3)), np.zeros((0, 0)))},
    "sparse": scipy.sparse.csc_matrix(np.eye(3)),
}


@pytest.mark.parametrize("packed", [False, True])
def test_whatever_scipy_writes_is_read_as_scipy_reads_it(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "a.mat"
    file.write_bytes(saved(CONTENT, packed=packed))
    ours, theirs = read_mat(file), scipy.io.loadmat(str(file))
    assert ours.keys() == theirs.keys()
    assert pickle.dumps(ours) == pickle.dumps(theirs)
    assert read_mat(file, ["text"]).keys() >= {"text"}
    assert "numbers" not in read_mat(file, ["text"])


def refuse(file: Path, content: bytes, reason: str, **options: Any) -> None:
    file.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        read_mat(file, **options)
    assert str(caught.value).startswith(f"{file} is not readable as a MATLAB file: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_cut_anywhere_is_refused_or_ends_between_two_variables(
    tmp_path: Path, packed: bool
) -> None:
    whole = saved(CONTENT, packed=packed)
    file, whole_ends = tmp_path / "a.mat", 0
    for end in range(0, len(whole), max(1, len(whole) // 97)):
        file.write_bytes(whole[:end])
        try:
            assert len(read_mat(file)) <= len(CONTENT) + 3
            whole_ends += 1
        except ValueError as error:
            assert str(file) in str(error)
    assert whole_ends <= len(CONTENT)


def test_what_is_no_file_of_version_5_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    fourth = io.BytesIO()
    scipy.io.savemat(fourth, {"x": np.ones((2, 2))}, format="4")
    for content in (b"", b"nothing", bytes(200), fourth.getvalue()):
        refuse(file, content, "does not begin as one of version 5 to 7")
    refuse(file, b"MATLAB 7.3".ljust(124) + b"\x00\x02IM" + bytes(90), r"version 7\.3; save it")
    with pytest.raises(FileNotFoundError, match=r"none\.mat"):
        read_mat(tmp_path / "none.mat")


def test_a_packed_variable_may_not_unpack_to_more_than_the_limit(tmp_path: Path) -> None:
    content = saved({"x": np.zeros((1000, 1000))}, packed=True)
    assert len(content) < 20_000
    refuse(tmp_path / "a.mat", content, "unpacks to more than 4 MiB", limit=2**22)
    (tmp_path / "a.mat").write_bytes(content)
    assert read_mat(tmp_path / "a.mat", limit=2**23)["x"].shape == (1000, 1000)


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    flags = element(6, struct.pack("<II", kind, 0))
    dimensions = element(5, struct.pack(f"<{len(shape)}i", *shape))
    return element(14, flags + dimensions + element(1, b"") + content)


ONE = array(6, (1, 1), element(9, struct.pack("<d", 1.0)))


def test_handmade_arrays_are_taken() -> None:
    Layout(ONE, "<").check()
    Layout(array(1, (1, 2), ONE + ONE), "<").check()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (array(6, (10**6, 10**6), element(9, bytes(8))), "as many numbers as it says"),
        (array(1, (2**31 - 1, 2**31 - 1), ONE), "more entries than its bytes can hold"),
        (array(6, (-1, 1), element(9, bytes(8))), "impossible shape"),
        (array(6, (1,), element(9, bytes(8))), "impossible shape"),
        (array(99, (1, 1), element(9, bytes(8))), "class 99"),
        (array(1, (1, 1), array(1, (1, 1), ONE + ONE)), "larger than what it holds"),
        (array(1, (1, 1), array(6, (1, 1), element(9, bytes(8)) * 2)), "larger than what it holds"),
        (array(6, (1, 1), element(77, bytes(8))), "as many numbers as it says"),
        (element(9, bytes(8)), "where an array is expected"),
        (ONE[:-4], "larger than what holds it"),
        (array(2, (1, 1), element(5, bytes(4)) + element(1, b"ab")), "impossible names"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_built(
    content: bytes, reason: str
) -> None:
    with pytest.raises(LayoutError, match=reason):
        Layout(content, "<").check()


def test_deep_nesting_is_refused(tmp_path: Path) -> None:
    nested = ONE
    for _ in range(2000):
        nested = array(1, (1, 1), nested)
    header = saved({})[:128]
    packed = struct.pack("<II", 15, len(zlib.compress(nested))) + zlib.compress(nested)
    for content in (nested, packed):
        refuse(tmp_path / "a.mat", header + content, "nested more than 32 deep")


SMALL = saved({name: CONTENT[name] for name in ("whole", "cells", "struct", "text")})
SMALL_PACKED = saved({"cells": CONTENT["cells"]}, packed=True)


@settings(max_examples=400)
@given(st.one_of(damaged(SMALL), damaged(SMALL_PACKED)))
def test_damage_gives_arrays_or_a_value_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    file.write_bytes(content)
    try:
        assert isinstance(read_mat(file), dict)
    except ValueError as error:
        assert str(file) in str(error)
