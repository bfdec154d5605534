"""How learned gates divide the filters, and the fixed gate drawn from that."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from filterscope.gates import fixed_gate
from filterscope.metrics.functional import gate_statistics
from filterscope.report import class_matrices, matrices
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import CSG_FIXED_GATE


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Count the filters of one class and of several over the learned gates."""
    own, spread, shared, unused = [], [], [], []
    for arrays in evidence.arrays("gated"):
        statistics = gate_statistics(torch.from_numpy(arrays["gate"]))
        own.append(float(statistics.monopolised.double().mean()))
        spread.append(float(statistics.monopolised.double().std()))
        shared.append(float(statistics.shared_by[2:].sum()))
        unused.append(float(statistics.shared_by[0]))
    matrix = _fixed_gate(*evidence.arrays("gated")[0]["gate"].shape)
    fixed = gate_statistics(matrix)
    published = CSG_FIXED_GATE if evidence.data == STUDY.paper_data else {}
    entries = [
        Entry(name, "learned gates", tuple(values), published.get(name))
        for name, values in (
            ("own filters of a class", own),
            ("the same, standard deviation over classes", spread),
            ("filters shared by several classes", shared),
            ("filters open for no class", unused),
        )
    ]
    entries += [
        Entry("own filters of a class", "fixed gate", (float(fixed.monopolised[0]),)),
        Entry(
            "filters shared by several classes", "fixed gate", (float(fixed.shared_by[2:].sum()),)
        ),
    ]
    number = len(own)
    gates = np.stack([np.sort(arrays["gate"], axis=0)[::-1] for arrays in evidence.arrays("gated")])
    figures = {
        "fixed-gate": class_matrices.gate_drawing(matrix.numpy(), evidence.dataset.classes),
        "learned-gate": lambda theme: matrices.gate_figure(evidence.runs["gated"][0], theme),
    }
    notes = (
        f"Over {number} learned gates; the paper counts 20.",
        "Mean of a column's entries, largest first: "
        + ", ".join(f"{value:.3f}" for value in gates.mean(axis=(0, 2))[:4]) + " ...",
    )  # fmt: skip
    return Findings(tuple(entries), (), figures, notes)


def _fixed_gate(num_classes: int, num_filters: int) -> Tensor:
    """The fixed gate of these sizes: equal shares, and what is left over for all."""
    own = num_filters // num_classes
    return fixed_gate(num_classes, own, num_filters - own * num_classes)


STUDY = Study(
    name="csg-fig10",
    source="Liang et al., ECCV 2020, figure 10 and appendix E",
    sides=("gated",),
    paper_data="cifar10",
    analyse=analyse,
    least_seeds=5,
)
