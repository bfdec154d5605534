"""Do image-to-image networks reach further from a pixel than super-resolution?"""

from __future__ import annotations

from functools import partial

from filterscope.report.probe_figures import ProbedNetwork, probes_figure
from filterscope.studies.image_filters import (
    PROBES,
    RADIUS,
    Numbers,
    both_families,
    common_notes,
    each_picture,
    follows_contrast,
    judged,
    learned_pairs,
    near_energy,
    probe_places,
    probed,
)
from filterscope.studies.image_subjects import PICTURES, ImageSubject
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

_ROW = f"energy of rows beyond {RADIUS} pixels of the probe"
_COLUMN = f"energy of columns beyond {RADIUS} pixels of the probe"
_CONTRAST = "rank correlation of a column's length and the contrast at its pixel"


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Measure rows and columns of both families at the same pictures and probes."""
    subjects = both_families(evidence, settings)
    pictures = each_picture(evidence, settings)
    numbers: dict[str, list[Numbers]] = {}
    shown = []
    for subject in subjects:
        numbers[subject.name] = []
        for seed, pixels in zip(evidence.seeds, pictures, strict=True):
            places = probe_places(pixels.shape[1], PROBES[settings.preset], seed)
            found = probed(subject, pixels, places)
            row, column = near_energy(found)
            numbers[subject.name].append(
                {_ROW: 1 - row, _COLUMN: 1 - column, _CONTRAST: follows_contrast(found)}
            )
            if seed == evidence.seeds[0] and subject.family == "image-to-image":
                shown.append(ProbedNetwork(subject.name, pixels, places, found.rows, found.columns))
    kinds = {_ROW: "share", _COLUMN: "share"}
    entries = tuple(
        Entry(quantity, name, tuple(row[quantity] for row in rows), kind=kinds.get(quantity, ""))
        for name, rows in numbers.items()
        for quantity in rows[0]
    )
    notes = (
        *common_notes(subjects),
        "each seed is another picture with other probes, the same for all networks",
    )
    figures = {"rows-and-columns": partial(probes_figure, shown)}
    return Findings(entries, _claims(subjects, numbers), figures, notes)


def _claims(subjects: list[ImageSubject], numbers: dict[str, list[Numbers]]) -> tuple[Claim, ...]:
    claims = []
    for near, far in learned_pairs(subjects):
        pairs = list(zip(numbers[near.name], numbers[far.name], strict=True))
        for quantity, told in ((_ROW, "rows"), (_COLUMN, "columns")):
            differences = [b[quantity] - a[quantity] for a, b in pairs]
            claims.append(
                Claim(
                    f"{told} are more concentrated at the pixel in {near.name} than in {far.name}",
                    judged(differences, [near, far]),
                )
            )
    for subject in subjects:
        if subject.family == "image-to-image":
            trends = [row[_CONTRAST] for row in numbers[subject.name]]
            claims.append(
                Claim(
                    f"{subject.name}: input in flat areas is ignored (columns are longer where the "
                    "picture has contrast)",
                    judged(trends, [subject]),
                )
            )
    return tuple(claims)


STUDY = Study(
    name="linear-fig6",
    source=(
        "Navarrete Michelini et al., ICCV 2019, figure 6 of the appendix, read as rows and columns "
        "of image-to-image networks"
    ),
    sides=(),
    paper_data="the paper's pictures",
    analyse=analyse,
    pictures=PICTURES,
)
