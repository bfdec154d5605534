"""Do clusters of the features follow the gate?"""

from __future__ import annotations

from filterscope.report import class_matrices
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare cluster centres with gate rows."""
    quantity = "mean cosine of matched centres and gate rows"
    ours = evidence.metric("fixed", "cluster_cosine")
    chance = evidence.metric("fixed", "cluster_cosine_chance")
    entries = [
        Entry(quantity, "fixed", ours),
        Entry(quantity, "gated", evidence.metric("gated", "cluster_cosine")),
        Entry(f"{quantity}, gate columns permuted", "fixed", chance),
        Entry(
            f"{quantity}, gate columns permuted",
            "gated",
            evidence.metric("gated", "cluster_cosine_chance"),
        ),
    ]
    claims = (
        Claim(
            "cluster centres of the features follow the fixed gate more than chance gives",
            tuple(a - b for a, b in zip(ours, chance, strict=True)),
        ),
    )
    first = evidence.arrays("fixed")[0]
    figures = {
        "centres": class_matrices.centres_figure(
            first["cluster_centres"], first["gate"], evidence.dataset.classes
        )
    }
    return Findings(tuple(entries), claims, figures)


STUDY = Study(
    name="csg-fig11",
    source="Liang et al., ECCV 2020, figure 11 and appendix F",
    sides=("fixed", "gated"),
    paper_data="cifar10",
    analyse=analyse,
)
