"""Pictures of part templates: what a map is multiplied by, and its filter pulled towards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterscope.report.theme import Theme

UNITS = ("centre", "edge", "corner")
"""Where the pictured templates have their peak."""


def template_unit(size: int, where: str) -> int:
    """Flat unit of a square map.

    Args:
        size: n, side of the map.
        where: One of `UNITS`; the edge is the upper one, at its middle.

    Examples:
        >>> [template_unit(6, where) for where in UNITS]
        [21, 3, 0]
    """
    middle = size // 2
    return {"centre": middle * size + middle, "edge": middle, "corner": 0}[where]


def templates_figure(banks: Mapping[str, np.ndarray], theme: Theme) -> Figure:
    """The templates of one shape at three units, and as a surface, one reading a row.

    Args:
        banks: By the reading's name the bank with peak 1, (n n, n, n).
        theme: Colours.
    """
    figure = Figure(figsize=(9.2, 2.55 * len(banks)), layout="constrained")
    grid = figure.add_gridspec(len(banks), len(UNITS) + 1, width_ratios=[1, 1, 1, 1.25])
    flat = []
    for row, (reading, bank) in enumerate(banks.items()):
        size = bank.shape[1]
        for column, where in enumerate(UNITS):
            axis = figure.add_subplot(grid[row, column])
            template = bank[template_unit(size, where)]
            shown = _heat(axis, template, theme)
            passed = int((template > 0).sum())
            axis.set_title(f"{where}: {passed} of {size * size} units pass", fontsize=8)
            if column == 0:
                axis.set_ylabel(reading)
            flat.append(axis)
        surface = figure.add_subplot(grid[row, len(UNITS)], projection="3d")
        _surface(surface, bank[template_unit(size, "centre")], theme)
    figure.colorbar(shown, ax=flat, shrink=0.8, pad=0.01, label="template", ticks=[-1, 0, 1])
    return figure


def _heat(axis: Any, template: np.ndarray, theme: Theme) -> Any:
    """A template as a picture, and a line around what the mask lets through."""
    shown = axis.imshow(template, cmap=theme.balance, vmin=-1, vmax=1, interpolation="nearest")
    size = len(template)
    passed = np.pad((template > 0).astype(float), 1)
    # each unit as a block, so that the line follows the units' borders
    fine = np.kron(passed, np.ones((8, 8)))
    line = (np.arange(len(fine)) + 0.5) / 8 - 1.5
    axis.contour(line, line, fine, levels=[0.5], colors=[theme.ink], linewidths=0.9)
    axis.set_xlim(-0.5, size - 0.5)
    axis.set_ylim(size - 0.5, -0.5)
    axis.set_xticks([])
    axis.set_yticks([])
    return shown


def _surface(axis: Any, template: np.ndarray, theme: Theme) -> None:
    """A template as a surface over the units of the map."""
    line = np.arange(len(template))
    columns, rows = np.meshgrid(line, line)
    axis.plot_surface(
        columns, rows, template, cmap=theme.balance, vmin=-1, vmax=1, rstride=1, cstride=1,
        edgecolor=theme.faint, linewidth=0.3,
    )  # fmt: skip
    axis.set_zlim(-1, 1)
    axis.set_zticks([-1, 0, 1])
    axis.set_xticks([])
    axis.set_yticks([])
    axis.view_init(elev=32, azim=-60)
    for side in (axis.xaxis, axis.yaxis, axis.zaxis):
        side.set_pane_color(theme.paper)
    axis.grid(False)
    axis.set_title("at the centre", fontsize=8)
