"""ROC curves of detectors, and where adversarial samples lie against the means of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from filterscope.evaluation.detection_result import COSINES, Detection
from filterscope.report.theme import Theme, legend_name

_LINES = ("-", "--", ":", "-.")
_CORNER = 0.5, 0.4  # where good detectors differ: detection above, false alarms below


def roc_figure(found: Mapping[str, Sequence[Detection]], theme: Theme) -> Figure:
    """Detection rate against false alarms, one panel an attack, one line a network.

    Args:
        found: By the network's name, its detections, one a seed; their repeats are averaged.
        theme: Colours.
    """
    first = next(iter(found.values()))[0]
    names = [one.name for one in first.attacks]
    figure = Figure(figsize=(2.9 * len(names) + 0.6, 2.8), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axis, name in zip(axes, names, strict=True):
        for i, (label, detections) in enumerate(found.items()):
            color = theme.series[i % len(theme.series)]
            attacks = [one.attack(name) for one in detections]
            curves = np.concatenate([one.errors[max(one.errors)].roc for one in attacks])
            _curve(axis, curves, color, "-", label)
            moved = [one.transfer.roc for one in attacks if one.transfer is not None]
            if moved:
                told = f"{label}, learned from the others"
                _curve(axis, np.concatenate(moved), color, ":", told)
        axis.set_title(name)
        axis.set_xlabel("false alarms")
        axis.grid(True)
    lowest, right = _roc_area(axes)
    for axis in axes:
        axis.set_xlim(0, right)
        axis.set_ylim(lowest, 1.005)
    axes[0].set_ylabel("detected")
    axes[-1].legend(fontsize=7, loc="lower right")
    return figure


def _roc_area(axes: Sequence[Axes]) -> tuple[float, float]:
    """The corner, if all curves pass half of it; else everything."""
    lowest, right = _CORNER
    for line in (line for axis in axes for line in axis.lines):
        rates, detected = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        # an undefined curve asks for no room
        if np.interp(right / 2, rates, detected) < lowest:
            return 0.0, 1.0
    return _CORNER


def _curve(axis: Axes, curves: np.ndarray, color: str, line: str, label: str) -> None:
    rates = np.linspace(0, 1, curves.shape[1])
    axis.plot(rates, curves.mean(0), line, color=color, linewidth=1.4, label=legend_name(label))
    if len(curves) > 1:
        axis.fill_between(rates, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0)


def cosine_figure(found: Mapping[str, Sequence[Detection]], theme: Theme) -> Figure:
    """Cosines to class means at every convolution, one panel an attack, one colour a network.

    Args:
        found: By the network's name, its detections, one a seed; they are averaged.
        theme: Colours.
    """
    first = next(iter(found.values()))[0]
    names = [one.name for one in first.attacks]
    figure = Figure(figsize=(2.9 * len(names) + 2.2, 2.8), layout="constrained")
    axes = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for axis, name in zip(axes, names, strict=True):
        for i, (label, detections) in enumerate(found.items()):
            rows = np.mean([one.attack(name).cosines for one in detections], axis=0)
            for told, line, row in zip(COSINES, _LINES, rows, strict=True):
                text = f"{label}: {told}" if len(found) > 1 else told
                axis.plot(
                    np.arange(1, rows.shape[1] + 1), row, line, linewidth=1.3,
                    label=legend_name(text),
                    color=theme.series[i % len(theme.series)],
                )  # fmt: skip
        axis.set_title(name)
        axis.set_xlabel("convolution")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(True, axis="y")
    axes[0].set_ylabel("mean cosine")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=7)
    return figure
