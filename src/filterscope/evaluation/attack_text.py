"""Attacks and their detection as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isnan

from filterscope.attacks import DetectionError
from filterscope.core.text_tables import aligned
from filterscope.evaluation.attacks import AttackResult, Outcome
from filterscope.evaluation.detection_result import COSINES, AttackDetection, Detection

Table = list[list[str]]
"""Rows of cells, the first of them the head."""


def percent(value: float, digits: int = 2) -> str:
    """A share in per cent; a dash where it is not defined.

    Examples:
        >>> percent(0.125), percent(float("nan"))
        ('12.50 %', '-')
    """
    return "-" if isnan(value) else f"{100 * value:.{digits}f} %"


def attack_table(result: AttackResult) -> Table:
    """What each attack reached, one row an attack."""
    head = ["attack", "success", "images", "queries (median, total)", "largest change",
            "mean L2 norm", "changed pixels"]  # fmt: skip
    return [head, *(_outcome_row(one) for one in result.outcomes)]


def _outcome_row(one: Outcome) -> list[str]:
    median, change, norm, pixels = (
        "-" if isnan(value) else shown
        for value, shown in (
            (one.median_queries, f"{one.median_queries:.0f}"),
            (one.largest_change, f"{255 * one.largest_change:.1f}/255"),
            (one.mean_norm, f"{one.mean_norm:.3f}"),
            (one.mean_pixels, f"{one.mean_pixels:.1f}"),
        )
    )
    queries = f"{median}, {one.total_queries}"
    return [one.name, percent(one.success_rate, 1), f"{one.successes} of {one.attempted}", queries,
            change, norm, pixels]  # fmt: skip


def attack_notes(result: AttackResult) -> list[str]:
    """What a reader should know, in sentences."""
    told = [
        f"accuracy before any attack {percent(result.accuracy)} of {result.num_tested} test "
        f"images; the {result.misclassified} that are misclassified anyway are not attacked",
        _how(result),
    ]
    told += result.notes
    return told + [f"{one.name}: {note}" for one in result.outcomes for note in one.notes]


def _how(result: AttackResult) -> str:
    """The attacks' settings in one sentence."""
    aim = "targets are random wrong classes" if result.settings["targeted"] else "untargeted"
    each = (
        f"{one.name} with {', '.join(f'{k} {_value(v)}' for k, v in one.options.items())}"
        if one.options
        else f"{one.name} with its defaults"
        for one in result.outcomes
    )
    return "; ".join([f"{aim}, seed {result.settings['seed']}", *each])


def _value(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe_attacks(result: AttackResult) -> str:
    """Table and notes as text."""
    return "\n".join(
        [*aligned(attack_table(result)), *(f"note: {n}" for n in attack_notes(result))]
    )


def detection_table(found: Mapping[str, Detection]) -> Table:
    """The detectors' errors, one row a network and attack, one column a number of images."""
    sizes = sorted({size for one in found.values() for size in one.sizes})
    head = ["network", "attack", "success", *(f"error, {size} a class" for size in sizes),
            "ROC area", "error, learned from the others"]  # fmt: skip
    rows = [
        _detection_row(name, one, sizes)
        for name, detection in found.items()
        for one in detection.attacks
    ]
    return [head, *rows]


def _detection_row(name: str, one: AttackDetection, sizes: Sequence[int]) -> list[str]:
    errors = [error_cell(one.errors.get(size)) for size in sizes]
    largest = one.errors[max(one.errors)]
    area = "-" if isnan(largest.error) else f"{largest.areas.mean():.4f}"
    return [name, one.name, percent(one.success_rate, 1), *errors, area, error_cell(one.transfer)]


def error_cell(error: DetectionError | None) -> str:
    """Mean error and its spread over the repeats."""
    if error is None:
        return "-"
    spread = "" if isnan(error.spread) else f" ± {100 * error.spread:.2f}"
    return percent(error.error) + spread


def cosine_table(detection: Detection) -> Table:
    """Mean cosines at the first, the middle and the last convolution, one row an attack."""
    last = len(detection.layers) - 1
    places = sorted({0, last // 2, last})
    head = ["attack", "cosine to the mean of", *(detection.layers[k] for k in places)]
    rows = [
        [one.name, told, *(f"{one.cosines[row, k]:.4f}" for k in places)]
        for one in detection.attacks
        for row, told in enumerate(COSINES)
    ]
    return [head, *rows]


def detection_notes(detection: Detection) -> list[str]:
    """What a reader should know, in sentences."""
    settings = detection.settings
    told = [
        f"{detection.num_features} features after {len(detection.layers)} convolutions "
        f"({settings['features']}), {settings['trees']} trees, {settings['repeats']} repeats; ± is "
        "the standard deviation over repeats; chance errs in 50 %",
        settings["sampling"],
        f"{_attack_settings(detection)}; {settings['test_per_class']} test images of a class",
    ]
    told += misclassified_note(detection)
    told += detection.notes
    for one in detection.attacks:
        if one.unchanged:
            told.append(f"{one.name} left {one.unchanged} images as they were: they are left out")
        told += [f"{one.name}: {note}" for note in one.notes]
    return told


def _attack_settings(detection: Detection) -> str:
    """What the attacks were given, of those that were made."""
    settings, names = detection.settings, {one.name for one in detection.attacks}
    told = ["targets are random wrong classes" if settings["targeted"] else "untargeted"]
    told.append(f"seed {settings['seed']}")
    if names & {"fgsm", "pgd"}:
        told.append(f"epsilon {settings['epsilon']}")
    if "pgd" in names:
        told.append(f"pgd {settings['pgd_steps']} steps of {settings['pgd_step_size']}")
    if "cw" in names:
        told.append(f"cw {settings['cw_searches']} descents of {settings['cw_steps']} steps")
    return ", ".join(told)


def misclassified_note(detection: Detection) -> list[str]:
    """How many images are left out because the network errs on them anyway."""
    left = [detection.settings.get(f"misclassified_{name}") for name in ("train", "test")]
    if None in left:
        return []  # written by a version that did not count them
    return [f"misclassified anyway and left out: {left[0]} training and {left[1]} test images"]


def describe_detection(found: Mapping[str, Detection]) -> str:
    """Tables and notes of one network, or of a network and its baseline, as text."""
    told = aligned(detection_table(found))
    for name, detection in found.items():
        told += ["", f"{name}:", *aligned(cosine_table(detection))]
        told += [f"note: {note}" for note in detection_notes(detection)]
    return "\n".join(told)
