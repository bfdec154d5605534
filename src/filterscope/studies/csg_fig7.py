"""Are the filters' correlations block-diagonal by class?"""

from __future__ import annotations

import torch

from filterscope.metrics.functional import block_ratio
from filterscope.report import matrices
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare correlation within the groups of a gate with correlation between them."""
    ratio = "correlation within class groups over between"
    entries: list[Entry] = []
    claims = []
    for side in ("gated", "fixed"):
        ours = evidence.metric(side, "block_ratio")
        entries.append(Entry(ratio, side, ours))
        entries.append(
            Entry(f"{ratio}, random groups", side, evidence.metric(side, "block_ratio_chance"))
        )
        standard = _same_groups(evidence, side)
        entries.append(Entry(f"{ratio}, groups of {side}", "standard", standard))
        claims.append(
            Claim(
                f"filters of one class are more alike in {side} networks than those of a standard "
                "network in the same groups",
                tuple(a - b for a, b in zip(ours, standard, strict=True)),
            )
        )
    for side in evidence.sides:
        for key, quantity in (
            ("alignment_own", "share of a filter in its class's input subspace"),
            ("alignment_others", "the same, other classes"),
        ):
            entries.append(evidence.entry(key, quantity, side, kind="share"))
    claims += [
        Claim(
            f"filters of {side} networks lie in the input subspace of their class more than in "
            "those of others, and more than in standard networks",
            evidence.difference("alignment_contrast", side, "standard"),
        )
        for side in ("gated", "fixed")
    ]
    first = {side: runs[0] for side, runs in evidence.runs.items()}
    figures = {
        f"correlation-{side}": lambda theme, run=run: matrices.correlation_figure(run, theme)
        for side, run in first.items()
    }
    return Findings(tuple(entries), tuple(claims), figures)


def _same_groups(evidence: Evidence, side: str) -> tuple[float, ...]:
    """The standard networks' block ratio in the groups of the other side's gates, by seed."""
    pairs = zip(evidence.arrays("standard"), evidence.arrays(side), strict=True)
    return tuple(
        block_ratio(
            torch.from_numpy(standard["correlation"]), torch.from_numpy(other["filter_owners"])
        ).ratio
        for standard, other in pairs
    )


STUDY = Study(
    name="csg-fig7",
    source="Liang et al., ECCV 2020, figure 7 and appendix D",
    sides=("standard", "gated", "fixed"),
    paper_data="cifar10",
    analyse=analyse,
)
