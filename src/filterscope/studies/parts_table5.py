"""Accuracy with every template, the uniform ones in both readings."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    REPORT_SIDES,
    accuracy_entries,
    more_accurate,
    part_study,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Do the templates that mask less cost less accuracy?"""
    claims = [
        *more_accurate(evidence, "uniform L1", "L1"),
        *more_accurate(evidence, "uniform L2", "L2"),
        *more_accurate(evidence, "uniform L1, index space", "L1"),
        *more_accurate(evidence, "uniform L2, index space", "L2"),
    ]
    return Findings(
        tuple(accuracy_entries(evidence, REPORT_SIDES)), tuple(claims), notes=small_note(evidence)
    )


STUDY = part_study("parts-table5", "table 5", REPORT_SIDES, analyse)
