"""How large an export will be and how long it will take, from a few filters."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filterscope.core.files import nearest_folder
from filterscope.explorer.export_plan import Export, read_lines
from filterscope.explorer.export_sheets import pack_sheet
from filterscope.linear.disjoint_rows import passes_needed

LARGE = 200 * 2**20
"""Bytes beyond which an export has to be agreed to."""

_SAMPLES = 3
# A box and a scale in the manifest, which is written for two kinds of readers.
_TOLD = 60


@dataclass(frozen=True)
class Estimate:
    """What an export will take.

    Attributes:
        files: Sheets to be written.
        filters: Rows and columns in them.
        bytes: About how large all files will be.
        raw: Bytes of the same filters as float32 arrays.
        seconds: About how long it will take, on a machine as busy as now.
    """

    files: int
    filters: int
    bytes: int
    raw: int
    seconds: float


def estimate_export(export: Export) -> Estimate:
    """Estimate size and time from a few filters.

    Args:
        export: What is to be exported.
    """
    files = filters = total = 0
    seconds = 0.0
    for kind in export.kinds:
        lines, places = export.grid(kind)
        count = len(lines) * len(places)
        some, others = (_spread(axis) for axis in (lines, places))
        next(read_lines(export, kind, some[:1], others[:1]))  # the first takes longer
        begun = time.perf_counter()
        found = [made for sheet in read_lines(export, kind, some, others) for made in sheet]
        sampled = len(pack_sheet(found, {})) / len(found)
        spent = time.perf_counter() - begun
        if kind == "rows":
            few = passes_needed(export.interpreter, some, others)
            seconds += spent * passes_needed(export.interpreter, lines, places) / few
        else:
            seconds += spent * count / len(found)
        files, filters = files + len(lines), filters + count
        total += round(count * (sampled + _TOLD))
    return Estimate(files, filters, total, export.raw, seconds)


def check_size(
    export: Export,
    out: Path,
    kept: int,
    agreed: bool,
    tell: Callable[[str], None],
) -> None:
    """Tell size and time, and refuse what is too much.

    Args:
        export: What is to be exported.
        out: Where.
        kept: Sheets that are there.
        agreed: Whether it may be large.
        tell: Given the line.

    Raises:
        ValueError: It is large and nobody agreed, or there is no room for it.
    """
    found = estimate_export(export)
    tell(
        f"{found.filters} filters in {found.files} sheets, {kept} of them there: about "
        f"{size_text(found.bytes)} (raw arrays: {size_text(found.raw)}), "
        f"{_duration(found.seconds * (1 - kept / found.files))}"
    )
    if found.bytes > LARGE and not agreed:
        raise ValueError(
            f"the export will take about {size_text(found.bytes)}; agree to it with --yes, or take "
            "less: --stride 2, a smaller --side, --what rows"
        )
    place = nearest_folder(out)
    free = shutil.disk_usage(place).free
    left = found.bytes * (1 - kept / found.files)
    if left > free:
        raise ValueError(
            f"the export will take about {size_text(left)}, and {place} has {size_text(free)} left"
        )


def _spread(axis: Sequence[int]) -> list[int]:
    """A few positions from all over an axis."""
    count = min(_SAMPLES, len(axis))
    return sorted({axis[(2 * k + 1) * len(axis) // (2 * count)] for k in range(count)})


def size_text(count: float) -> str:
    """A number of bytes for people.

    Examples:
        >>> size_text(17_123_456)
        '17.1 MB'
    """
    return f"{count / 1e6:.3g} MB" if count < 1e9 else f"{count / 1e9:.3g} GB"


def _duration(seconds: float) -> str:
    return f"{max(seconds, 1):.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
