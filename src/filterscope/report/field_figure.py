"""What filters respond to: images with the region lit, and the rest darkened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from filterscope.report.theme import Theme

_DARKENED = 0.3
_LEAST_GRID = 4


@dataclass(frozen=True)
class FieldRow:
    """The images of one filter.

    Attributes:
        title: The filter.
        pixels: The images, (M, H, W, 3) uint8.
        regions: What the filter responds to, (M, H, W) bool.
    """

    title: str
    pixels: np.ndarray
    regions: np.ndarray


def fields_figure(rows: Sequence[FieldRow], columns: int, theme: Theme) -> Figure:
    """Show filters by rows, each image once, dark outside the region and with a line around it.

    Args:
        rows: The filters; one may have fewer images than others.
        columns: Images of a filter.
        theme: Colours.
    """
    count = max(len(rows), 1)
    figure = Figure(figsize=(1.1 * max(columns, _LEAST_GRID), 1.25 * count), layout="constrained")
    axes = figure.subplots(count, max(columns, _LEAST_GRID), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, line in zip(rows, axes, strict=False):
        line[0].set_title(row.title, fontsize=7.5)
        for axis, pixels, region in zip(line, row.pixels, row.regions, strict=False):
            axis.imshow(lit(pixels, region), interpolation="nearest")
            if region.any() and not region.all():
                axis.contour(region.astype(float), [0.5], colors=[theme.series[1]], linewidths=1.0)
    return figure


def lit(pixels: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Darken what lies outside a region.

    Args:
        pixels: (H, W, 3) uint8.
        region: (H, W) bool.

    Examples:
        >>> lit(np.full((1, 2, 3), 100, np.uint8), np.array([[True, False]]))[0, :, 0].tolist()
        [100, 30]
    """
    strength = np.where(region, 1.0, _DARKENED)[..., None]
    return (pixels * strength).round().astype(np.uint8)
