"""What a set of interpreted images has in common, for the page."""

from __future__ import annotations

from functools import partial
from typing import Any

from filterscope.evaluation import Summary
from filterscope.evaluation.interpretation_summary import READINGS, Mean
from filterscope.evaluation.interpretation_text import percent, spread
from filterscope.report.contribution_figure import contribution_figure
from filterscope.report.theme import Picture, draw

RESIDUAL_NAMES = {
    "r1": "|r| / (|r| + |F x0|)",
    "r2": "r / y",
    "r3": "|r| / |y|",
    "r4": "Σ|κ| / (|F x0| + Σ|κ|)",
    "r5": "1 - |F x0| / |y|",
}


def summary_content(summary: Summary) -> dict[str, Any]:
    """Tables and figures of the set."""
    columns = [(state, way) for state in summary.states for way in state.residuals]
    figures: list[tuple[str, Picture]] = []
    for way in summary.states[0].histograms:
        histograms = {state.state: state.histograms[way] for state in summary.states}
        alt = f"Contributions with the normalisation {way} the network"
        figures.append((way, draw(partial(contribution_figure, histograms), alt)))
    return {
        "count": summary.num_images,
        "errors": summary.num_errors,
        "states": [
            {
                "name": state.state,
                "cells": [
                    ("top-1 accuracy", _counted(state.accuracy)),
                    ("another label than before", "" if state.state == "clean"
                     else _counted(state.changed)),
                    ("votes for the best label", _counted(state.votes_for_best)),
                    ("votes for the clean image's label", "" if state.state == "clean"
                     else _counted(state.votes_for_original)),
                    ("vote entropy, nats", _entropy(state.entropy, state.chance_entropy)),
                    ("labels with 1 % of the pixels", _plain(state.num_labels)),
                    ("object's share of the area", _counted(state.area)),
                    ("its share of the best label's votes", _counted(state.votes_inside)),
                    ("its share of the positive discussion", _counted(state.positive_inside)),
                ],
                "is_preview": state.is_preview,
            }
            for state in summary.states
        ],
        "columns": [f"{state.state}, {way}" for state, way in columns],
        "residuals": [
            {
                "name": name.upper(),
                "formula": RESIDUAL_NAMES[name],
                "cells": [
                    f"{spread(state.residuals[way][name])}, n={state.residuals[way][name].count}"
                    for state, way in columns
                ],
            }
            for name in READINGS
        ],
        "figures": figures,
    }  # fmt: skip


def _counted(mean: Mean) -> str:
    return f"{percent(mean.value)}, n={mean.count}" if mean.count else ""


def _plain(mean: Mean) -> str:
    return f"{mean.value:.1f}, n={mean.count}" if mean.count else ""


def _entropy(mean: Mean, chance: Mean) -> str:
    if not mean.count:
        return ""
    return f"{mean.value:.2f} of at most {chance.value:.2f}, n={mean.count}"
