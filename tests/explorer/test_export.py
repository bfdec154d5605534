"""An export holds the rows and columns, can be ended at any time, and overwrites nothing."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from filterscope.explorer import export as exporting
from filterscope.explorer import export_sheets, export_size
from filterscope.explorer.export import export_filters
from filterscope.explorer.export_plan import Export
from filterscope.explorer.export_sheets import Placed, pack_sheet, sheet_header, unpack_sheet
from filterscope.explorer.export_size import estimate_export
from filterscope.explorer.pictures import drawn_picture
from filterscope.linear import pixel_column, pixel_row
from filterscope.models import create_image_network


def small(name: str = "espcn", side: int = 12, **options: Any) -> Export:
    network = create_image_network(name, random_weights=name != "bicubic", scale=2)
    return Export(network, drawn_picture(side), **options)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "out"
    export_filters(small(), out)
    return out


def test_sheets_keep_numbers_to_a_step_of_sixteen_bits() -> None:
    rng = np.random.default_rng(0)
    shapes = [(3, 5, 7), (3, 2, 2), (3, 9, 1)]
    placed = [Placed(4, 6, rng.normal(size=s).astype(np.float32)) for s in shapes]
    placed.append(Placed(0, 0, np.zeros((3, 4, 4), np.float32)))
    header, found = unpack_sheet(pack_sheet(placed, {"line": 3}))
    assert header["line"] == 3
    for before, after in zip(placed[:3], found, strict=False):
        assert (after.top, after.left) == (4, 6)
        step = np.abs(before.values).max() / 32767
        np.testing.assert_allclose(after.values, before.values, atol=step, rtol=0)
    assert found[3].values.size == 0
    assert header["scales"][3] == 0


def test_sheets_are_cut_to_a_ten_thousandth() -> None:
    values = np.full((1, 9, 9), 0.9e-4, np.float32)
    values[0, 3, 4], values[0, 5, 4] = 1, -2e-4
    _, (found,) = unpack_sheet(pack_sheet([Placed(0, 0, values)], {}))
    assert (found.top, found.left, *found.values.shape) == (3, 4, 1, 3, 1)


def test_sheets_refuse_what_they_cannot_hold() -> None:
    with pytest.raises(ValueError, match="channels"):
        pack_sheet([Placed(0, 0, np.zeros((2, 4, 4), np.float32))], {})
    with pytest.raises(ValueError, match="finite"):
        pack_sheet([Placed(0, 0, np.full((1, 4, 4), np.nan, np.float32))], {})


def test_every_row_and_column_is_there(exported: Path) -> None:
    export = small()
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["grids"] == {
        "columns": [list(range(12))] * 2,
        "rows": [list(range(24))] * 2,
    }
    for kind, read in (("rows", pixel_row), ("columns", pixel_column)):
        for line in (0, 7):
            _, found = unpack_sheet(
                (exported / manifest["sheets"][kind][line]["file"]).read_bytes()
            )
            for place, part in enumerate(found):
                expected = read(export.interpreter, (line, place))
                whole = torch.zeros_like(expected)
                _, height, width = part.values.shape
                whole[:, part.top : part.top + height, part.left : part.left + width] = (
                    torch.from_numpy(part.values)
                )
                limit = 1.1e-4 * float(expected.abs().max())
                torch.testing.assert_close(whole, expected, atol=limit, rtol=0)


def test_the_page_needs_no_other_place(exported: Path) -> None:
    page = (exported / "index.html").read_text()
    assert "http://" not in page and "https://" not in page and "fetch(" not in page
    script = (exported / "manifest.js").read_text()
    assert (
        script.removeprefix("globalThis.filterscopeExport = ").rstrip(";\n")
        == (exported / "manifest.json").read_text().strip()
    )
    assert {path.name for path in exported.iterdir()} == {
        "index.html", "manifest.json", "manifest.js", "export.json", "input.png", "output.png",
        "rows", "columns",
    }  # fmt: skip


def test_an_ended_export_goes_on(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    shutil.copytree(exported, out)
    (out / "rows" / "0003.png").unlink()
    whole = (out / "columns" / "0005.png").read_bytes()
    (out / "columns" / "0005.png").write_bytes(whole[: len(whole) // 2])
    changed = bytearray((out / "rows" / "0009.png").read_bytes())
    changed[len(changed) // 2] ^= 0xFF
    (out / "rows" / "0009.png").write_bytes(changed)
    (out / "rows" / ".0004.png.tmp").write_bytes(b"what a kill leaves")
    kept = (out / "rows" / "0001.png").stat().st_mtime_ns
    done = export_filters(small(), out)
    assert (done.written, done.kept) == (3, 33)
    assert (out / "rows" / "0001.png").stat().st_mtime_ns == kept
    assert not list(out.glob("*/.*"))
    for name in ("rows/0003.png", "columns/0005.png", "rows/0009.png"):
        _, before = unpack_sheet((exported / name).read_bytes())
        _, after = unpack_sheet((out / name).read_bytes())
        for a, b in zip(before, after, strict=True):
            assert (a.top, a.left) == (b.top, b.left)
            np.testing.assert_allclose(a.values, b.values, atol=1e-4 * np.abs(a.values).max())


@pytest.mark.parametrize("name", ["export.json", "index.html", "output.png"])
def test_a_kill_within_the_first_file_is_survived(name: str, tmp_path: Path) -> None:
    (tmp_path / f".{name}.k3_x9.tmp").write_bytes(b"what a kill leaves")
    done = export_filters(small("bicubic", side=4), tmp_path)
    assert done.page.is_file()
    assert not list(tmp_path.glob(".*"))


def test_a_sheet_of_another_place_is_made_again(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "mixed"
    shutil.copytree(exported, out)
    shutil.copy(out / "rows" / "0003.png", out / "columns" / "0003.png")
    shutil.copy(out / "rows" / "0005.png", out / "rows" / "0004.png")
    assert export_filters(small(), out).written == 2
    for file in ("columns/0003.png", "rows/0004.png"):
        before, after = (unpack_sheet((place / file).read_bytes())[0] for place in (exported, out))
        assert (before["kind"], before["line"]) == (after["kind"], after["line"])


@pytest.mark.parametrize("text", ["[]", "7", '{"mark": 1}', "no JSON"])
def test_a_forged_sheet_is_none(text: str, tmp_path: Path) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("filterscope", text)
    Image.new("L", (4, 4)).save(tmp_path / "0000.png", pnginfo=told)
    assert sheet_header(tmp_path / "0000.png") is None


def test_a_sheet_that_goes_meanwhile_is_told(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gone"
    shutil.copytree(exported, out)
    write = exporting.write_json

    def taken(path: Path, value: Any) -> None:
        write(path, value)
        (out / "rows" / "0002.png").unlink()

    monkeypatch.setattr(exporting, "write_json", taken)
    with pytest.raises(FileNotFoundError, match=r"rows/0002\.png was taken away"):
        export_filters(small(), out)


def test_kernels_are_told_apart() -> None:
    marks = {
        Export(create_image_network("bicubic", scale=2, kernel=kernel), drawn_picture(4)).mark
        for kernel in ("torch", "matlab", "pil")
    }
    assert len(marks) == 3


def test_a_sheet_too_large_for_readers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_sheets, "MOST", 2 * 5 * 14)
    placed = [Placed(0, 0, np.ones((1, 5, 7), np.float32))] * 2
    assert pack_sheet(placed, {})
    with pytest.raises(ValueError, match="larger stride"):
        pack_sheet([*placed, placed[0]], {})


def test_other_folders_are_left_alone(exported: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="something else"):
        export_filters(small(), tmp_path)
    with pytest.raises(FileExistsError, match="another network"):
        export_filters(small(stride=2), exported)


def test_size_is_told_first_and_agreed_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_size, "LARGE", 1000)
    told: list[str] = []
    with pytest.raises(ValueError, match="--yes"):
        export_filters(small("bicubic", stride=4), tmp_path / "out", tell=told.append)
    assert "about" in told[0] and not (tmp_path / "out").exists()
    done = export_filters(small("bicubic", stride=4), tmp_path / "out", agreed=True)
    estimate = estimate_export(small("bicubic", stride=4))
    assert done.raw == estimate.raw
    assert estimate.files == done.written == 9


def test_no_room_is_told_before_and_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = small("bicubic", stride=4)
    usage = type(shutil.disk_usage(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
        with pytest.raises(ValueError, match="left"):
            export_filters(export, tmp_path / "out")
    write = exporting._write_sheet

    def full(path: Path, content: bytes) -> None:
        if path.name == "0006.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "_write_sheet", full)
        with pytest.raises(OSError, match="make room"):
            export_filters(export, tmp_path / "out")
    assert sheet_header(tmp_path / "out" / "columns" / "0002.png") is not None
    assert export_filters(export, tmp_path / "out").kept == 1


def test_an_export_is_far_smaller_than_the_arrays() -> None:
    found = estimate_export(small(side=64))
    assert found.raw == 2 * 4 * (64 * 64) * (128 * 128)
    assert found.raw > 20 * found.bytes


def test_bad_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="`what`"):
        small(what="none")
    with pytest.raises(ValueError, match="`stride`"):
        small(stride=0)
