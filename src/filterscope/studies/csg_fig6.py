"""Do the features of misclassified images look like another class's gate?"""

from __future__ import annotations

import torch

from filterscope.metrics.functional import pair_rank
from filterscope.report import class_matrices
from filterscope.runs import Run
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study, measured_arrays
from filterscope.studies.verdict import Claim

# The pairs that the paper names, by their names in CIFAR-10.
_PAIRS = (("automobile", "truck"), ("ship", "airplane"))


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare the diagonals of S_TP and S_FN."""
    tp = evidence.metric("gated", "similarity_tp_diagonal")
    fn = evidence.metric("gated", "similarity_fn_diagonal")
    chance = evidence.metric("gated", "similarity_chance")
    quantity = "classes whose own gate row is the most similar"
    entries = [
        Entry(quantity, "S_TP", tp, kind="share"),
        Entry(quantity, "S_FN", fn, kind="share"),
        Entry(quantity, "by chance", chance, kind="share"),
    ]
    runs = evidence.runs["gated"]
    for a, b in _PAIRS:
        if {a, b} <= set(evidence.dataset.classes):
            entries.append(
                Entry(f"rank of {a} and {b} among all pairs", "S_FN",
                      tuple(_rank(run, a, b) for run in runs))
            )  # fmt: skip
    claims = (
        Claim(
            "of rightly classified images, more classes are most similar to their own gate row "
            "than chance gives (S_TP)",
            tuple(a - b for a, b in zip(tp, chance, strict=True)),
        ),
        Claim(
            "of misclassified images, fewer are (S_FN)",
            tuple(a - b for a, b in zip(tp, fn, strict=True)),
        ),
    )
    missing = sum(int((measured_arrays(run)["similarity_fn_counts"] == 0).sum()) for run in runs)
    notes: tuple[str, ...] = ()
    if missing:
        notes = (
            f"{missing} of {len(runs) * len(evidence.dataset.classes)} classes had no "
            "misclassified test image; they are left out of S_FN.",
        )
    return Findings(tuple(entries), claims, {"similarity": _figure(evidence, runs[0])}, notes)


def _rank(run: Run, a: str, b: str) -> float:
    similarity = torch.from_numpy(measured_arrays(run)["similarity_fn"])
    return float(pair_rank(similarity, run.classes.index(a), run.classes.index(b)))


def _figure(evidence: Evidence, run: Run) -> class_matrices.Drawing:
    panels = class_matrices.similarity_panels(measured_arrays(run), evidence.dataset.classes)
    return class_matrices.similarity_figure(*panels)


STUDY = Study(
    name="csg-fig6",
    source="Liang et al., ECCV 2020, figure 6 and appendix C",
    sides=("gated",),
    paper_data="cifar10",
    analyse=analyse,
)
