"""Which way of training makes filters class-specific, and how hard the paths pull."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterscope.report.theme import Theme
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

_ROWS = {
    "accuracy": ("accuracy", "share"),
    "mis": ("MIS", "number"),
    "mis_floor": ("MIS by chance", "number"),
    "density": ("L1-density", "number"),
    "overlap_argmax": ("filters whose class of largest MI is the gate's", "share"),
    "removal_gate_specificity": ("specificity of removal", "share"),
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Put every scheme beside standard training at the same number of epochs."""
    gated = [side for side in evidence.sides if side != "standard"]
    entries = [
        evidence.entry(key, quantity, side, kind=kind)
        for side in evidence.sides
        for key, (quantity, kind) in _ROWS.items()
        if side != "standard" or key in ("accuracy", "mis", "mis_floor")
    ]
    ratios = {side: _ratios(evidence, side) for side in gated}
    for side in gated:
        last = tuple(float(values[-1]) for values in ratios[side])
        first = tuple(float(_first_finite(values)) for values in ratios[side])
        entries += [
            Entry("gated over standard gradient, first gated epoch", side, first),
            Entry("gated over standard gradient, last epoch", side, last),
        ]
    claims = [
        Claim(f"{side}: more class-specific than standard training (MIS)",
              evidence.difference("mis", side, "standard"))
        for side in gated
    ]  # fmt: skip
    claims += [
        Claim(f"{side}: more accurate than standard training",
              evidence.difference("accuracy", side, "standard"))
        for side in gated
    ]  # fmt: skip
    alternate = [side for side in gated if side.startswith("alternate")]
    joint = [side for side in gated if side.startswith("joint")]
    claims += [
        Claim(f"{a} converges better than {j}, as the paper says (accuracy)",
              evidence.difference("accuracy", a, j))
        for a in alternate for j in joint if j == "joint, lambda1 1"
    ]  # fmt: skip
    figures = {"gradient-ratio": lambda theme: _ratio_figure(ratios, theme)}
    return Findings(tuple(entries), tuple(claims), figures)


def _ratios(evidence: Evidence, side: str) -> np.ndarray:
    """Norm of the gated path's gradient over the standard path's, (seeds, epochs).

    It is NaN before the first gated epoch, where the gate is open for all and both are the same.
    """
    rows = []
    for run in evidence.runs[side]:
        ratios = []
        gated = False
        for row in run.history:
            gated |= row["phase"] != "standard"
            standard: Any = row.get("gradient_standard")
            other: Any = row.get("gradient_gated")
            known = gated and standard is not None and other is not None and standard > 0
            ratios.append(float(other) / float(standard) if known else math.nan)
        rows.append(ratios)
    return np.array(rows, dtype=float)


def _first_finite(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite[0]) if len(finite) else math.nan


def _ratio_figure(ratios: dict[str, np.ndarray], theme: Theme) -> Figure:
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    axis = figure.subplots()
    lines = ("-", "--", ":")
    for i, (side, values) in enumerate(ratios.items()):
        known = np.isfinite(values).any(axis=0)
        if known.any():
            epochs = np.flatnonzero(known) + 1
            color, line = theme.series[i % len(theme.series)], lines[i // len(theme.series) % 3]
            mean = np.nanmean(values[:, known], axis=0)
            axis.plot(epochs, mean, line, color=color, linewidth=1.3, label=side)
    axis.set_yscale("log")
    axis.set_xlabel("epoch")
    axis.set_title("norm of the gated path's gradient over the standard path's")
    axis.grid(True, axis="y")
    figure.legend(fontsize=7.5, loc="outside right upper")
    return figure


STUDY = Study(
    name="csg-schemes",
    source="Liang et al., ECCV 2020, section 3.3 and algorithm 1",
    sides=(
        "standard",
        "alternate 1 in 3",
        "alternate 2 in 3",
        "joint, lambda1 0.3",
        "joint, lambda1 1",
        "joint, lambda1 3",
        "joint, lambda1 1, head kept",
        "joint, lambda1 3, head kept",
    ),
    paper_data="cifar10",
    analyse=analyse,
)
