"""Do rows and columns of super-resolution sit at their pixel, and do columns follow the image?"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from filterscope.linear import residual_ratio
from filterscope.report.probe_figures import ProbedNetwork, probes_figure
from filterscope.studies.image_filters import (
    PROBES,
    RADIUS,
    Numbers,
    Probed,
    change,
    common_notes,
    each_picture,
    judged,
    near_energy,
    probe_places,
    probed,
)
from filterscope.studies.image_subjects import PICTURES, ImageSubject, image_subjects, study_picture
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

ROUNDING = 1e-4
"""Relative difference that float32 makes."""

_ROW = f"energy of rows within {RADIUS} pixels of the probe"
_COLUMN = f"energy of columns within {RADIUS} pixels of the probe"
_CHANGE = "change of the columns from picture to picture"
_RESIDUAL = "|r| over |y|"


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Measure rows and columns of super-resolution at a picture for each seed."""
    subjects = image_subjects(settings, evidence.data, "super-resolution")
    pictures = each_picture(evidence, settings)
    numbers: dict[str, list[Numbers]] = {}
    shown = []
    for subject in subjects:
        numbers[subject.name] = []
        for seed, pixels in zip(evidence.seeds, pictures, strict=True):
            other = study_picture(settings, evidence.data, seed + 1)
            places = probe_places(pixels.shape[1], PROBES[settings.preset], seed)
            found = probed(subject, pixels, places)
            numbers[subject.name].append(_numbers(subject, found, other))
            if seed == evidence.seeds[0]:
                shown.append(ProbedNetwork(subject.name, pixels, places, found.rows, found.columns))
    kinds = {_ROW: "share", _COLUMN: "share"}
    entries = tuple(
        Entry(quantity, name, tuple(row[quantity] for row in rows), kind=kinds.get(quantity, ""))
        for name, rows in numbers.items()
        for quantity in rows[0]
    )
    notes = (*common_notes(subjects), "each seed is another picture with other probes")
    figures = {"rows-and-columns": partial(probes_figure, shown)}
    return Findings(entries, _claims(subjects, numbers), figures, notes)


def _numbers(subject: ImageSubject, found: Probed, other: Tensor) -> Numbers:
    row, column = near_energy(found)
    elsewhere = probed(subject, other, found.inputs)
    return {
        _ROW: row,
        _COLUMN: column,
        _CHANGE: change(found.columns, elsewhere.columns),
        _RESIDUAL: residual_ratio(found.interpreter),
    }


def _claims(subjects: list[ImageSubject], numbers: dict[str, list[Numbers]]) -> tuple[Claim, ...]:
    fixed = numbers["bicubic"]
    claims = [
        Claim(
            "bicubic: columns are the same for every image, to rounding",
            tuple(ROUNDING - row[_CHANGE] for row in fixed),
        ),
        Claim(
            "bicubic: the residual is zero, to rounding",
            tuple(ROUNDING - row[_RESIDUAL] for row in fixed),
        ),
    ]
    for subject in subjects[1:]:
        rows = numbers[subject.name]
        for quantity, told in ((_ROW, "rows"), (_COLUMN, "columns")):
            claims.append(
                Claim(
                    f"{subject.name}: most of the energy of its {told} lies within {RADIUS} pixels",
                    judged([row[quantity] - 0.5 for row in rows], [subject]),
                )
            )
        differences = [row[_CHANGE] - ROUNDING for row in rows]
        claims.append(
            Claim(f"{subject.name}: columns change with the image", judged(differences, [subject]))
        )
    return tuple(claims)


STUDY = Study(
    name="linear-fig4",
    source=(
        "Navarrete Michelini et al., ICCV 2019, figure 4 of the appendix, read as rows and columns "
        "of super-resolution"
    ),
    sides=(),
    paper_data="the paper's pictures",
    analyse=analyse,
    pictures=PICTURES,
)
