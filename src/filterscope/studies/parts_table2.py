"""Accuracy of ordinary networks and of those with L1 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    EMBEDDED,
    MODELS,
    PAPER_DATA,
    SMALL,
    accuracy_entries,
    more_accurate,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study

_SIDES = ("standard", "L1")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Does the interpretable network pay in accuracy?"""
    return Findings(
        tuple(accuracy_entries(evidence, _SIDES)),
        tuple(more_accurate(evidence, "standard", "L1")),
        notes=small_note(evidence),
    )


STUDY = Study(
    name="parts-table2",
    source="Ong and Liu, table 2",
    sides=_SIDES,
    paper_data=PAPER_DATA,
    analyse=analyse,
    models=MODELS,
    small=SMALL,
    embedded=EMBEDDED,
    by_category=True,
)
