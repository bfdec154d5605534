"""filterscope doctor: versions, devices, data found, and what does not fit."""

from __future__ import annotations

import json
import shutil
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from filterscope.cli.parser import Parser

if TYPE_CHECKING:
    from filterscope.runs.diagnosis import Device, Diagnosis

Rows = list[tuple[str, str]]


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "doctor",
        "Tell versions, devices, folders and the data that was found, and what keeps filterscope "
        "from working; ends with 1 where something does.",
    )
    parser.add_switch("json", False, "for other programs")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    as_json = make_parser().parse(words).json
    from filterscope.runs.diagnosis import diagnose

    found = diagnose()
    if as_json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print(_text(found, shutil.get_terminal_size().columns))
    return 1 if found.problems else 0


def _text(found: Diagnosis, width: int) -> str:
    """The findings in groups, wrapped to a width."""
    parts = [
        textwrap.fill(
            f"filterscope {found.filterscope}, Python {found.python}, {found.platform}", width
        ),
        _group("Packages", _packages(found), width),
        _group("Devices", [(one.name, _device(one, found)) for one in found.devices], width),
        _group("Folders", _places(found), width),
        _group(f"Data in {found.data_root}", _data(found), width),
        _group("Tests of pages", [("chromium", found.browser or _NO_BROWSER)], width),
    ]
    if found.problems:
        marks = [("!", problem) for problem in found.problems]
        parts.append(_group("Problems", marks, width))
    else:
        parts.append("No problems.")
    return "\n\n".join(parts)


_NO_BROWSER = "not found, only needed to test filterscope: apt-get install chromium"


def _group(title: str, rows: Rows, width: int) -> str:
    """A title and its rows: label and text, the text hanging beside the label."""
    column = min(20, max(len(label) for label, _ in rows)) + 4
    lines = [title]
    for label, text in rows:
        lines.append(
            textwrap.fill(
                text,
                max(width, column + 20),
                initial_indent=f"  {label}".ljust(column),
                subsequent_indent=" " * column,
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return "\n".join(lines)


def _packages(found: Diagnosis) -> Rows:
    """A row an extra: what is there, and how to get what is not."""
    from filterscope.runs.packages import CORE, command_for

    rows = []
    for extra in dict.fromkeys(one.extra for one in found.packages):
        mine = [one for one in found.packages if one.extra == extra]
        text = ", ".join(map(str, mine))
        if extra != CORE and not all(one.fits for one in mine):
            text += f"; get it with: {command_for(extra)}"
        rows.append((extra, text))
    return rows or [(CORE, "unknown, since filterscope is not installed")]


def _device(device: Device, found: Diagnosis) -> str:
    memory = "" if device.memory_gb is None else f", {device.memory_gb:.0f} GB"
    if device.name != "cpu":
        return device.what + memory
    threads = "" if found.threads is None else f", threads of PyTorch: {found.threads}"
    memory = "" if found.memory_gb is None else f", {found.memory_gb:.0f} GB of memory"
    return f"{device.what}, {found.cores} cores{threads}{memory}"


def _places(found: Diagnosis) -> Rows:
    return [
        (
            place.what,
            f"{place.path}: {'writable' if place.writable else 'not writable'}, "
            f"{place.free_gb:.0f} GB free",
        )
        for place in found.places
    ]


def _data(found: Diagnosis) -> Rows:
    if not found.data:
        return [("nothing", "data sets are looked for in $FILTERSCOPE_DATA, else in ./data")]
    rows = []
    for one in found.data:
        use = f": {one.use}, for {one.good_for}" if one.use else ""
        rows.append((one.name, one.what + use))
    return rows
