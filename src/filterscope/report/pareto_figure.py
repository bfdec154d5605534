"""Location instability against error, one point a side."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from filterscope.report.comparison import Comparison
from filterscope.report.pareto import SteadyAndRight
from filterscope.report.theme import Theme, legend_name

_MARKERS = "osD^v<>Phd"
_LEVELS = {
    "instability_centre_unit": ("middle unit", "--"),
    "instability_fixed_unit": ("fixed unit", "-."),
    "instability_random_unit": ("random unit", ":"),
}


def pareto_figure(comparison: Comparison, found: SteadyAndRight, theme: Theme) -> Figure:
    """Draw each side with its spread over seeds, the Pareto set, and the chance levels.

    The set is joined by steps: what lies right of and above them is beaten. Where the sides have
    different chance levels, because their maps have different units, a band shows their range.

    Args:
        comparison: For the places, and so the colours, of the sides.
        found: Its sides by both numbers.
        theme: Colours.
    """
    figure = Figure(figsize=(9.2, 3.6), layout="constrained")
    axis = figure.subplots()
    order = [side.label for side in comparison.sides]
    for i, (side, (x, y)) in enumerate(zip(found.sides, found.points, strict=True)):
        place = order.index(side.label)
        color = theme.series[place % len(theme.series)]
        spread = [side.spread("instability") or 0.0, 100 * (side.spread("accuracy") or 0.0)]
        inside = i in found.members
        axis.errorbar(
            x, 100 * y, xerr=spread[0], yerr=spread[1], color=color, elinewidth=0.8,
            marker=_MARKERS[place % len(_MARKERS)], markersize=7, linestyle="none", zorder=3,
            markerfacecolor=color if inside else theme.paper,
            label=legend_name(f"{side.label}{' (in the set)' if inside else ''}"),
        )  # fmt: skip
    _steps(axis, [found.points[i] for i in found.members], theme)
    _levels(axis, found, theme)
    axis.set_xlabel("location instability, in diagonals of the image (lower is steadier)")
    axis.set_ylabel("error on test images, %")
    axis.grid(True)
    axis.set_axisbelow(True)
    axis.margins(0.08)
    figure.legend(loc="outside right upper", fontsize=7.5)
    return figure


def _steps(axis: Any, points: list[tuple[float, float]], theme: Theme) -> None:
    points = sorted(points)
    across = [x for x, _ in points]
    up = [100 * y for _, y in points]
    axis.step(across, up, where="post", color=theme.ink, linewidth=1, zorder=2, label="Pareto set")


def _levels(axis: Any, found: SteadyAndRight, theme: Theme) -> None:
    for key, (name, line) in _LEVELS.items():
        values = [value for side in found.sides if (value := side.mean(key)) is not None]
        if not values:
            continue
        axis.axvline(
            sum(values) / len(values), color=theme.series[-1], linestyle=line, linewidth=1.2,
            zorder=1, label=f"chance: {name}",
        )  # fmt: skip
        if max(values) - min(values) > 1e-6:
            axis.axvspan(
                min(values), max(values), color=theme.series[-1], alpha=0.15, linewidth=0, zorder=0
            )
