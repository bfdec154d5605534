"""Do gates do the same in deeper networks?"""

from __future__ import annotations

from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence, Findings, Study
from filterscope.studies.verdict import Claim

MODELS = ("resnet20", "resnet50_cifar", "resnet101_cifar")


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Accuracy and mutual-information score of each backbone, standard and gated."""
    entries = []
    claims = []
    models = list(dict.fromkeys(side.split(",")[0] for side in evidence.sides))
    for model in models:
        for side in ("standard", "gated"):
            name = f"{model}, {side}"
            entries += [
                evidence.entry("accuracy", "accuracy", name, kind="share"),
                evidence.entry("mis", "MIS", name),
                evidence.entry("mis_floor", "MIS by chance", name),
            ]
            if side == "gated":
                entries.append(evidence.entry("density", "L1-density", name))
        claims.append(
            Claim(
                f"the filters of a gated {model} are more class-specific (MIS)",
                evidence.difference("mis", f"{model}, gated", f"{model}, standard"),
            )
        )
    return Findings(tuple(entries), tuple(claims))


STUDY = Study(
    name="csg-backbones",
    source="ours; Liang et al., ECCV 2020, print ResNet-20 for CIFAR-10",
    sides=("standard", "gated"),
    paper_data="cifar10",
    analyse=analyse,
    models=MODELS,
)
