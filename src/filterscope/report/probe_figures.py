"""Rows and columns of image networks at some pixels, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from filterscope.report.filter_pictures import signed_picture
from filterscope.report.theme import Theme, legend_name

REACH = 12
"""How far around the probe rows and columns are shown, in pixels of the input."""


@dataclass(frozen=True, eq=False)
class ProbedNetwork:
    """What is drawn of a network.

    Attributes:
        name: Of the network.
        pixels: The picture, RGB (3, H, W) uint8.
        places: Pixels of the picture, (row, column).
        rows: (probes, C, H, W).
        columns: (probes, C', scale H, scale W).
    """

    name: str
    pixels: Tensor
    places: Sequence[tuple[int, int]]
    rows: Tensor
    columns: Tensor


def probes_figure(
    networks: Sequence[ProbedNetwork], theme: Theme, most: int = 3, reach: int = REACH
) -> Figure:
    """Draw each network's picture with its probes, and the row and column of each probe.

    Args:
        networks: One a line; with the same number of probes.
        theme: Colours.
        most: Probes shown at most.
        reach: How far around the probe rows and columns are shown, in pixels of the input.

    Raises:
        ValueError: No network, or no reach.
    """
    if not networks:
        raise ValueError("`networks` must hold at least one")
    if reach < 1:
        raise ValueError(f"`reach` must be at least 1, got {reach!r}")
    count = min(most, *(len(network.places) for network in networks))
    figure = Figure(
        figsize=(1.35 * (1 + 2 * count) + 0.3, 1.6 * len(networks) + 0.5), layout="constrained"
    )
    axes = figure.subplots(len(networks), 1 + 2 * count, squeeze=False)
    for line, network in zip(axes, networks, strict=True):
        _draw_picture(line[0], network, count, theme)
        for k in range(count):
            place, scale = network.places[k], network.columns.shape[-1] // network.rows.shape[-1]
            _draw_filter(line[1 + 2 * k], network.rows[k], place, reach, 1, f"row {k + 1}")
            told = f"column {k + 1}"
            _draw_filter(line[2 + 2 * k], network.columns[k], place, reach, scale, told)
    figure.suptitle(
        f"White probes; grey is 0, ± the strongest value of each; {reach} pixels of the input to "
        "each side",
        fontsize=8,
        color=theme.ink,
    )
    return figure


def _draw_picture(axis: Any, network: ProbedNetwork, count: int, theme: Theme) -> None:
    axis.imshow(network.pixels.permute(1, 2, 0).numpy())
    axis.set_title(network.name, fontsize=6.5)
    axis.axis("off")
    for k, (row, column) in enumerate(network.places[:count]):
        axis.plot(column, row, "o", ms=5, mfc="none", mec=theme.series[1])
        axis.annotate(
            str(k + 1), (column, row), (3, 3), textcoords="offset points", fontsize=6.5,
            color=theme.series[1],
        )  # fmt: skip


def _draw_filter(
    axis: Any, picture: Tensor, place: tuple[int, int], reach: int, scale: int, name: str
) -> None:
    """Draw the surroundings of a probe, with zeros beyond the border."""
    pixels, largest = signed_picture(picture)
    reach = reach * scale
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), constant_values=128)
    row, column = (k * scale + scale // 2 + reach for k in place)
    axis.imshow(
        padded[row - reach : row + reach + 1, column - reach : column + reach + 1],
        interpolation="nearest",
    )
    axis.set_title(f"{name}\n±{largest:.2g}", fontsize=6.5)
    axis.axis("off")


def curves_figure(
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    theme: Theme,
    *,
    first: int = 1,
    across: str = "k",
) -> Figure:
    """Draw curves over k in panels, one colour a network: the mean of several and their range.

    Args:
        panels: For each title, for each network its curves of one length.
        theme: Colours.
        first: What k counts from.
        across: Name of the horizontal axis.

    Raises:
        ValueError: No panel.
    """
    if not panels:
        raise ValueError("`panels` must hold at least one")
    figure = Figure(figsize=(2.7 * len(panels) + 0.6, 2.9), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, networks) in zip(axes, panels.items(), strict=True):
        for k, (name, curves) in enumerate(networks.items()):
            values = np.asarray(curves, np.float64)
            places = np.arange(first, first + values.shape[1])
            color = theme.series[k % len(theme.series)]
            axis.plot(places, values.mean(0), color=color, label=legend_name(name), lw=1.2)
            if len(values) > 1:
                axis.fill_between(
                    places, values.min(0), values.max(0), color=color, alpha=0.18, lw=0
                )
        axis.set_title(title)
        axis.set_xlabel(across)
        axis.grid(visible=True, lw=0.4)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=7)
    return figure
