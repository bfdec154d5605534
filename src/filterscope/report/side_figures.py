"""Figures of many sides with part templates: curves over epochs, and numbers of all runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterscope.report.theme import Theme

_TEMPLATES = ("L1", "L2", "uniform L1", "uniform L2")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


def side_style(side: str, theme: Theme) -> tuple[str, str]:
    """Colour and line of a side: one colour a template, another line for its variants.

    Args:
        side: As studies name it: "standard", "L1", "uniform L1, index space" and so on.
        theme: Colours.

    Examples:
        >>> from filterscope.report.theme import LIGHT
        >>> side_style("L1", LIGHT)[0] == side_style("L1, mask alone", LIGHT)[0]
        True
    """
    template, _, variant = side.partition(", ")
    known = template in _TEMPLATES
    color = theme.series[_TEMPLATES.index(template) if known else len(theme.series) - 1]
    lines = {"": "-", "mask alone": ":", "at the largest unit": "-."}
    return color, lines.get(variant, "--")


def epoch_curves(
    panels: Sequence[tuple[str, Mapping[str, np.ndarray]]],
    theme: Theme,
    *,
    columns: int = 2,
    logarithmic: bool = False,
    line: float | None = None,
) -> Figure:
    """Curves over the epochs: mean over seeds, and their range shaded.

    Args:
        panels: Title, and for each side the values of each seed and epoch, (seeds, epochs); NaN
            where there is none.
        theme: Colours.
        columns: Panels in a row.
        logarithmic: Whether the values are on a logarithmic scale.
        line: A value to draw across.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(9.2, 0.5 + 2.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey="row")
    handles: dict[str, Any] = {}
    for axis, (title, curves) in zip(axes.flat, panels, strict=False):
        for side, values in curves.items():
            if np.isnan(values).all() or (logarithmic and not (values > 0).any()):
                continue
            color, dashes = side_style(side, theme)
            epochs = np.arange(1, values.shape[1] + 1)
            with np.errstate(all="ignore"):
                (drawn,) = axis.plot(epochs, values.mean(axis=0), dashes, color=color, lw=1.4)
                low, high = values.min(axis=0), values.max(axis=0)
            axis.fill_between(epochs, low, high, color=color, alpha=0.14, linewidth=0)
            handles.setdefault(side, drawn)
        if line is not None:
            axis.axhline(line, color=theme.ink, linewidth=0.7, linestyle=(0, (1, 3)))
        if logarithmic:
            axis.set_yscale("log")
        axis.set_title(title)
        axis.grid(True, axis="y")
        axis.xaxis.get_major_locator().set_params(integer=True)
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    for axis in list(axes.flat)[len(panels) :]:
        axis.set_visible(False)
    if handles:
        figure.legend(
            list(handles.values()), list(handles), loc="outside upper center", ncols=4, fontsize=7.5
        )
    return figure


def instability_and_accuracy(
    points: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    chance: Mapping[str, float],
    least_accuracy: float,
    theme: Theme,
) -> Figure:
    """Location instability against accuracy, one mark a run, with their chance levels as lines.

    Args:
        points: For each side instability and accuracy of its runs.
        chance: Instability that filters reach that know nothing, by name.
        least_accuracy: What a constant answer reaches.
        theme: Colours.
    """
    figure = Figure(figsize=(9.2, 4.4), layout="constrained")
    axis = figure.subplots()
    for i, (side, (instability, accuracy)) in enumerate(points.items()):
        color, _ = side_style(side, theme)
        filled = ", " not in side
        axis.plot(
            instability, accuracy, _MARKS[i % len(_MARKS)], color=color, label=side, markersize=6,
            markerfacecolor=color if filled else "none", linestyle="none",
        )  # fmt: skip
    for name, value in chance.items():
        axis.axvline(value, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 3)))
        axis.annotate(
            name, (value, 1), xycoords=("data", "axes fraction"), xytext=(2, -2),
            textcoords="offset points", rotation=90, va="top", fontsize=7,
        )  # fmt: skip
    axis.axhline(least_accuracy, color=theme.ink, linewidth=0.8, linestyle=(0, (1, 3)))
    axis.annotate(
        "a constant answer", (1, least_accuracy), xycoords=("axes fraction", "data"),
        xytext=(-2, 2), textcoords="offset points", ha="right", fontsize=7,
    )  # fmt: skip
    axis.set_xlabel("location instability")
    axis.set_ylabel("accuracy")
    axis.grid(True)
    axis.set_axisbelow(True)
    figure.legend(loc="outside right center", fontsize=7.5)
    return figure
