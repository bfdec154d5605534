"""Location instability of ordinary networks and of those with L1 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    below_chance,
    instability_entries,
    part_study,
    small_note,
    steadier,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings

_SIDES = ("standard", "L1")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Each category with its chance levels; does L1 lower it, and below the middle unit?"""
    return Findings(
        tuple(instability_entries(evidence, _SIDES)),
        (*steadier(evidence, "L1", "standard"), *below_chance(evidence, _SIDES)),
        notes=small_note(evidence),
    )


STUDY = part_study("parts-table1", "table 1", _SIDES, analyse)
