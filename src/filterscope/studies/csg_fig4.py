"""Do mutual information and the linear map find the classes that the gate gave its filters?"""

from __future__ import annotations

from filterscope.report import matrices
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study, measured_arrays
from filterscope.studies.verdict import Claim

_NUMBERS = {
    "filters whose class of largest MI is the gate's": "overlap_argmax",
    "Jaccard index of open gate entries and largest MI entries": "overlap_jaccard",
    # ours: what a filter contributes to a class by the exact affine map
    "AUC of open gate entries by the filters' contributions": "contribution_auc",
    "positive contributions that come through open gate entries": "contribution_open",
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare the overlap of gate and mutual information with chance."""
    entries: list[Entry] = []
    claims = []
    for quantity, key in _NUMBERS.items():
        ours, chance = evidence.metric("gated", key), evidence.metric("gated", f"{key}_chance")
        entries += [Entry(quantity, "gated", ours), Entry(quantity, "by chance", chance)]
        claims.append(
            Claim(f"{quantity}: above chance",
                  tuple(a - b for a, b in zip(ours, chance, strict=True)))
        )  # fmt: skip
    gated, standard = evidence.runs["gated"][0], evidence.runs["standard"][0]
    top = max(float(measured_arrays(run)["mi"].max()) for run in (gated, standard))
    figures = {
        "a-gate": lambda theme: matrices.gate_figure(gated, theme),
        "b-mutual-information": lambda theme: matrices.mi_figure(gated, top, theme),
        "b-mutual-information-standard": lambda theme: matrices.mi_figure(standard, top, theme),
        "b-contributions": lambda theme: matrices.contributions_figure(gated, theme),
        "c-overlap": lambda theme: matrices.overlap_figure(gated, theme),
    }
    return Findings(tuple(entries), tuple(claims), figures)


STUDY = Study(
    name="csg-fig4",
    source="Liang et al., ECCV 2020, figure 4; the contributions are ours",
    sides=("standard", "gated"),
    paper_data="cifar10",
    analyse=analyse,
)
