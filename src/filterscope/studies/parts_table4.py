"""L1 against L2 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    EMBEDDED,
    MODELS,
    PAPER_DATA,
    SMALL,
    instability_entries,
    small_note,
    steadier,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study

_SIDES = ("L1", "L2")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Is L2 the steadier of the two?"""
    return Findings(
        tuple(instability_entries(evidence, _SIDES)),
        tuple(steadier(evidence, "L2", "L1")),
        notes=small_note(evidence),
    )


STUDY = Study(
    name="parts-table4",
    source="Ong and Liu, table 4",
    sides=_SIDES,
    paper_data=PAPER_DATA,
    analyse=analyse,
    models=MODELS,
    small=SMALL,
    embedded=EMBEDDED,
    by_category=True,
)
