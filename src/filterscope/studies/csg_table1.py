"""Accuracy, mutual-information score, density and entanglement of standard and gated networks."""

from __future__ import annotations

from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study
from filterscope.studies.targets import CSG_TABLE_1
from filterscope.studies.verdict import Claim

_ROWS = {
    "accuracy": ("accuracy", "share"),
    "mis": ("MIS", "number"),
    "mis_floor": ("MIS by chance", "number"),
    "mis_bound": ("MIS at most", "number"),
    "density": ("L1-density", "number"),
    "loss": ("cross entropy CE", "number"),
    "entanglement": ("entanglement Phi", "number"),
    "entanglement_chance": ("Phi with permuted labels", "number"),
    "entanglement_ideal": ("entanglement Phi_0, one class a filter", "number"),
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Put the numbers of each side beside the published ones."""
    published = CSG_TABLE_1.get(evidence.data, {})
    entries = []
    for key, (quantity, kind) in _ROWS.items():
        for side in evidence.sides:
            if key == "density" and side == "standard":
                continue
            printed = published.get(side, {}).get(key)
            entries.append(evidence.entry(key, quantity, side, printed, kind))
    return Findings(
        tuple(entries), tuple(_claims(evidence, "gated")) + tuple(_claims(evidence, "fixed"))
    )


def _claims(evidence: Evidence, side: str) -> list[Claim]:
    published = CSG_TABLE_1.get(evidence.data, {}) if side == "gated" else {}

    def printed(key: str) -> float | None:
        return published[side][key] - published["standard"][key] if published else None

    return [
        Claim(
            f"the filters of {side} networks are more class-specific (MIS)",
            evidence.difference("mis", side, "standard"),
            printed("mis"),
        ),
        Claim(
            f"{side} networks are more accurate",
            evidence.difference("accuracy", side, "standard"),
            printed("accuracy"),
        ),
        Claim(
            f"filters and classes of {side} networks are less entangled (Phi)",
            evidence.difference("entanglement", "standard", side),
        ),
    ]


STUDY = Study(
    name="csg-table1",
    source="Liang et al., ECCV 2020, table 1",
    sides=("standard", "gated", "fixed"),
    paper_data="cifar10",
    analyse=analyse,
)
