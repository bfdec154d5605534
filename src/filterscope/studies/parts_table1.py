"""Location instability of ordinary networks and of those with L1 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    EMBEDDED,
    MODELS,
    PAPER_DATA,
    SMALL,
    below_chance,
    instability_entries,
    small_note,
    steadier,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study

_SIDES = ("standard", "L1")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Each category with its chance levels; does L1 lower it, and below the middle unit?"""
    return Findings(
        tuple(instability_entries(evidence, _SIDES)),
        (*steadier(evidence, "L1", "standard"), *below_chance(evidence, _SIDES)),
        notes=small_note(evidence),
    )


STUDY = Study(
    name="parts-table1",
    source="Ong and Liu, table 1",
    sides=_SIDES,
    paper_data=PAPER_DATA,
    analyse=analyse,
    models=MODELS,
    small=SMALL,
    embedded=EMBEDDED,
    by_category=True,
)
