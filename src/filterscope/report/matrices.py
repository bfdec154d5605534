"""Figures of matrices: gate, contributions, mutual information, overlap, correlations."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from filterscope.metrics.functional import strongest_elements
from filterscope.report.class_matrices import NAMED_CLASSES
from filterscope.report.theme import Theme
from filterscope.runs import Run


def filter_order(run: Run) -> np.ndarray:
    """Filters ordered by class: by the gate's class, else by the class of the largest MI.

    Within a class, the filters with more MI come first.
    """
    arrays = run.arrays or {}
    mi = arrays["mi"]
    owner = arrays["gate"].argmax(axis=0) if "gate" in arrays else mi.argmax(axis=0)
    return np.lexsort((-mi.max(axis=0), owner))


def gate_figure(run: Run, theme: Theme) -> Figure:
    """The gate matrix, filters ordered by class."""
    gate = (run.arrays or {})["gate"][:, filter_order(run)]
    figure, axis = _wide(run)
    shown = axis.imshow(
        gate, aspect="auto", cmap=theme.ramp, vmin=0, vmax=1, interpolation="nearest"
    )
    _class_rows(axis, run)
    axis.set_xlabel(f"{gate.shape[1]} filters, ordered by the gate's class")
    figure.colorbar(shown, ax=axis, pad=0.01, label="gate")
    return figure


def contributions_figure(run: Run, theme: Theme) -> Figure:
    """What each filter contributes to the logit of each class on its images, ordered by class."""
    arrays = run.arrays or {}
    contributions = arrays["contributions"][:, filter_order(run)]
    largest = float(np.nanmax(np.abs(contributions), initial=0)) or 1.0
    figure, axis = _wide(run)
    shown = axis.imshow(
        contributions,
        aspect="auto",
        cmap=theme.balance,
        vmin=-largest,
        vmax=largest,
        interpolation="nearest",
    )
    _class_rows(axis, run)
    by = "the gate's class" if "gate" in arrays else "the class of their largest MI"
    axis.set_xlabel(f"{contributions.shape[1]} filters, ordered by {by}")
    figure.colorbar(shown, ax=axis, pad=0.01, label="in units of the logit")
    return figure


def mi_figure(run: Run, top: float, theme: Theme) -> Figure:
    """The mutual-information matrix, filters ordered by class.

    Args:
        run: The run.
        top: End of the colour scale, the same for all runs of a report.
        theme: Colours.
    """
    arrays = run.arrays or {}
    figure, axis = _wide(run)
    shown = axis.imshow(
        arrays["mi"][:, filter_order(run)],
        aspect="auto",
        cmap=theme.ramp,
        vmin=0,
        vmax=top,
        interpolation="nearest",
    )
    _class_rows(axis, run)
    by = "the gate's class" if "gate" in arrays else "the class of their largest MI"
    axis.set_xlabel(f"{arrays['mi'].shape[1]} filters, ordered by {by}")
    figure.colorbar(shown, ax=axis, pad=0.01, label="MI (nats)")
    return figure


def overlap_figure(run: Run, theme: Theme) -> Figure:
    """Where the gate is open and where the strongest MI entries lie (the paper's figure 4c)."""
    import torch

    arrays = run.arrays or {}
    opened = arrays["gate"] > 0.5
    strongest = strongest_elements(torch.from_numpy(arrays["mi"]), int(opened.sum())).numpy()
    kinds = (opened.astype(int) + 2 * strongest)[:, filter_order(run)]
    colors = [theme.paper, theme.faint, theme.series[1], theme.series[0]]
    figure, axis = _wide(run)
    axis.imshow(
        kinds, aspect="auto", cmap=ListedColormap(colors), vmin=0, vmax=3, interpolation="nearest"
    )
    _class_rows(axis, run)
    axis.set_xlabel(f"{kinds.shape[1]} filters, ordered by the gate's class")
    names = ["gate open only", "strongest MI only", "both"]
    figure.legend(
        handles=[Patch(color=c, label=n) for c, n in zip(colors[1:], names, strict=True)],
        loc="outside upper left",
        ncols=3,
        fontsize=7.5,
    )
    return figure


def correlation_figure(run: Run, theme: Theme) -> Figure:
    """Correlation of the layer's filters, ordered by class on both axes."""
    arrays = run.arrays or {}
    order = filter_order(run)
    figure = Figure(figsize=(4.4, 3.6), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(
        arrays["correlation"][np.ix_(order, order)],
        cmap=theme.balance,
        vmin=-1,
        vmax=1,
        interpolation="nearest",
    )
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_xlabel("filters, ordered by class")
    axis.set_ylabel("filters, ordered by class")
    figure.colorbar(shown, ax=axis, pad=0.02, shrink=0.9, label="cosine")
    return figure


def statistics_figure(run: Run, theme: Theme) -> Figure:
    """Filters that a class has for itself, and filters shared by n classes."""
    metrics = (run.evaluation or {})["metrics"]
    alone, shared = np.array(metrics["monopolised"]), np.array(metrics["shared_by"])
    figure = Figure(figsize=(9.2, 2.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.bar(np.arange(len(alone)), alone, color=theme.series[0])
    left.set_title("filters of one class alone")
    if len(alone) <= NAMED_CLASSES:
        left.set_xticks(np.arange(len(alone)), run.classes, fontsize=7)
        if max(map(len, run.classes)) > 3:
            left.tick_params(axis="x", rotation=40)
    last = int(np.flatnonzero(shared).max(initial=1))
    right.bar(np.arange(last + 1), shared[: last + 1], color=theme.series[0])
    right.set_title("filters shared by n classes")
    right.set_xlabel("n")
    right.set_xticks(np.arange(last + 1))
    for axis in (left, right):
        axis.yaxis.get_major_locator().set_params(integer=True)
        axis.grid(True, axis="y")
        axis.set_axisbelow(True)
    return figure


def _wide(run: Run) -> tuple[Figure, Any]:
    named = len(run.classes) if len(run.classes) <= NAMED_CLASSES else 14
    figure = Figure(figsize=(9.2, 0.9 + 0.16 * max(6, named)), layout="constrained")
    return figure, figure.subplots()


def _class_rows(axis: Any, run: Run) -> None:
    axis.set_xticks([])
    if len(run.classes) <= NAMED_CLASSES:
        axis.set_yticks(np.arange(len(run.classes)), run.classes, fontsize=7.5)
    else:
        axis.set_ylabel(f"{len(run.classes)} classes")
