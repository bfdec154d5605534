"""What each template lets through, in both readings of its printed slope."""

from __future__ import annotations

from functools import partial

from matplotlib.figure import Figure

from filterscope.parts.coverage import template_coverage
from filterscope.parts.templates import NamedShape, Space, template_bank
from filterscope.report.template_figures import templates_figure
from filterscope.studies.part_tables import PAPER_DATA
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study

SHAPES: dict[NamedShape, str] = {
    "l1": "L1",
    "uniform_l1": "uniform L1",
    "l2": "L2",
    "uniform_l2": "uniform L2",
}
"""In the order of the report's figures 2 to 5."""

READINGS: dict[Space, str] = {"index": "index space", "normalized": "normalised"}
SIZES = (6, 7, 13, 14)
"""Sides of the maps: behind the last pool of VGG-M and VGG-16, and before it."""

SHOWN = 14
SLOPE = 2.0
"""beta, and gamma: where the sloped template meets its floor."""
ZHANGS_SLOPE = 4.0
_DEGENERATE = 0.95


def analyse(_: Evidence, __: StudySettings) -> Findings:
    """Draw every template in both readings, and count what its mask lets through."""
    entries: list[Entry] = []
    notes = [
        "index space counts distances in units over n, as printed; normalised counts them on a map "
        "that runs from -1 to 1, as the code on which the report builds does",
    ]
    for shape, name in SHAPES.items():
        for space, reading in READINGS.items():
            entries += _entries(shape, space, SLOPE, f"{name}, {reading}")
            notes += _degenerate(shape, space, f"{name}, {reading}")
    entries += _entries("l1", "index", ZHANGS_SLOPE, f"L1, index space, beta {ZHANGS_SLOPE:g}")
    return Findings(tuple(entries), (), _figures(), tuple(notes))


def _entries(shape: NamedShape, space: Space, beta: float, side: str) -> list[Entry]:
    """Coverage of the maps of every size."""
    entries = []
    passing = "units that pass a template"
    for size in SIZES:
        found = template_coverage(template_bank(size, shape, space, beta, SLOPE))
        told, alike = f"n = {size}", "templates that are 1 everywhere"
        entries += [
            Entry(f"{told}, {passing} at the centre", side, (found.centre,), kind="count"),
            Entry(f"{told}, {passing} at a corner", side, (found.corner,), kind="count"),
            Entry(f"{told}, share that passes, mean over units", side, (found.mean,), kind="share"),
            Entry(f"{told}, {alike}", side, (found.all_ones,), kind="share"),
            Entry(f"{told}, different templates", side, (found.distinct,), kind="count"),
        ]
    return entries


def _degenerate(shape: NamedShape, space: Space, side: str) -> list[str]:
    """Say where a template hardly depends on its unit."""
    found = template_coverage(template_bank(SHOWN, shape, space, SLOPE, SLOPE))
    if found.mean <= _DEGENERATE and found.centre < found.cells - 1:
        return []
    return [
        f"{side}: on a {SHOWN} x {SHOWN} map {found.centre} of {found.cells} units pass a template "
        f"at the centre, {found.mean:.1%} in the mean, and {found.distinct} of the {found.cells} "
        "templates differ"
    ]


def _figures() -> dict[str, partial[Figure]]:
    figures = {}
    for number, (shape, name) in enumerate(SHAPES.items(), start=2):
        banks = {
            reading: template_bank(SHOWN, shape, space, SLOPE, SLOPE).numpy()
            for space, reading in READINGS.items()
        }
        figures[f"figure{number}-{name.replace(' ', '-').lower()}"] = partial(
            templates_figure, banks
        )
    return figures


STUDY = Study(
    name="parts-templates",
    source="Ong and Liu, figures 2 to 5",
    sides=(),
    paper_data=PAPER_DATA,
    analyse=analyse,
)
