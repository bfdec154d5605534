"""The report's explanations of its numbers: the filter loss's pull, and what stillness costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import isfinite, nan
from statistics import fmean, median

import numpy as np

from filterscope.report.side_figures import epoch_curves, instability_and_accuracy
from filterscope.runs import Run
from filterscope.studies.part_tables import (
    REPORT_SIDES,
    metric_means,
    networks,
    part_study,
    side_runs,
    small_note,
    steadier,
)
from filterscope.studies.parts_fig7 import constant_error
from filterscope.studies.ranks import rank_correlation
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings
from filterscope.studies.verdict import Claim

_MASK_ALONE, _HEAVY = "L1, mask alone", "L1, filter loss x 100"
_LARGEST = "L1, at the largest unit"
_SIDES = (
    *REPORT_SIDES,
    _MASK_ALONE,
    _HEAVY,
    _LARGEST,
)
_NOTED = {
    "filter_gradient_ratio": "filter loss's gradient over the task's, median over epochs",
    "filter_gradient_cosine": "cosine of the two gradients, median over epochs",
    "masked_share": "activation behind the masks over that before, median over epochs",
}
_PANELS = {
    "filter_gradient_ratio": "norm of the filter loss's gradient over that of the task's",
    "filter_gradient_cosine": "cosine of the filter loss's and the task's gradient",
    "masked_share": "activation behind the masks over that before",
}
_CHANCE = {
    "instability_centre_unit": "always the middle unit",
    "instability_fixed_unit": "always one unit",
    "instability_random_unit": "any unit",
}


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Measure the pulls, correlate, and take L1 apart."""
    entries: list[Entry] = []
    claims: list[Claim] = []
    figures = {}
    for model in networks(evidence):
        pulls = {key: _medians(evidence, model, key) for key in _NOTED}
        entries += _entries(evidence, model, pulls)
        claims += [*_pull_claims(model, pulls), *_cost_claims(evidence, model)]
        claims += [
            *steadier(evidence, _MASK_ALONE, "standard"),
            *steadier(evidence, "L1", _MASK_ALONE),
            *steadier(evidence, _HEAVY, "L1"),
            *steadier(evidence, "L1", _LARGEST),
        ]
        for key, title in _PANELS.items():
            figures[f"{key.replace('_', '-')}-{model}"] = partial(
                epoch_curves, [(title, _curves(evidence, model, key))], columns=1,
                logarithmic=key == "filter_gradient_ratio",
                line=0.0 if key == "filter_gradient_cosine" else None,
            )  # fmt: skip
        figures[f"instability-and-accuracy-{model}"] = partial(
            instability_and_accuracy, *_points(evidence, model)
        )
    return Findings(tuple(entries), tuple(claims), figures, _notes(evidence))


def _entries(
    evidence: Evidence, model: str, pulls: Mapping[str, Mapping[str, tuple[float, ...]]]
) -> list[Entry]:
    entries = []
    for side in _SIDES:
        column = f"{model}, {side}"
        if side != "standard":
            entries += [Entry(told, column, pulls[key][side]) for key, told in _NOTED.items()]
        for key, told, kind in (
            ("instability", "location instability, mean", "number"),
            ("instability_masked", "the same behind the mask", "number"),
            *((key, f"the same by chance: {told}", "number") for key, told in _CHANCE.items()),
            ("accuracy", "accuracy, mean", "share"),
        ):
            entries.append(Entry(told, column, metric_means(evidence, model, side, key), kind=kind))
        below = tuple(
            a - b
            for a, b in zip(
                metric_means(evidence, model, "standard", "instability"),
                metric_means(evidence, model, side, "instability"),
                strict=True,
            )
        )
        if side != "standard":
            entries.append(Entry("location instability below the ordinary one's", column, below))
    correlation, p = rank_correlation(*_all_runs(evidence, model))
    column, told = f"{model}, all runs", "rank correlation of location instability and accuracy"
    return [*entries, Entry(told, column, (correlation,)), Entry("its p-value", column, (p,))]


def _pull_claims(model: str, pulls: Mapping[str, Mapping[str, tuple[float, ...]]]) -> list[Claim]:
    ratio, cosine = pulls["filter_gradient_ratio"], pulls["filter_gradient_cosine"]
    claims = [
        Claim(
            f"{model}: with {side} the two gradients do not point the same way (cosine below 0)",
            tuple(-value for value in cosine[side]),
        )
        for side in ("L1", "L2")
    ]
    for sloped, uniform in (
        ("L1", "uniform L1"),
        ("L2", "uniform L2"),
        ("L1", "uniform L1, index space"),
        ("L2", "uniform L2, index space"),
    ):
        claims.append(
            Claim(
                f"{model}: the filter loss pulls less with {uniform} than with {sloped}, beside "
                "the task",
                tuple(a - b for a, b in zip(ratio[sloped], ratio[uniform], strict=True)),
            )
        )
    return claims


def _cost_claims(evidence: Evidence, model: str) -> list[Claim]:
    """Over the sides, one rank correlation a seed."""
    text = "where location instability is lower, accuracy is lower (rank correlation over"
    found = []
    # what we added to take L1 apart is no evidence for what the report says of its own templates
    for told, sides in (("the report's sides", REPORT_SIDES), ("all sides", _SIDES)):
        still, right = (
            [metric_means(evidence, model, side, key) for side in sides]
            for key in ("instability", "accuracy")
        )
        pairs = zip(_by_seed(still), _by_seed(right), strict=True)
        each = tuple(rank_correlation(*pair)[0] for pair in pairs)
        found.append(Claim(f"{model}: {text} {told})", each))
    return found


def _by_seed(sides: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    return list(zip(*sides, strict=True))


def _all_runs(evidence: Evidence, model: str) -> tuple[list[float], list[float]]:
    """Instability and accuracy of every side and seed, means over categories."""
    first, second = (
        [value for side in _SIDES for value in metric_means(evidence, model, side, key)]
        for key in ("instability", "accuracy")
    )
    return first, second


def _medians(evidence: Evidence, model: str, key: str) -> dict[str, tuple[float, ...]]:
    """Median over epochs of a column, a mean over categories, one a seed, of each side."""
    found = {}
    for side in _SIDES[1:]:
        each = [[_median(run, key) for run in runs] for _, runs in side_runs(evidence, model, side)]
        found[side] = tuple(fmean(values) for values in zip(*each, strict=True))
    return found


def _median(run: Run, key: str) -> float:
    known = [value for value in _column(run, key) if isfinite(value)]
    return median(known) if known else nan


def _column(run: Run, key: str) -> list[float]:
    """A column of ``metrics.csv``; NaN where it is empty or not there."""
    values = [row.get(key) for row in run.history]
    return [nan if value is None else float(value) for value in values]


def _curves(evidence: Evidence, model: str, key: str) -> dict[str, np.ndarray]:
    """A column by epochs, a mean over categories, (seeds, epochs), of each side."""
    return {
        side: np.array(
            [[_column(run, key) for run in runs] for _, runs in side_runs(evidence, model, side)]
        ).mean(axis=0)
        for side in _SIDES[1:]
    }


def _points(
    evidence: Evidence, model: str
) -> tuple[dict[str, tuple[tuple[float, ...], tuple[float, ...]]], dict[str, float], float]:
    """Instability and accuracy of each side, their chance levels, a constant answer's accuracy."""
    points = {
        side: (
            metric_means(evidence, model, side, "instability"),
            metric_means(evidence, model, side, "accuracy"),
        )
        for side in _SIDES
    }
    chance = {
        told: fmean(metric_means(evidence, model, "standard", key)) for key, told in _CHANCE.items()
    }
    constant = [1 - constant_error(data.test) for data in evidence.by_category.values()]
    return points, chance, fmean(constant)


def _notes(evidence: Evidence) -> tuple[str, ...]:
    runs = [run for name, group in evidence.runs.items() for run in group
            if not name.endswith("standard")]  # fmt: skip
    silent = sum(not any("filter_gradient_ratio" in row for row in run.history) for run in runs)
    notes = [
        "gradients are those at the masked maps, on 256 training images after each epoch",
        "the p-value counts runs of one side as independent, which they are not",
        "the three sides that take L1 apart are ours: its masks without the filter loss, with "
        "a hundred times that loss, and with templates at the largest unit, not at the centroid",
    ]
    if silent:
        notes.append(
            f"{silent} of {len(runs)} runs noted no gradients; train them with --gradient_norms"
        )
    return (*notes, *small_note(evidence))


STUDY = part_study("parts-analysis", "discussion", _SIDES, analyse)
