"""L1 against L2 templates."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    instability_entries,
    part_study,
    small_note,
    steadier,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings

_SIDES = ("L1", "L2")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Is L2 the steadier of the two?"""
    return Findings(
        tuple(instability_entries(evidence, _SIDES)),
        tuple(steadier(evidence, "L2", "L1")),
        notes=small_note(evidence),
    )


STUDY = part_study("parts-table4", "table 4", _SIDES, analyse)
