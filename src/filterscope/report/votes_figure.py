"""Pixel discussion and votes of several images, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from filterscope.linear import PixelVotes
from filterscope.report.pixel_pictures import LABEL_COLORS, signed_scale
from filterscope.report.theme import Theme, legend_name


@dataclass(frozen=True, eq=False)
class Column:
    """What is drawn of an image.

    Attributes:
        title: Above the image.
        pixels: (S, S, 3) in [0, 1].
        discussion: Of its top label, (S, S).
        votes: Over the labels.
    """

    title: str
    pixels: np.ndarray
    discussion: np.ndarray
    votes: PixelVotes


def votes_figure(columns: Sequence[Column], classes: Sequence[str], theme: Theme) -> Figure:
    """Image, conserving discussion of the top label, and the label that wins each pixel.

    Args:
        columns: One an image.
        classes: Names of the labels.
        theme: Colours.
    """
    leaders = _leaders(columns)
    colors = dict(zip(leaders, LABEL_COLORS, strict=False))
    figure = Figure(figsize=(1.35 * len(columns) + 1.2, 4.6), layout="constrained")
    axes = figure.subplots(3, len(columns), squeeze=False)
    for place, column in enumerate(columns):
        image, discussion, votes = axes[:, place]
        image.imshow(column.pixels)
        image.set_title(column.title, fontsize=7)
        scale = signed_scale(column.discussion) or 1.0
        discussion.imshow(column.discussion, cmap=theme.balance, vmin=-scale, vmax=scale)
        votes.imshow(_painted(column.votes.winners.numpy(), colors, theme))
    for row, told in enumerate(("image", "conserving discussion", "its votes")):
        axes[row, 0].set_ylabel(told)
    for axis in axes.flat:
        _bare(axis)
    handles = [
        Patch(color=color, label=legend_name(classes[label])) for label, color in colors.items()
    ]
    figure.legend(handles=handles, loc="outside right lower", fontsize=7)
    return figure


def _leaders(columns: Sequence[Column]) -> list[int]:
    """The labels with the most votes over all images, at most one for each colour."""
    totals = sum(column.votes.shares for column in columns)
    labels = columns[0].votes.labels
    order = np.argsort(-np.asarray(totals), kind="stable")[: len(LABEL_COLORS)]
    return [int(labels[k]) for k in order if float(np.asarray(totals)[k]) > 0]


def _painted(winners: np.ndarray, colors: dict[int, str], theme: Theme) -> np.ndarray:
    picture = np.tile(np.array(to_rgb(theme.faint)), (*winners.shape, 1))
    for label, color in colors.items():
        picture[winners == label] = to_rgb(color)
    return picture


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
