"""How much do filters repeat each other?"""

from __future__ import annotations

from filterscope.report import compare_runs, curves
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import CSG_INTER_CLASS_RATIO
from filterscope.studies.verdict import Claim

_ROWS = {
    "redundancy_0_1": "r(0.1), every entry",
    "redundancy_0_1_off_diagonal": "r(0.1), diagonal left out",
    "redundancy_0_1_absolute": "r(0.1), diagonal left out, absolute",
    "inter_class_correlation": "inter-class correlation C_IC",
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare redundancy and inter-class correlation."""
    entries = [
        evidence.entry(key, quantity, side)
        for key, quantity in _ROWS.items()
        for side in evidence.sides
    ]
    claims = []
    for side in ("gated", "fixed"):
        claims += [
            Claim(
                f"fewer filter pairs of {side} networks correlate by 0.1 or more",
                evidence.difference("redundancy_0_1", "standard", side),
            ),
            Claim(
                f"filters of different classes correlate less in {side} networks (C_IC)",
                evidence.difference("inter_class_correlation", "standard", side),
            ),
        ]
        ours = evidence.metric(side, "inter_class_correlation")
        standard = evidence.metric("standard", "inter_class_correlation")
        ratios = tuple(a / b if b else float("nan") for a, b in zip(ours, standard, strict=True))
        published = CSG_INTER_CLASS_RATIO if evidence.data == STUDY.paper_data else None
        entries.append(Entry("C_IC over that of the standard network", side, ratios, published))
    comparison = compare_runs([run for runs in evidence.runs.values() for run in runs])
    return Findings(
        tuple(entries),
        tuple(claims),
        {"redundancy": lambda theme: curves.redundancy_curves(comparison, theme)},
    )


STUDY = Study(
    name="csg-fig8",
    source="Liang et al., ECCV 2020, figure 8",
    sides=("standard", "gated", "fixed"),
    paper_data="cifar10",
    analyse=analyse,
)
