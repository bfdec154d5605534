"""Confusion with the filters of a class removed: does only that class suffer?"""

from __future__ import annotations

import numpy as np

from filterscope.report import class_matrices
from filterscope.runs import Run
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study, measured_arrays
from filterscope.studies.verdict import Claim

# By what the filters of a class are found in each kind of network.
_RULES = {
    "standard": "activation",
    "gated": "gate",
    "gated, strongest tenth": "activation",
    "fixed": "gate",
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Recall of the removed class and of the others, before and after, for every class."""
    classes = evidence.dataset.classes
    entries: list[Entry] = []
    effects = {
        column: np.array([_recalls(run, rule) for run in evidence.runs[column.split(",")[0]]])
        for column, rule in _RULES.items()
    }  # seed, removed class, [removed before, removed after, others before, others after]
    for column, values in effects.items():
        drops = values[:, :, 0] - values[:, :, 1], values[:, :, 2] - values[:, :, 3]
        for what, drop in zip(("removed class", "other classes"), drops, strict=True):
            quantity = f"mean drop of recall, {what}"
            entries.append(Entry(quantity, column, tuple(np.nanmean(drop, 1)), kind="share"))
    for i in range(next(iter(effects.values())).shape[1]):
        for at, what in enumerate(_WHAT):
            for column, values in effects.items():
                quantity = what.format(classes[i])
                entries.append(Entry(quantity, column, tuple(values[:, i, at]), kind="share"))
    return Findings(tuple(entries), _claims(effects), _figures(evidence))


_WHAT = (
    "recall of {0}",
    "recall of {0} without its filters",
    "recall of all but {0}",
    "recall of all but {0} without its filters",
)


def _recalls(run: Run, rule: str) -> np.ndarray:
    """For each class: recall of it and mean recall of the others, before and after removal."""
    arrays = measured_arrays(run)
    before = _recall(arrays["confusion"])
    rows = []
    for chosen, confusion in zip(arrays["removed_classes"], arrays[f"removal_{rule}"], strict=True):
        if chosen.sum() == 1:
            after = _recall(confusion)
            rows.append(
                [
                    before[chosen].mean(),
                    after[chosen].mean(),
                    np.nanmean(before[~chosen]),
                    np.nanmean(after[~chosen]),
                ]
            )
    return np.array(rows)


def _recall(confusion: np.ndarray) -> np.ndarray:
    counts = confusion.sum(1)
    return np.where(counts > 0, confusion.diagonal() / np.maximum(counts, 1), np.nan)


def _claims(effects: dict[str, np.ndarray]) -> tuple[Claim, ...]:
    def specificity(column: str) -> np.ndarray:
        """Drop of the removed class minus drop of the others, a mean over classes, one a seed."""
        v = effects[column]
        own, others = v[:, :, 0] - v[:, :, 1], v[:, :, 2] - v[:, :, 3]
        return np.asarray(np.nanmean(own - others, axis=1))

    claims = []
    for side in ("gated", "fixed"):
        claims += [
            Claim(
                f"without its filters, a class of a {side} network loses more recall than the "
                "other classes",
                tuple(specificity(side)),
            ),
            Claim(
                f"that difference is larger in a {side} network than in a standard one",
                tuple(specificity(side) - specificity("standard")),
            ),
        ]
    return tuple(claims)


def _figures(evidence: Evidence) -> dict[str, class_matrices.Drawing]:
    """Confusion of the first seed: untouched, without the first class, and without two."""
    figures = {}
    for side in evidence.sides:
        arrays = evidence.arrays(side)[0]
        rule = _RULES[side]
        shown = class_matrices.removal_panels(arrays, evidence.dataset.classes, rule)
        figures[f"confusion-{side}"] = class_matrices.confusion_figure(
            shown, evidence.dataset.classes
        )
    return figures


STUDY = Study(
    name="csg-fig5",
    source="Liang et al., ECCV 2020, figure 5",
    sides=("standard", "gated", "fixed"),
    paper_data="cifar10",
    analyse=analyse,
)
