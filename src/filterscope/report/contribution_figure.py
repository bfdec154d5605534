"""What the image and each layer contribute, over a set of images, as a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from filterscope.linear import ContributionHistogram
from filterscope.report.theme import Theme

_NAMED = 40


def contribution_figure(histograms: Mapping[str, ContributionHistogram], theme: Theme) -> Figure:
    """Mean contributions with one standard deviation as a band: the image, then each layer.

    The image has an axis of its own, because its part can be many times a layer's.

    Args:
        histograms: By state ("clean", an attack), all of the same layers.
        theme: Colours.
    """
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    image, layers = figure.subplots(1, 2, width_ratios=(1, 8))
    names = next(iter(histograms.values())).layers
    for k, (state, histogram) in enumerate(histograms.items()):
        mean, std = histogram.mean.numpy(), histogram.std.nan_to_num(0).numpy()
        color = theme.series[k % len(theme.series)]
        label = f"{state} (n={histogram.count})"
        width = 0.8 / len(histograms)
        place = width * (k - (len(histograms) - 1) / 2)
        image.bar(place, mean[0], width, color=color, yerr=std[0], ecolor=theme.ink, capsize=3)
        if len(names) > 1:
            _layers(layers, mean[1:], std[1:], color, label)
    image.set_xticks([0], ["image"])
    image.set_xlim(-0.6, 0.6)
    image.set_ylabel("contribution to the score")
    every = max(1, -(-len(names) // _NAMED))
    layers.set_xticks(range(0, len(names) - 1, every), names[1::every], rotation=90, fontsize=6.5)
    layers.set_xlim(-0.7, max(len(names) - 1.3, 0.7))
    layers.set_title("constants, layer by layer: mean and one standard deviation")
    for axis in (image, layers):
        axis.axhline(0, color=theme.ink, linewidth=0.7)
        axis.grid(True, axis="y")
        axis.set_axisbelow(True)
    if len(names) > 1:
        layers.legend(fontsize=7.5)
    else:
        layers.set_title("the network adds no constants")
    return figure


def _layers(axis: Any, mean: np.ndarray, std: np.ndarray, color: str, label: str) -> None:
    """A step line over the layers with its band; the steps show a lonely layer, too."""
    edges = np.arange(len(mean) + 1) - 0.5
    axis.stairs(mean, edges, color=color, linewidth=1.5, label=label)
    axis.stairs(mean + std, edges, baseline=mean - std, color=color, alpha=0.2, fill=True)
