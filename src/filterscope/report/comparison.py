"""Runs grouped into sides, with mean, spread and paired differences of every metric."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from filterscope.core.brief import Brief
from filterscope.report.numbers import METRICS, Metric
from filterscope.runs import Run
from filterscope.runs.identity import settings_digest


@dataclass(frozen=True, repr=False)
class Side(Brief):
    """Runs that differ only in their seed.

    Attributes:
        label: A short name.
        runs: At least one, by rising seed.
    """

    label: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of each run."""
        return tuple(run.config["seed"] for run in self.runs)

    def values(self, metric: str) -> list[float]:
        """The metric of each run; empty where it does not apply."""
        found = [_metrics(run).get(metric) for run in self.runs]
        known = [float(value) for value in found if value is not None]
        return known if len(known) == len(self.runs) else []

    def mean(self, metric: str) -> float | None:
        """Mean over the runs; None where the metric does not apply."""
        values = self.values(metric)
        return fmean(values) if values else None

    def spread(self, metric: str) -> float | None:
        """Standard deviation over the runs; None with fewer than two."""
        values = self.values(metric)
        return stdev(values) if len(values) > 1 else None


@dataclass(frozen=True)
class Difference:
    """How far a side's metric lies from the baseline's.

    Attributes:
        mean: Mean difference.
        spread: Standard deviation of the paired differences; None for one pair or none.
        each: Differences of the runs with equal seeds; empty where seeds do not match.
    """

    mean: float
    spread: float | None
    each: tuple[float, ...]


@dataclass(frozen=True, repr=False)
class Comparison(Brief):
    """Sides to be shown beside each other; the first is the baseline.

    Attributes:
        sides: At least one.
        warnings: What makes the numbers not comparable, in words.
    """

    sides: tuple[Side, ...]
    warnings: tuple[str, ...]

    @property
    def metrics(self) -> list[Metric]:
        """Metrics that at least one side has."""
        return [m for m in METRICS if any(side.values(m.key) for side in self.sides)]

    def difference(self, side: Side, metric: str) -> Difference | None:
        """Distance of a side from the baseline, paired by seed where the seeds are the same."""
        baseline = self.sides[0]
        ours, theirs = side.values(metric), baseline.values(metric)
        if not ours or not theirs:
            return None
        each: tuple[float, ...] = ()
        if side.seeds == baseline.seeds:
            each = tuple(a - b for a, b in zip(ours, theirs, strict=True))
        return Difference(fmean(ours) - fmean(theirs), stdev(each) if len(each) > 1 else None, each)

    def console_table(self) -> str:
        """The comparison as text, one row a side."""
        from filterscope.report.numbers import text_table

        return text_table(self)


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """Group evaluated runs into sides.

    Args:
        runs: Of `load_run`, evaluated. Sides keep the order of their first runs, but standard
            training comes first: the first side is the baseline.

    Returns:
        The comparison.

    Raises:
        ValueError: No run, one that was not evaluated, or one that is given twice.
    """
    if not runs:
        raise ValueError("no runs to compare")
    _refuse_repeated(runs)
    groups: dict[str, list[Run]] = {}
    for run in runs:
        if run.evaluation is None or run.arrays is None:
            raise ValueError(f"{run.path} was not evaluated; run `filterscope evaluate {run.path}`")
        groups.setdefault(settings_digest(run.config), []).append(run)
    members = [sorted(group, key=lambda run: int(run.config["seed"])) for group in groups.values()]
    members.sort(key=lambda group: group[0].config["method"] != "standard")  # stable
    labels = _labels(members)
    sides = tuple(Side(label, tuple(group)) for label, group in zip(labels, members, strict=True))
    return Comparison(sides, (*_warnings(runs), *_repeated_seeds(sides)))


def _refuse_repeated(runs: Sequence[Run]) -> None:
    """Raise for a run that is given twice: it would count as two seeds without any spread."""
    seen: set[Path] = set()
    for run in runs:
        path = run.path.resolve()
        if path in seen:
            raise ValueError(f"{run.path} is given twice")
        seen.add(path)


def _repeated_seeds(sides: Sequence[Side]) -> list[str]:
    """Say where runs of one side have one seed, as copies of a run have."""
    return [
        f"{one.path} and {other.path} are the same experiment with the same seed: their spread is "
        "not that between seeds"
        for side in sides
        for one, other in pairwise(side.runs)
        if one.config["seed"] == other.config["seed"]
    ]


def _labels(groups: list[list[Run]]) -> list[str]:
    """Name the sides after their first run's folder, without its seed where that is distinct."""
    labels = [re.sub(r"[-_.](s|seed)[-_]?\d+$", "", group[0].label) for group in groups]
    if len(set(labels)) < len(labels):
        labels = [group[0].label for group in groups]
    if len(set(labels)) < len(labels):  # runs of equal names in different folders
        folders = [group[0].path.resolve().parent.name for group in groups]
        labels = [f"{folder}/{label}" for folder, label in zip(folders, labels, strict=True)]
    if len(set(labels)) < len(labels):
        labels = [f"{label} ({i})" for i, label in enumerate(labels, start=1)]
    return labels


def _warnings(runs: Sequence[Run]) -> list[str]:
    """Say where two evaluations measured different things."""
    names = {
        "data": "test data",
        "num_samples": "number of test images",
        "num_classes": "number of classes",
        "balanced": "sampling of the mutual information",
        "seed": "seed of the estimator",
        "target": "target of the mutual information",
    }
    found = []
    for key, words in names.items():
        values = {str(_settings(run).get(key)) for run in runs}
        if len(values) > 1:
            found.append(f"the runs differ in the {words}: {', '.join(sorted(values))}")
    return found


def _metrics(run: Run) -> dict[str, Any]:
    return dict((run.evaluation or {}).get("metrics", {}))


def _settings(run: Run) -> dict[str, Any]:
    return dict((run.evaluation or {}).get("settings", {}))
