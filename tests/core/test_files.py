import errno
import json
import math
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from filterscope.core import files
from filterscope.core.files import (
    atomic_write,
    is_leftover,
    read_json,
    remove_leftovers,
    write_json,
    write_text,
)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("old", [None, b"old"])
def test_content_arrives_whole_and_alone(old: bytes | None, tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    if old is not None:
        target.write_bytes(old)
    with atomic_write(target) as file:
        file.write(b"new ")
        file.write(b"content")
    assert target.read_bytes() == b"new content"
    assert names_in(tmp_path) == ["a.bin"]


def test_path_may_be_a_string(tmp_path: Path) -> None:
    with atomic_write(str(tmp_path / "a")) as file:
        file.write(b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_old_content_is_readable_until_the_context_ends(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_keeps_the_old_file_and_leaves_no_temporary_one(
    kind: type[BaseException], old: bytes | None, tmp_path: Path
) -> None:
    target = tmp_path / "a"
    if old is not None:
        target.write_bytes(old)
    with pytest.raises(kind), atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        raise kind
    assert names_in(tmp_path) == ([] if old is None else ["a"])
    assert old is None or target.read_bytes() == old


def test_kill_in_the_middle_of_writing_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    code = (
        "import os, signal, sys\n"
        "from filterscope.core.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n"
        "    file.write(b'new' * 100_000)\n"
        "    file.flush()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert run(code, target).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    # what the killed process had written lies beside it, under a name nobody takes for the file
    (left,) = set(names_in(tmp_path)) - {"a"}
    assert left.startswith(".a.")
    assert left.endswith(".tmp")
    write_text(target, "next")
    assert target.read_text() == "next"


# Less than the buffer fails in the flush at the end, more fails in the write itself.
@pytest.mark.parametrize("size", [5_000, 1_000_000])
def test_disk_that_takes_no_more_keeps_the_old_file(size: int, tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")
    code = (
        "import resource, sys\n"
        "from filterscope.core.files import atomic_write\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with atomic_write(sys.argv[1]) as file:\n"
        "        file.write(b'n' * int(sys.argv[2]))\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )
    done = run(code, target, str(size))
    assert done.stdout.strip() == str(errno.EFBIG), done.stderr
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_error_of_the_disk_after_the_last_write_keeps_the_old_file(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    target.write_bytes(b"old")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "fsync":
        monkeypatch.setattr(files.os, "fsync", full)
    else:
        monkeypatch.setattr(files.Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(target, "new")
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_content_is_on_the_disk_before_the_file_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a"
    synced: list[tuple[int, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, target.exists()))

    monkeypatch.setattr(files.os, "fsync", fsync)
    write_text(target, "12345")
    assert synced[0] == (5, False)


def test_missing_folder_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError),
        atomic_write(tmp_path / "absent" / "a") as file,
    ):
        file.write(b"x")
    assert names_in(tmp_path) == []


def test_folder_in_the_place_of_the_file_stays(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "a", "x")
    assert names_in(tmp_path) == ["a"]
    assert (tmp_path / "a").is_dir()


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
@pytest.mark.parametrize("replaces", [False, True])
def test_permissions_follow_the_umask(
    umask: int, mode: int, replaces: bool, tmp_path: Path
) -> None:
    target = tmp_path / "a"
    if replaces:
        target.touch(0o600)
    before = os.umask(umask)
    try:
        write_text(target, "x")
        during = os.umask(umask)
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert during == umask


def test_writers_in_parallel_leave_one_whole_content(tmp_path: Path) -> None:
    target = tmp_path / "a"
    contents = [letter * 200_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_text, args=(target, text)) for text in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_text() in contents
    assert names_in(tmp_path) == ["a"]


def test_text_is_written_in_utf_8_with_its_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "größe\r\n木\n")
    assert (tmp_path / "a").read_bytes() == "größe\r\n木\n".encode()


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (-math.inf, None),
        (np.float32("nan"), None),
        (np.float64("-inf"), None),
        (np.float64(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1.0, np.nan, np.inf]), [1.0, None, None]),
        (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]]),
        (np.array(2.5), 2.5),
        (np.array(np.nan), None),
        (np.empty((0, 3)), []),
        (np.array([True, False]), [True, False]),
        (torch.tensor([1.0, torch.nan]), [1.0, None]),
        ((1, (2.0, float("nan"))), [1, [2.0, None]]),
        ({"a": {"b": [np.float32(1), float("inf")]}}, {"a": {"b": [1.0, None]}}),
        ({3: 1, np.int64(4): 2}, {"3": 1, "4": 2}),
        ([np.array([np.nan]), {"x": np.array([1])}], [[None], {"x": [1]}]),
        (10**40, 10**40),
        ("größe \U0001f600 \"'\n", "größe \U0001f600 \"'\n"),
        (None, None),
        (True, True),
        ({}, {}),
        ([], []),
    ],
)
def test_json_holds_plain_values_and_null_for_what_is_not_finite(
    value: Any, plain: Any, tmp_path: Path
) -> None:
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    # the constants NaN and Infinity are what readers outside Python refuse
    back = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} was written"))
    assert back == plain
    assert type(back) is type(plain)
    assert text.endswith("\n")
    again = read_json(tmp_path / "a.json")
    assert again == plain


def test_exact_floats_survive_the_round_trip(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    write_json(tmp_path / "a.json", values)
    back = read_json(tmp_path / "a.json")
    assert [value.hex() for value in back] == [value.hex() for value in values]


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", 1j, {"path": Path("a")}])
def test_value_that_json_does_not_know_keeps_the_old_file(value: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", "old")
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == "old"
    assert names_in(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": 1', b'{"a": 1}}', b"[1,]", b"nul", b"\xff\xfe{}", b"\x00" * 8, b"'a'"],
)
def test_damaged_json_is_refused_by_name_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.json is not readable as JSON: ") as caught:
        read_json(file)
    assert "\n" not in str(caught.value)
    assert type(caught.value) is ValueError


def test_missing_json_is_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        read_json(tmp_path / "absent.json")


@pytest.mark.parametrize("content", ["[" * 100_000, "1" * 5_000], ids=["nested", "digits"])
def test_json_beyond_the_limits_of_the_reader_is_refused_by_name(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(ValueError, match=r"broken\.json is not readable as JSON: "):
        read_json(tmp_path / "broken.json")


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*a\.bin'"),
        atomic_write(target),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(FileNotFoundError, match=r"other\.bin"), atomic_write(target):
        (tmp_path / "other.bin").read_bytes()
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.bin"]


def test_leftovers_of_a_kill_are_told_from_other_files_and_removed(tmp_path: Path) -> None:
    kept = ("a.bin", ".a.bin", "a.bin.tmp", ".b.bin.x1_y.tmp", ".a.binx.x.tmp")
    for name in (*kept, ".a.bin.k3v_9x2a.tmp", ".a.bin.q.tmp"):
        (tmp_path / name).write_bytes(b"half")
    assert [name for name in names_in(tmp_path) if is_leftover(name)] == [
        name for name in names_in(tmp_path) if name.startswith(".") and name.endswith(".tmp")
    ]
    remove_leftovers(tmp_path / "a.bin")
    assert sorted(names_in(tmp_path)) == sorted(kept)
    remove_leftovers(tmp_path / "absent" / "a.bin")


def test_ctrl_c_just_after_the_file_was_made_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.open

    def interrupted(path: Path, *arguments: Any) -> None:
        made(path, *arguments).close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "open", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "a.txt"):
        pass
    assert not list(tmp_path.iterdir())
