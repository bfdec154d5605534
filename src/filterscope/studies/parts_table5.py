"""Accuracy with every template, the uniform ones in both readings."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    EMBEDDED,
    MODELS,
    PAPER_DATA,
    REPORT_SIDES,
    SMALL,
    accuracy_entries,
    more_accurate,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study


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


STUDY = Study(
    name="parts-table5",
    source="Ong and Liu, table 5",
    sides=REPORT_SIDES,
    paper_data=PAPER_DATA,
    analyse=analyse,
    models=MODELS,
    small=SMALL,
    embedded=EMBEDDED,
    by_category=True,
)
