"""Interpretations as lines for people and rows for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from filterscope.evaluation.interpretation import Interpretation, Reading
from filterscope.evaluation.interpretation_summary import READINGS, Mean, StateSummary, Summary
from filterscope.linear import Contributions

COLUMNS = (
    "image", "state", "preprocess", "label", "prediction", "probability", "logit", "input",
    "constants", *READINGS, "vote_entropy", "voting_labels", "labels_with_1_percent",
    "votes_for_prediction", "votes_for_clean_prediction", "votes_inside", "positive_inside",
    "object_area", "error",
)  # fmt: skip
"""Names of the cells of `rows`."""

_LARGEST = 4
_LAYERS = 40


def rows(found: Interpretation, classes: Sequence[str]) -> list[tuple[Any, ...]]:
    """One row for each state and place of mean and deviation; empty cells are undefined."""
    label = "" if found.label is None else classes[found.label]
    if found.error is not None:
        return [(str(found.image), "", "", label, *[""] * (len(COLUMNS) - 5), found.error)]
    return [
        (
            str(found.image), reading.state, way, label, reading.best.name,
            *map(_cell, (reading.best.probability, reading.best.logit, parts.input,
                           parts.residual)),
            *(_cell(getattr(reading.residuals[way], name)) for name in READINGS),
            *_vote_cells(found, reading), "",
        )
        for reading in found.readings
        for way, parts in reading.parts.items()
    ]  # fmt: skip


def _vote_cells(found: Interpretation, reading: Reading) -> list[str]:
    votes, inside = reading.votes, reading.votes_inside
    positive = reading.discussions[0].inside if reading.discussions else None
    return [
        *(["", "", ""] if votes is None
          else [_cell(votes.entropy), str(len(votes.labels)), str(votes.num_labels())]),
        _cell(reading.votes_for(reading.best.label)),
        _cell(reading.votes_for(reading.original.label)),
        "" if inside is None else _cell(inside.share),
        "" if positive is None else _cell(positive),
        "" if found.mask is None else _cell(float(found.mask.double().mean())),
    ]  # fmt: skip


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def describe(found: Interpretation, classes: Sequence[str]) -> str:
    """An interpretation in lines."""
    if found.error is not None:
        return f"{found.image}: {found.error}"
    known = "" if found.label is None else f"   true class: {classes[found.label]}"
    lines = [f"{found.image}{known}"]
    for reading in found.readings:
        lines += _describe_reading(found, reading, classes)
    return "\n".join(lines)


def _describe_reading(found: Interpretation, reading: Reading, classes: Sequence[str]) -> list[str]:
    lines = [] if reading.state == "clean" else [f"  {reading.state}: {_change(reading)}"]
    width = max(len(score.name) for score in reading.scores)
    lines += [
        f"  {score.name:<{width}}  {percent(score.probability):>7}  logit {number(score.logit):>8}"
        for score in reading.scores
    ]
    for way, parts in reading.parts.items():
        shares = reading.residuals[way]
        lines.append(
            f"  {reading.best.name} = image {signed(parts.input)} + constants "
            f"{signed(parts.residual)}   (normalisation {way} the network)"
        )
        if parts.layers:
            layers = (f"{name} {signed(value)}" for name, value in largest(parts))
            lines.append(f"    largest  {', '.join(layers)}")
        each = (f"{name.upper()} {percent(getattr(shares, name))}" for name in READINGS)
        lines.append(f"    residual {'  '.join(each)}")
    return lines + _describe_votes(found, reading, classes)


def _change(reading: Reading) -> str:
    if reading.best.label == reading.original.label:
        return f"still {reading.best.name}"
    original = reading.original
    return f"{original.name} falls to {percent(original.probability)}, now {reading.best.name}"


def _describe_votes(found: Interpretation, reading: Reading, classes: Sequence[str]) -> list[str]:
    votes, lines = reading.votes, []
    if votes is not None:
        leaders = ", ".join(
            f"{classes[one.label]} {percent(one.share)} (score rank {one.rank})"
            for one in votes.top(_LARGEST)
        )
        lines += [
            f"  votes    {leaders}",
            f"    entropy {votes.entropy:.2f} of at most {votes.chance_entropy:.2f} nats, "
            f"labels with at least 1 % of the pixels: {votes.num_labels()}; "
            f"{voters(reading, classes)}",
        ]
        if reading.best.label != reading.original.label:
            lines.append(
                f"    {reading.best.name} has {percent(reading.votes_for(reading.best.label))} of "
                f"them, {reading.original.name} "
                f"{percent(reading.votes_for(reading.original.label))}"
            )
    if found.mask is not None and reading.discussions:
        area = float(found.mask.double().mean())
        positive = reading.discussions[0].inside
        shares = [] if reading.votes_inside is None else [
            f"{percent(reading.votes_inside.share)} of its votes"]  # fmt: skip
        shares += [] if positive is None else [f"{percent(positive)} of its positive discussion"]
        lines.append(
            f"  object   {percent(area)} of the picture holds {' and '.join(shares)} "
            f"({reading.best.name})"
        )
    return lines


def voters(reading: Reading, classes: Sequence[str]) -> str:
    """Who took part in the votes, in words."""
    assert reading.votes is not None
    count = len(reading.votes.labels)
    if reading.votes.is_preview:
        return f"a preview among {count} of {len(classes)} labels"
    return f"all {count} labels vote"


def largest(parts: Contributions, count: int = _LARGEST) -> list[tuple[str, float]]:
    """The layers whose constants contribute most, by size."""
    return sorted(parts.layers, key=lambda part: -abs(part[1]))[:count]


def number(value: float) -> str:
    """A score or a part of one.

    Examples:
        >>> number(33.5248), number(0.0000123)
        ('33.525', '1.23e-05')
    """
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.01 else f"{value:.2e}"


def signed(value: float) -> str:
    """A part of a score with its sign."""
    return f"{'+' if value >= 0 else ''}{number(value)}"


def percent(value: float) -> str:
    """A share in per cent, or that it is undefined."""
    return "undefined" if math.isnan(value) else f"{100 * value:.1f} %"


def describe_summary(summary: Summary) -> str:
    """A set of images in lines."""
    unread = f", {summary.num_errors} not readable" if summary.num_errors else ""
    lines = [f"{summary.num_images} images{unread}"]
    for state in summary.states:
        lines += _describe_state(state)
    for way in summary.states[0].histograms if summary.states else ():
        lines += _contribution_table(summary.states, way)
    return "\n".join(lines)


def _contribution_table(states: Sequence[StateSummary], way: str) -> list[str]:
    """Mean and deviation of each layer's part, one column a state; of many layers the largest."""
    histograms = [state.histograms[way] for state in states]
    names = histograms[0].layers
    sizes = histograms[0].mean.abs()
    kept = sorted(sizes.argsort(descending=True, stable=True)[:_LAYERS].tolist())
    title = f"  contributions to the best score, mean ± deviation, normalisation {way} the network"
    if len(kept) < len(names):
        title += f"; the {_LAYERS} largest of {len(names)}"
    cells = [["", *(state.state for state in states)]]
    for k in kept:
        cells.append([names[k], *(_bar(float(h.mean[k]), float(h.std[k])) for h in histograms)])
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    table = ["  ".join(cell.rjust(w) if i else cell.ljust(w)
                       for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
             for row in cells]  # fmt: skip
    return [title, *(f"    {row}".rstrip() for row in table)]


def _bar(mean: float, deviation: float) -> str:
    return signed(mean) if math.isnan(deviation) else f"{signed(mean)} ± {number(deviation)}"


def _describe_state(state: StateSummary) -> list[str]:
    accuracy, changed = state.accuracy, state.changed
    told = [f"{state.state}"]
    if accuracy.count:
        told.append(f"top-1 accuracy {percent(accuracy.value)} (n={accuracy.count})")
    if state.state != "clean":
        told.append(f"another label on {percent(changed.value)} (n={changed.count})")
    lines = ["  " + "   ".join(told)]
    for way, shares in state.residuals.items():
        each = "  ".join(f"{name.upper()} {spread(shares[name])}" for name in READINGS)
        count = ", ".join(dict.fromkeys(str(shares[name].count) for name in READINGS))
        lines += [f"    residual, normalisation {way} the network (n={count})", f"      {each}"]
    if state.entropy.count:
        preview = ", a preview" if state.is_preview else ""
        lines.append(
            f"    votes (n={state.entropy.count}{preview})  entropy {state.entropy.value:.2f} of "
            f"{state.chance_entropy.value:.2f} nats, {state.num_labels.value:.1f} labels with 1 %, "
            f"{percent(state.votes_for_best.value)} for the best label"
        )
    if state.area.count:
        lines.append(
            f"    object (n={state.area.count})  {percent(state.area.value)} of the area holds "
            f"{percent(state.votes_inside.value)} of the best label's votes, "
            f"{percent(state.positive_inside.value)} of its positive discussion"
        )
    return lines


def spread(mean: Mean) -> str:
    """A mean share with its deviation over the images, in per cent."""
    if not mean.count:
        return "undefined"
    deviation = "" if math.isnan(mean.deviation) else f" ± {100 * mean.deviation:.1f}"
    return f"{100 * mean.value:.1f}{deviation} %"
