"""All rows and columns of a network at a picture, as files that a browser shows by themselves."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filterscope.core.files import read_json, refuse_unwritable, write_json
from filterscope.explorer.export_page import write_page
from filterscope.explorer.export_plan import FORMAT, Export, Kind, read_lines
from filterscope.explorer.export_sheets import pack_sheet, sheet_header
from filterscope.explorer.export_size import check_size
from filterscope.linear.disjoint_rows import disjoint_groups, spans_read

_FILES = ("export.json", "index.html", "manifest.json", "manifest.js", "input.png", "output.png")


@dataclass(frozen=True)
class Exported:
    """What an export has written.

    Attributes:
        page: The page to be opened.
        bytes: Of all files.
        raw: Of the same filters as float32 arrays.
        written: Sheets that were computed now.
        kept: Sheets that were there from before.
    """

    page: Path
    bytes: int
    raw: int
    written: int
    kept: int


def export_filters(
    export: Export,
    out: str | Path,
    *,
    agreed: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Write the rows and columns of a network at a picture, and a page that shows them.

    The folder gets ``index.html``, ``manifest.json`` (the same as ``manifest.js``, which a page
    opened as a file can read), ``input.png``, ``output.png``, and in ``rows`` and ``columns`` a
    sheet for each line of pixels. Each sheet is whole or not there: whatever ends an export, the
    same call goes on where it ended.

    Args:
        export: What.
        out: A new folder, or one of an export of the same network, picture and stride.
        agreed: Whether more than 200 MB may be written.
        tell: Given a line now and then.

    Returns:
        What was written.

    Raises:
        FileExistsError: The folder holds something else.
        OSError: The folder cannot be written to, or the disk is full; what is written stays.
        ValueError: The export is large, and nobody agreed, or there is no room for it.
    """
    out = Path(out)
    _check_folder(out, export)
    refuse_unwritable(out)
    missing = {kind: _missing(out, export, kind) for kind in export.kinds}
    kept = sum(len(export.grid(kind)[0]) - len(lines) for kind, lines in missing.items())
    if any(missing.values()):
        check_size(export, out, kept, agreed, tell)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for leftover in _leftovers(out):
            leftover.unlink(missing_ok=True)
        write_json(out / "export.json", {"format": FORMAT, "mark": export.mark})
        written = sum(
            _write_kind(export, out, kind, lines, tell) for kind, lines in missing.items()
        )
        page = write_page(out, _described(export, out), export.pictures())
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno, f"the disk of {out} is full; make room and run the same command again: "
            "what is written stays"
        ) from error  # fmt: skip
    files = [page, *out.glob("*.png"), *out.glob("manifest.*")]
    files += [out / kind / _name(line) for kind in export.kinds for line in export.grid(kind)[0]]
    return Exported(page, sum(file.stat().st_size for file in files), export.raw, written, kept)


def _check_folder(out: Path, export: Export) -> None:
    """Refuse a folder of something else, so that nothing is mixed or overwritten."""
    if not out.exists() or (out.is_dir() and set(out.iterdir()) <= set(_leftovers(out))):
        return
    if not (out / "export.json").is_file():
        raise FileExistsError(f"{out} holds something else; name a new folder")
    if read_json(out / "export.json").get("mark") != export.mark:
        raise FileExistsError(
            f"{out} holds an export of another network, picture or stride; name a new folder"
        )


def _leftovers(out: Path) -> list[Path]:
    """What a kill left behind beside the sheets: files that were being written."""
    return [path for name in _FILES for path in out.glob(f".{name}.*.tmp")]


def _missing(out: Path, export: Export, kind: Kind) -> list[int]:
    """Lines whose sheet is not there, or not whole; what a kill left behind is taken away."""
    for leftover in (out / kind).glob(".*.png.tmp"):
        leftover.unlink()
    lines = export.grid(kind)[0]
    return [line for line in lines if _header(export, out, kind, line) is None]


def _header(export: Export, out: Path, kind: Kind, line: int) -> dict[str, Any] | None:
    """What a sheet says of itself; None where it is not there, not whole or of something else."""
    header = sheet_header(out / kind / _name(line))
    told = _told(export, kind, line)
    return header if header and all(header.get(name) == told[name] for name in told) else None


def _told(export: Export, kind: Kind, line: int) -> dict[str, Any]:
    """What a sheet says beside what is in it."""
    return {"mark": export.mark, "kind": kind, "line": line, "places": list(export.grid(kind)[1])}


def _write_kind(
    export: Export,
    out: Path,
    kind: Kind,
    lines: Sequence[int],
    tell: Callable[[str], None],
) -> int:
    (out / kind).mkdir(exist_ok=True)
    places = export.grid(kind)[1]
    # lines that can share backward passes are read together
    groups: Sequence[Sequence[int]] = [lines]
    if kind == "rows":
        groups = disjoint_groups(lines, spans_read(export.interpreter)[0])
    done = 0
    last = time.monotonic()
    for group in groups:
        for line, sheet in zip(group, read_lines(export, kind, group, places), strict=True):
            content = pack_sheet(sheet, _told(export, kind, line))
            _write_sheet(out / kind / _name(line), content)
            done += 1
            if time.monotonic() - last > 5:
                last = time.monotonic()
                tell(f"{kind}: {done} of {len(lines)} sheets")
    return done


def _write_sheet(path: Path, content: bytes) -> None:
    """Write a sheet under another name and rename it.

    Unlike `atomic_write` this does not wait for the disk, which takes longer than the sheet: one
    that a power cut has damaged is found out by its own checksums and made again.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _described(export: Export, out: Path) -> dict[str, Any]:
    """The manifest."""
    sheets: dict[str, list[dict[str, Any]]] = {}
    for kind in export.kinds:
        sheets[kind] = []
        for line in export.grid(kind)[0]:
            file, header = f"{kind}/{_name(line)}", _header(export, out, kind, line)
            if header is None:
                raise FileNotFoundError(f"{out / file} was taken away or changed meanwhile")
            described = {name: header[name] for name in ("cell", "across", "boxes", "scales")}
            sheets[kind].append({"file": file, **described})
    return {
        "format": FORMAT,
        "mark": export.mark,
        "network": export.network.name,
        "source": export.network.source,
        "stride": export.stride,
        "scale": export.network.scale,
        "input": list(export.interpreter.images.shape[1:]),
        "output": list(export.interpreter.output.shape[1:]),
        "probe": "white: all channels of the pixel at once",
        "steps": "16 bits about 32768 in steps of the scale over 32767; high bytes above low ones",
        "grids": {kind: [list(axis) for axis in export.grid(kind)] for kind in export.kinds},
        "sheets": sheets,
    }


def _name(line: int) -> str:
    return f"{line:04d}.png"
