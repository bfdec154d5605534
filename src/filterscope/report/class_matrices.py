"""Figures of matrices over classes: confusion, similarity to gate rows, cluster centres."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from filterscope.report.theme import Picture, Theme, draw
from filterscope.runs import Run

Drawing = Callable[[Theme], Figure]

NAMED_CLASSES = 30
"""Classes above which their names could not be read."""

_MOST_CLASSES = 100  # cells would be smaller than a pixel
_COUNTED_CLASSES = 12  # numbers in more cells than that could not be read, either


def class_pictures(run: Run, label: str) -> list[tuple[str, Picture]]:
    """Draw what an evaluated run has: removal, similarity and clusters.

    Args:
        run: With its arrays.
        label: Its name in the report.
    """
    classes = run.classes
    if len(classes) > _MOST_CLASSES:
        return []  # before hundreds of megabytes are read
    arrays = run.arrays or {}
    pictures = []
    rule = "gate" if "removal_gate" in arrays else "activation"
    if f"removal_{rule}" in arrays:
        drawing = confusion_figure(removal_panels(arrays, classes, rule), classes)
        title = "Confusion, and without the filters of classes"
        pictures.append((title, draw(drawing, f"Confusion matrices of {label}")))
    if "similarity_tp" in arrays:
        drawing = similarity_figure(*similarity_panels(arrays, classes))
        pictures.append(
            ("Class features against gate rows", draw(drawing, f"Similarity in {label}"))
        )
    if "cluster_centres" in arrays:
        drawing = centres_figure(arrays["cluster_centres"], arrays["gate"], classes)
        pictures.append(("Clusters of the features", draw(drawing, f"Centres in {label}")))
    return pictures


def removal_panels(
    arrays: Mapping[str, np.ndarray], classes: Sequence[str], rule: str
) -> dict[str, np.ndarray]:
    """Confusion matrices by title: untouched, without the first class, and without two.

    Args:
        arrays: Of an evaluation.
        classes: Their names.
        rule: "gate" or "activation".
    """
    names = [
        "without the filters of " + " and ".join(np.array(classes)[chosen])
        for chosen in arrays["removed_classes"]
    ]
    return {
        "all filters": arrays["confusion"],
        names[0]: arrays[f"removal_{rule}"][0],
        names[-1]: arrays[f"removal_{rule}"][-1],
    }


def similarity_panels(
    arrays: Mapping[str, np.ndarray], classes: Sequence[str]
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """S_TP and S_FN by title, and the class names, all in the order of S_FN's dendrogram."""
    order = arrays["similarity_order"]
    panels = {
        "S_TP, rightly classified": arrays["similarity_tp"][np.ix_(order, order)],
        "S_FN, misclassified": arrays["similarity_fn"][np.ix_(order, order)],
    }
    return panels, tuple(np.array(classes)[order])


def confusion_figure(matrices: Mapping[str, np.ndarray], classes: Sequence[str]) -> Drawing:
    """Confusion matrices side by side, as shares of each true class.

    Args:
        matrices: By title, counts of true by predicted class, (C, C).
        classes: Their names.
    """
    shares = {
        title: counts / np.maximum(counts.sum(1, keepdims=True), 1)
        for title, counts in matrices.items()
    }
    return _square_panels(shares, classes, "predicted", "true", "share of the class", 1.0)


def similarity_figure(matrices: Mapping[str, np.ndarray], classes: Sequence[str]) -> Drawing:
    """Cosines of class features (rows) and gate rows (columns), side by side.

    Args:
        matrices: By title, (C, C); NaN rows stay empty.
        classes: Their names, in the order of the matrices.
    """
    return _square_panels(matrices, classes, "gate of", "features of", "cosine", None)


def gate_drawing(gate: np.ndarray, classes: Sequence[str]) -> Drawing:
    """A gate matrix (C, K), its filters in their own order."""

    def figure(theme: Theme) -> Figure:
        drawn = Figure(figsize=(9.2, 0.9 + 0.17 * min(len(classes), 40)), layout="constrained")
        axis = drawn.subplots()
        axis.imshow(gate, aspect="auto", cmap=theme.ramp, vmin=0, vmax=1, interpolation="nearest")
        _name(axis.set_yticks, classes)
        axis.set_xlabel(f"{gate.shape[1]} filters")
        return drawn

    return figure


def centres_figure(centres: np.ndarray, gate: np.ndarray, classes: Sequence[str]) -> Drawing:
    """Cluster centres above the gate that they were matched with, filters in the gate's order.

    Args:
        centres: (C, K).
        gate: (C, K).
        classes: Names of the rows.
    """
    order = np.lexsort((gate.sum(0), gate.argmax(0)))

    def figure(theme: Theme) -> Figure:
        drawn = Figure(figsize=(9.2, 1.2 + 0.34 * len(classes)), layout="constrained")
        panels = drawn.subplots(2, 1, sharex=True)
        peaks = centres.max(axis=1, keepdims=True)
        shown = {
            "cluster centres, each divided by its largest entry": centres
            / np.maximum(peaks, 1e-12),
            "gate": gate,
        }
        for axis, (title, matrix) in zip(panels, shown.items(), strict=True):
            axis.imshow(matrix[:, order], aspect="auto", cmap=theme.ramp, vmin=0, vmax=1,
                        interpolation="nearest")  # fmt: skip
            axis.set_title(title)
            _name(axis.set_yticks, classes)
            axis.set_xticks([])
        panels[-1].set_xlabel(f"{gate.shape[1]} filters, ordered by the gate's class")
        return drawn

    return figure


def _square_panels(
    matrices: Mapping[str, np.ndarray],
    classes: Sequence[str],
    across: str,
    down: str,
    meaning: str,
    top: float | None,
) -> Drawing:
    """Square matrices in a row, with one colour scale and, for few classes, numbers in cells."""
    largest = top or max(float(np.nanmax(m, initial=0)) for m in matrices.values()) or 1.0

    def figure(theme: Theme) -> Figure:
        side = 3.1 if len(classes) <= _COUNTED_CLASSES else 3.6
        drawn = Figure(figsize=(side * len(matrices) + 1.4, side + 0.7), layout="compressed")
        panels = np.atleast_1d(drawn.subplots(1, len(matrices)))
        shown: Any = None
        for i, (axis, (title, matrix)) in enumerate(zip(panels, matrices.items(), strict=True)):
            shown = axis.imshow(
                matrix, cmap=theme.ramp, vmin=0, vmax=largest, interpolation="nearest"
            )
            axis.set_title(title)
            axis.set_xlabel(across)
            _name(axis.set_xticks, classes, rotation=90)
            _name(axis.set_yticks, classes if i == 0 else [""] * len(classes))
            if i == 0:
                axis.set_ylabel(down)
            if len(classes) <= _COUNTED_CLASSES:
                _write_numbers(axis, matrix, largest, theme, theme.ramp)
        drawn.colorbar(shown, ax=list(panels), pad=0.01, shrink=0.9, label=meaning)
        return drawn

    return figure


def _name(ticks: Any, classes: Sequence[str], rotation: int = 0) -> None:
    if len(classes) <= NAMED_CLASSES:
        ticks(np.arange(len(classes)), list(classes), fontsize=7, rotation=rotation)
    else:
        ticks([])


def _write_numbers(
    axis: Any, matrix: np.ndarray, top: float, theme: Theme, colors: Colormap
) -> None:
    """Write each cell's value in a colour that can be read on it."""
    for (row, column), value in np.ndenumerate(matrix):
        if not np.isfinite(value) or value < 0.005 * top:
            continue
        red, green, blue, _ = colors(value / top)
        bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
        text = f"{value:.2f}".replace("0.", ".", 1) if value < 1 else f"{value:.0f}"
        axis.text(column, row, text, ha="center", va="center", fontsize=5.5,
                  color="#1c2430" if bright else "#ffffff")  # fmt: skip
