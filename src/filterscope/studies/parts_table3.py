"""Location instability with the other templates, the uniform ones in both readings."""

from __future__ import annotations

from filterscope.studies.part_tables import (
    REPORT_SIDES,
    below_chance,
    instability_entries,
    part_study,
    small_note,
    steadier,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Do uniform templates leave the peaks as unsteady as in an ordinary network?"""
    claims = [
        *steadier(evidence, "L2", "standard"),
        *steadier(evidence, "L1", "uniform L1"),
        *steadier(evidence, "L2", "uniform L2"),
        *steadier(evidence, "L1", "uniform L1, index space"),
        *steadier(evidence, "L2", "uniform L2, index space"),
        *below_chance(evidence, REPORT_SIDES[2:]),
    ]
    notes = (
        "index space counts distances in units over n as printed, where the uniform templates let "
        "nearly everything through; the others count on a map that runs from -1 to 1",
        *small_note(evidence),
    )
    return Findings(tuple(instability_entries(evidence, REPORT_SIDES)), tuple(claims), notes=notes)


STUDY = part_study("parts-table3", "table 3", REPORT_SIDES, analyse)
