"""What the studies of networks with part templates have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isnan, nan
from statistics import fmean
from typing import Any

from filterscope.runs import Run
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import PART_ACCURACY, PART_ANIMALS, PART_INSTABILITY
from filterscope.studies.verdict import Claim

PAPER_DATA = "part-folder:voc-parts"
MODELS = ("alexnet_parts", "vgg16_parts", "vgg_m_parts", "vgg_s_parts")
REPORT_SIDES = (
    "standard",
    "L1",
    "L2",
    "uniform L1",
    "uniform L2",
    "uniform L1, index space",
    "uniform L2, index space",
)
"""The ordinary network and the report's templates, the uniform ones in both readings."""
CURVES: Mapping[str, Any] = {
    "image_size": 32,
    "epochs": 150,
    "lr": 0.01,
    "schedule": "constant",
}
"""Long training of small networks at one rate, so that the curves are not the schedule's."""

_CHANCE = {
    "instability_centre_unit": "always the middle unit",
    "instability_fixed_unit": "always one unit, mean over units",
    "instability_random_unit": "any unit",
}
_BESIDE = {
    "peak_spread": "spread of the peaks",
    "peak_spread_random_unit": "spread by chance: any unit",
    "peak_units": "distinct peak units",
    "peak_units_random_unit": "distinct units by chance: any unit",
    "part_interpretability": "part interpretability",
    "part_interpretability_centre_unit": "interpretability by chance: always the middle unit",
    "part_interpretability_fixed_unit": "interpretability by chance: always one unit",
    "part_interpretability_random_unit": "interpretability by chance: any unit",
}


def part_study(
    name: str,
    printed_as: str,
    sides: tuple[str, ...],
    analyse: Callable[[Evidence, StudySettings], Findings],
    *,
    models: tuple[str, ...] = MODELS,
    **settings: Any,
) -> Study:
    """Describe a study whose networks learn one category each, against negatives.

    Args:
        name: As on the command line.
        printed_as: Where Ong and Liu print it.
        sides: Names of `filterscope.studies.recipes.SIDES`.
        analyse: Computes the findings.
        models: The paper's architectures; quick and smoke train a small one from scratch.
        **settings: More attributes of `Study`.
    """
    return Study(
        name=name,
        source=f"Ong and Liu, {printed_as}",
        sides=sides,
        paper_data=PAPER_DATA,
        analyse=analyse,
        models=models,
        small=("resnet20",),
        embedded="digit-parts",
        by_category=True,
        **settings,
    )


def networks(evidence: Evidence) -> list[str]:
    """The architectures of a study."""
    return list(dict.fromkeys(str(runs[0].config["model"]) for runs in evidence.runs.values()))


def categories(evidence: Evidence) -> list[str]:
    """The categories of a study; each was learned by networks of its own."""
    return list(dict.fromkeys(name.split(", ", 1)[0] for name in evidence.runs))


def side_runs(evidence: Evidence, model: str, side: str) -> Iterator[tuple[str, tuple[Run, ...]]]:
    """Each category with the runs of one side of one architecture."""
    for category in categories(evidence):
        yield category, evidence.runs[f"{category}, {model}, {side}"]


def metric_means(evidence: Evidence, model: str, side: str, key: str) -> tuple[float, ...]:
    """A number of the evaluation, a mean over categories, one a seed; NaN where one lacks it."""
    each = [_values(runs, key) for _, runs in side_runs(evidence, model, side)]
    return tuple(fmean(values) for values in zip(*each, strict=True))


def instability_entries(evidence: Evidence, sides: Sequence[str]) -> list[Entry]:
    """Location instability of each category with its chance levels, and what stands beside it."""
    entries = []
    for model in networks(evidence):
        for side in sides:
            column = f"{model}, {side}"
            printed = _printed(evidence, PART_INSTABILITY, model, side)
            for category, runs in side_runs(evidence, model, side):
                values = _values(runs, "instability")
                entries.append(
                    Entry(
                        f"location instability, {category}", column, values, printed.get(category)
                    )
                )
            for key, name in {
                "instability": "location instability, mean",
                "instability_masked": "the same behind the mask",
                "instability_official": "the same, training images too",
                **{key: f"the same by chance: {name}" for key, name in _CHANCE.items()},
                **_BESIDE,
            }.items():
                value = printed.get("mean") if key == "instability" else None
                kind = "share" if key.startswith("part_interpretability") else "number"
                found = metric_means(evidence, model, side, key)
                entries.append(Entry(name, column, found, value, kind))
    return entries


def accuracy_entries(evidence: Evidence, sides: Sequence[str]) -> list[Entry]:
    """Accuracy of each category and its mean."""
    entries = []
    for model in networks(evidence):
        for side in sides:
            column = f"{model}, {side}"
            if len(categories(evidence)) > 1:
                for category, runs in side_runs(evidence, model, side):
                    values = _values(runs, "accuracy")
                    entries.append(Entry(f"accuracy, {category}", column, values, kind="share"))
            printed = _printed(evidence, PART_ACCURACY, model, side).get("mean")
            found = metric_means(evidence, model, side, "accuracy")
            entries.append(Entry("accuracy, mean", column, found, printed, "share"))
    return entries


def steadier(evidence: Evidence, better: str, worse: str) -> list[Claim]:
    """Claim for each architecture that one side has the lower location instability.

    Twice where a side is masked: before the masks, which is what the filters learned, and behind
    them, where a mask moves the peaks towards its own centre.
    """
    claims = []
    for model in networks(evidence):
        mine = _printed(evidence, PART_INSTABILITY, model, better).get("mean")
        theirs = _printed(evidence, PART_INSTABILITY, model, worse).get("mean")
        published = None if mine is None or theirs is None else round(theirs - mine, 4)
        text = f"{model}: {better} has a lower location instability than {worse}"
        before = _differences(evidence, model, "instability", worse, better)
        claims.append(Claim(text, before, published))
        behind = [_behind(evidence, model, side) for side in (worse, better)]
        if any(found != metric_means(evidence, model, side, "instability")
               for found, side in zip(behind, (worse, better), strict=True)):  # fmt: skip
            each = tuple(a - b for a, b in zip(*behind, strict=True))
            claims.append(Claim(f"{text}, behind the mask", each))
    return claims


def _behind(evidence: Evidence, model: str, side: str) -> tuple[float, ...]:
    """Location instability behind the mask, or of the map as it is where nothing masks it."""
    masked = metric_means(evidence, model, side, "instability_masked")
    plain = metric_means(evidence, model, side, "instability")
    return plain if all(map(isnan, masked)) else masked


def more_accurate(evidence: Evidence, better: str, worse: str) -> list[Claim]:
    """Claim for each architecture that one side has the higher accuracy."""
    claims = []
    for model in networks(evidence):
        mine = _printed(evidence, PART_ACCURACY, model, better).get("mean")
        theirs = _printed(evidence, PART_ACCURACY, model, worse).get("mean")
        claims.append(
            Claim(
                f"{model}: {better} is more accurate than {worse}",
                _differences(evidence, model, "accuracy", better, worse),
                None if mine is None or theirs is None else round(mine - theirs, 4),
            )
        )
    return claims


def below_chance(evidence: Evidence, sides: Sequence[str]) -> list[Claim]:
    """Claim for each side that it is steadier than a filter that always peaks in the middle."""
    claims = []
    for model in networks(evidence):
        for side in sides:
            mine = metric_means(evidence, model, side, "instability")
            middle = metric_means(evidence, model, side, "instability_centre_unit")
            claims.append(
                Claim(
                    f"{model}: {side} has a lower location instability than the middle unit",
                    tuple(b - a for a, b in zip(mine, middle, strict=True)),
                )
            )
    return claims


def small_note(evidence: Evidence) -> tuple[str, ...]:
    """Say where the networks are not the paper's."""
    if set(networks(evidence)) <= set(MODELS):
        return (
            "these networks are trained from scratch; the published ones start from weights of "
            "ImageNet",
        )
    return (
        "these networks are small and trained from scratch on small images; the published ones "
        "start from weights of ImageNet",
    )


def _values(runs: Sequence[Run], key: str) -> tuple[float, ...]:
    found = [(run.evaluation or {})["metrics"].get(key) for run in runs]
    return tuple(nan if value is None else float(value) for value in found)


def _differences(
    evidence: Evidence, model: str, key: str, more: str, less: str
) -> tuple[float, ...]:
    first, second = (metric_means(evidence, model, side, key) for side in (more, less))
    return tuple(a - b for a, b in zip(first, second, strict=True))


def _printed(
    evidence: Evidence, table: Mapping[str, Mapping[str, tuple[float, ...]]], model: str, side: str
) -> dict[str, float]:
    """Published numbers by category and "mean", for the paper's data alone."""
    values = table.get(model, {}).get(side, ())
    if evidence.data != PAPER_DATA or not values:
        return {}
    return dict(zip((*PART_ANIMALS, "mean")[-len(values) :], values, strict=True))
