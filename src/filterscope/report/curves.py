"""Figures over time and over thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterscope.report.comparison import Comparison, Side
from filterscope.report.theme import Theme, legend_name


def training_curves(comparison: Comparison, theme: Theme) -> Figure:
    """Test accuracy of both paths, test loss, and density, over the epochs.

    Several seeds give their mean and, shaded, their range.
    """
    gated = any(_series(side, "density") is not None for side in comparison.sides)
    names = [("test_accuracy", "test accuracy"), ("test_loss", "test loss")]
    names += [("density", "L1-density of the gate")] if gated else []
    figure = Figure(figsize=(9.2, 2.6), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(names)))
    twins = {"test_accuracy": "test_gated_accuracy", "test_loss": "test_gated_loss"}
    for axis, (name, title) in zip(axes, names, strict=True):
        for i, side in enumerate(comparison.sides):
            color = theme.series[i % len(theme.series)]
            _plot(axis, side, name, color, "-", side.label)
            if name in twins:
                _plot(axis, side, twins[name], color, ":", f"{side.label}, gated path")
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.grid(True, axis="y")
        axis.xaxis.get_major_locator().set_params(integer=True)
    axes[1].set_yscale("log")
    if axes[0].get_legend_handles_labels()[0]:  # no epoch, no curve
        axes[0].legend(fontsize=7.5, loc="lower right")
    return figure


def redundancy_curves(comparison: Comparison, theme: Theme) -> Figure:
    """Share of filter pairs whose correlation is at least s, over s; the diagonal left out."""
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axis = figure.subplots()
    for i, side in enumerate(comparison.sides):
        arrays = [run.arrays for run in side.runs if run.arrays and "correlation" in run.arrays]
        if not arrays:
            continue
        thresholds = arrays[0]["redundancy_thresholds"]
        curves = np.stack([a["redundancy_curve_off_diagonal"] for a in arrays])
        _band(axis, thresholds, curves, theme.series[i % len(theme.series)], "-", side.label)
    axis.set_xlabel("s")
    axis.set_ylabel("share of pairs >= s")
    axis.set_ylim(bottom=0)
    axis.grid(True, axis="y")
    axis.legend(fontsize=7.5)
    return figure


def _series(side: Side, name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Epochs, counted from 1, and the values of each run; None where there are none."""
    rows: list[list[Any]] = [[row.get(name) for row in run.history] for run in side.runs]
    length = min(map(len, rows), default=0)
    values = np.array([[np.nan if v is None else v for v in row[:length]] for row in rows], float)
    if not length or np.isnan(values).all():
        return None
    return np.arange(1, length + 1), values


def _plot(axis: Any, side: Side, name: str, color: str, line: str, label: str) -> None:
    found = _series(side, name)
    if found is not None:
        _band(axis, *found, color, line, label)


def _band(axis: Any, x: np.ndarray, y: np.ndarray, color: str, line: str, label: str) -> None:
    axis.plot(x, y.mean(axis=0), line, color=color, linewidth=1.4, label=legend_name(label))
    if len(y) > 1:
        axis.fill_between(x, y.min(axis=0), y.max(axis=0), color=color, alpha=0.18, linewidth=0)
