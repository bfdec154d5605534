"""Error against epochs with every template, and the epochs until it settles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite, nan
from statistics import fmean

import numpy as np

from filterscope.data import Split
from filterscope.report.side_figures import epoch_curves
from filterscope.runs import Run
from filterscope.studies.part_tables import (
    CURVES,
    PAPER_DATA,
    REPORT_SIDES,
    networks,
    part_study,
    side_runs,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings
from filterscope.studies.targets import PART_EPOCHS
from filterscope.studies.verdict import Claim

WINDOW = 5
"""Epochs of the running mean."""
SHARE = 0.95
"""Of the final drop of the error."""

_PAPERS_MODEL = "alexnet_parts"
_SPLITS = {"training error": "train_error", "test error": "test_error"}
_PAIRS = (
    ("L1", "uniform L1"),
    ("L2", "uniform L2"),
    ("L1", "uniform L1, index space"),
    ("L2", "uniform L2, index space"),
)


def running_mean(errors: Sequence[float]) -> list[float]:
    """Mean of each epoch and up to four before it.

    Args:
        errors: One an epoch.

    Examples:
        >>> running_mean([1.0, 0.0, 0.5])
        [1.0, 0.5, 0.5]
    """
    return [fmean(errors[max(0, end - WINDOW) : end]) for end in range(1, len(errors) + 1)]


def epochs_to_settle(errors: Sequence[float], start: float) -> float:
    """Count the epochs until the error has made 95 % of its final drop.

    The drop is that of the `running_mean` from `start` to its last value; the first epoch counts
    at which the running mean has made the share.

    Args:
        errors: One an epoch.
        start: Error before the first epoch: that of a constant answer.

    Returns:
        Epochs, from 1; NaN where the error ends no lower than it began, or where one is undefined.

    Raises:
        ValueError: No epoch.

    Source: Ong and Liu, figures 7 and 8; they print epochs without a rule, which is ours.

    Examples:
        >>> epochs_to_settle([0.5, 0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], start=0.5)
        7.0
    """
    if not len(errors):
        raise ValueError("`errors` must hold an epoch at least")
    if not all(map(isfinite, errors)):
        return nan
    means = running_mean(errors)
    drop = start - means[-1]
    if not drop > 0:
        return nan
    # the last mean itself is always low enough, whatever rounding does
    least = max(start - SHARE * drop, means[-1])
    return float(next(i for i, mean in enumerate(means, start=1) if mean <= least))


def constant_error(split: Split) -> float:
    """Error of the better constant answer on a split of two classes."""
    shares = split.class_counts(2).double() / len(split)
    return float(1 - shares.max())


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Do the uniform templates settle sooner than the sloped ones?"""
    entries: list[Entry] = []
    claims: list[Claim] = []
    figures = {}
    for model in networks(evidence):
        for told, key in _SPLITS.items():
            found = {side: _epochs(evidence, model, side, key) for side in REPORT_SIDES}
            entries += _entries(evidence, model, told, key, found)
            claims += _claims(evidence, model, told, found)
        figures[f"error-{model}"] = partial(epoch_curves, _panels(evidence, model))
    note = (
        f"epochs until the error's running mean over {WINDOW} epochs has made {SHARE:.0%} of its "
        "drop from a constant answer's to its last value; the curves show that mean"
    )
    return Findings(tuple(entries), tuple(claims), figures, (note, *small_note(evidence)))


def _epochs(evidence: Evidence, model: str, side: str, key: str) -> tuple[float, ...]:
    """Epochs to settle, a mean over categories, one a seed."""
    each = []
    for category, runs in side_runs(evidence, model, side):
        data = evidence.by_category[category]
        start = constant_error(data.train if key == "train_error" else data.test)
        each.append([epochs_to_settle(_errors(run, key), start) for run in runs])
    return tuple(fmean(values) for values in zip(*each, strict=True))


def _errors(run: Run, key: str) -> list[float]:
    return [nan if row.get(key) is None else float(row[key] or 0) for row in run.history]


def _entries(
    evidence: Evidence,
    model: str,
    told: str,
    key: str,
    found: Mapping[str, tuple[float, ...]],
) -> list[Entry]:
    entries = []
    for side, values in found.items():
        column = f"{model}, {side}"
        entries.append(
            Entry(f"epochs until the {told} settles", column, values,
                  _published(evidence, model, side) if key == "test_error" else None, "count")
        )  # fmt: skip
        last = tuple(float(curve[-1]) for curve in _curves(evidence, model, side, key))
        entries.append(Entry(f"{told}, last running mean", column, last, kind="share"))
    return entries


def _claims(
    evidence: Evidence, model: str, told: str, found: Mapping[str, tuple[float, ...]]
) -> list[Claim]:
    claims = []
    for sloped, uniform in _PAIRS:
        slow, soon = (_published(evidence, model, side) for side in (sloped, uniform))
        claims.append(
            Claim(
                f"{model}: with {uniform} the {told} settles sooner than with {sloped} (epochs)",
                tuple(a - b for a, b in zip(found[sloped], found[uniform], strict=True)),
                slow - soon if slow and soon and told == "test error" else None,
            )
        )
    return claims


def _published(evidence: Evidence, model: str, side: str) -> float | None:
    """What the report prints of AlexNet; nothing for the ordinary network."""
    if evidence.data != PAPER_DATA or model != _PAPERS_MODEL or side == "standard":
        return None
    return PART_EPOCHS["uniform templates" if "uniform" in side else "gradient templates"]


def _curves(evidence: Evidence, model: str, side: str, key: str) -> np.ndarray:
    """Running means, a mean over categories, (seeds, epochs)."""
    each = [
        [running_mean(_errors(run, key)) for run in runs]
        for _, runs in side_runs(evidence, model, side)
    ]
    mean: np.ndarray = np.array(each).mean(axis=0)
    return mean


def _panels(evidence: Evidence, model: str) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Both errors, the sloped templates on the left and the uniform ones on the right."""
    halves = {
        "sloped templates": ("standard", "L1", "L2"),
        "uniform templates": ("standard", *REPORT_SIDES[3:]),
    }
    return [
        (f"{told}, {half}", {side: _curves(evidence, model, side, key) for side in sides})
        for told, key in _SPLITS.items()
        for half, sides in halves.items()
    ]


STUDY = part_study(
    "parts-fig7",
    "figures 7 and 8",
    REPORT_SIDES,
    analyse,
    models=(_PAPERS_MODEL,),
    measured=False,
    shorter=CURVES,
    longer={"epochs": 150},
)
