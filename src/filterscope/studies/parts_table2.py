"""Accuracy of ordinary networks and of those with L1 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    accuracy_entries,
    more_accurate,
    part_study,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings

_SIDES = ("standard", "L1")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Does the interpretable network pay in accuracy?"""
    return Findings(
        tuple(accuracy_entries(evidence, _SIDES)),
        tuple(more_accurate(evidence, "standard", "L1")),
        notes=small_note(evidence),
    )


STUDY = part_study("parts-table2", "table 2", _SIDES, analyse)
