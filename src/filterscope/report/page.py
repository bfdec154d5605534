"""The report: one HTML file that opens offline."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.report import curves, matrices
from filterscope.report.class_matrices import class_pictures
from filterscope.report.comparison import Comparison, Side
from filterscope.report.numbers import (
    PARTS,
    Metric,
    density_interval,
    show_difference,
    show_side,
)
from filterscope.report.overlay import picture_uri
from filterscope.report.pareto import SteadyAndRight
from filterscope.report.pareto_figure import pareto_figure
from filterscope.report.part_filters import part_pictures
from filterscope.report.rendering import write_page
from filterscope.report.theme import Picture, draw
from filterscope.runs import Run

_ENLARGED = 64  # pixels that a small thumbnail is enlarged to, by whole factors


@dataclass(frozen=True)
class FilterStrip:
    """The images that fire a filter most, side by side.

    Attributes:
        picture: Data URI of a PNG.
        alt: What it shows.
        title: Filter and class.
        detail: Its numbers.
    """

    picture: str
    alt: str
    title: str
    detail: str


def write_report(comparison: Comparison, path: str | Path) -> None:
    """Write the report of a comparison.

    Args:
        comparison: Of `compare_runs`; of a single run, too.
        path: The HTML file to write; its folder is made if absent.
    """
    write_page("report.html.j2", _content(comparison), path)


def _content(comparison: Comparison) -> dict[str, Any]:
    first = comparison.sides[0].runs[0]
    top = max(float((side.runs[0].arrays or {})["mi"].max()) for side in comparison.sides)
    sides = [_side_content(side, top) for side in comparison.sides]
    return {
        "title": " / ".join(side.label for side in comparison.sides),
        "subject": _subject(first),
        "findings": _findings(comparison),
        "warnings": comparison.warnings,
        "head": [side.label for side in comparison.sides],
        "tables": _tables(comparison),
        "several_seeds": max(len(side.runs) for side in comparison.sides) > 1,
        "training": draw(
            lambda theme: curves.training_curves(comparison, theme),
            "Test accuracy, loss and density over the epochs",
        ),
        "sides": sides,
        "parts_title": PARTS,
        "has_parts": any(side["parts"] for side in sides),
        "pareto": _pareto(comparison),
        "redundancy": _redundancy(comparison),
        "settings": _setting_rows(comparison),
        "estimator": (first.evaluation or {})["settings"],
        "environments": [(run.label, run.environment) for s in comparison.sides for run in s.runs],
    }


def _subject(run: Run) -> str:
    settings = (run.evaluation or {})["settings"]
    return (
        f"{run.config['model']} on {settings['data']}: {settings['num_samples']} test images, "
        f"{settings['num_classes']} classes, {settings['num_filters']} filters of layer "
        f"{settings['layer']}"
    )


def _tables(comparison: Comparison) -> list[dict[str, Any]]:
    """One table a group of metrics."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for metric in comparison.metrics:
        tables.setdefault(metric.group, []).append(_row(comparison, metric))
    return [{"title": title, "rows": rows} for title, rows in tables.items()]


def _row(comparison: Comparison, metric: Metric) -> dict[str, Any]:
    cells = [show_side(side, metric) for side in comparison.sides]
    if metric.key == "density":
        cells = [
            cell + (density_interval(side) if cell != "-" else "")
            for cell, side in zip(cells, comparison.sides, strict=True)
        ]
    differences = [
        show_difference(comparison.difference(side, metric.key), metric)
        for side in comparison.sides[1:]
    ]
    return {
        "name": metric.name,
        "meaning": metric.meaning,
        "cells": cells,
        "differences": ["-" if metric.is_level else d for d in differences],
        "main": metric.key in ("accuracy", "mis", "density"),
    }


def _findings(comparison: Comparison) -> list[str]:
    """What the numbers say, in sentences."""
    found = []
    baseline = comparison.sides[0]
    for side in comparison.sides[1:]:
        mis, accuracy = comparison.difference(side, "mis"), comparison.difference(side, "accuracy")
        if mis is None or accuracy is None:
            continue
        verb = "more" if mis.mean > 0 else "less"
        seeds = ""
        if len(mis.each) > 1:
            same = sum(value * mis.mean > 0 for value in mis.each)
            seeds = f" in {same} of {len(mis.each)} seeds"
        found.append(
            f"The filters of {side.label} are {verb} class-specific than those of "
            f"{baseline.label}{seeds}: MIS {side.mean('mis'):.4f} (chance "
            f"{side.mean('mis_floor'):.4f}) against {baseline.mean('mis'):.4f} (chance "
            f"{baseline.mean('mis_floor'):.4f}), at most {side.mean('mis_bound'):.4f}, with "
            f"{100 * accuracy.mean:+.2f} points of accuracy."
        )
    for side in comparison.sides:
        agreement, gap = side.mean("overlap_argmax"), side.mean("gap")
        if agreement is not None:
            chance = side.mean("overlap_argmax_chance") or math.nan
            found.append(
                f"In {side.label}, {100 * agreement:.0f}\u00a0% of the filters know most about the "
                f"class that the gate gave them (chance {100 * chance:.0f}\u00a0%)."
            )
        through, open_share = side.mean("contribution_open"), side.mean("contribution_open_chance")
        if through is not None and open_share is not None:
            found.append(
                f"In {side.label}, {100 * through:.0f}\u00a0% of what speaks for a class comes "
                f"through the filters that the gate opens for it (chance "
                f"{100 * open_share:.0f}\u00a0%)."
            )
        if gap is not None and gap > 0.02:
            found.append(
                f"The gated path of {side.label} is {100 * gap:.1f} points better than the "
                "standard path because it is told the label; it is no result."
            )
    return found


def _side_content(side: Side, top: float) -> dict[str, Any]:
    """Pictures of a side: of its first run."""
    run = side.runs[0]
    arrays = run.arrays or {}
    pictures: list[tuple[str, Picture]] = []
    if "gate" in arrays:
        pictures.append(
            ("Gate", draw(lambda t: matrices.gate_figure(run, t), f"Gate matrix of {side.label}"))
        )
    if "contributions" in arrays:
        pictures.append(
            ("What each filter contributes to each class",
             draw(lambda t: matrices.contributions_figure(run, t),
                  f"Contributions of filters to the logits of {side.label}"))
        )  # fmt: skip
    if "gate" in arrays:
        pictures.append(
            ("Gate in numbers", draw(lambda t: matrices.statistics_figure(run, t),
                                     f"Filters of each class in {side.label}"))
        )  # fmt: skip
    pictures.append(
        ("Mutual information of filters and classes",
         draw(lambda t: matrices.mi_figure(run, top, t), f"MI matrix of {side.label}"))
    )  # fmt: skip
    if "gate" in arrays:
        pictures.append(
            ("Where gate and mutual information agree",
             draw(lambda t: matrices.overlap_figure(run, t), f"Overlap in {side.label}"))
        )  # fmt: skip
    pictures += class_pictures(run, side.label)
    correlation = None
    if "correlation" in arrays:
        correlation = draw(
            lambda t: matrices.correlation_figure(run, t), f"Filter correlation of {side.label}"
        )
    return {
        "label": side.label,
        "run": run.label,
        "pictures": pictures,
        "correlation": correlation,
        "filters": _filter_strips(run),
        "parts": part_pictures(run),
    }


def _redundancy(comparison: Comparison) -> Picture | None:
    if not any("correlation" in (run.arrays or {}) for s in comparison.sides for run in s.runs):
        return None
    return draw(
        lambda theme: curves.redundancy_curves(comparison, theme),
        "Share of filter pairs with a correlation of at least s",
    )


def _pareto(comparison: Comparison) -> dict[str, Any] | None:
    found = SteadyAndRight.of(comparison)
    if found is None:
        return None
    several = max(len(side.runs) for side in comparison.sides) > 1
    means = " Means over seeds; bars are one standard deviation." if several else ""
    images = (found.sides[0].runs[0].evaluation or {})["settings"]["num_samples"]
    return {
        "words": f"{found.legend}. In it: {', '.join(found.labels)}. One of the {images} test "
        f"images is {100 / images:.3g} points of error.{means}",
        "picture": draw(
            lambda theme: pareto_figure(comparison, found, theme),
            "Location instability and error of each side, with chance levels",
        ),
    }


def _filter_strips(run: Run) -> list[FilterStrip]:
    arrays = run.arrays or {}
    strips = []
    for i, k in enumerate(arrays["top_filters"].tolist()):
        owner = int(arrays["top_filter_classes"][i])
        labels = arrays["top_labels"][i]
        hits = int((labels == owner).sum())
        name = run.classes[owner]
        shown = ", ".join(run.classes[c] for c in labels)
        strips.append(
            FilterStrip(
                picture=_montage(arrays["top_thumbnails"][i]),
                alt=f"Images that fire filter {k} most: {shown}",
                title=f"filter {k}: {name}",
                detail=f"MI {arrays['top_filter_mi'][i]:.3f}; {hits} of {len(labels)} are {name}",
            )
        )
    return strips


def _montage(thumbnails: np.ndarray) -> str:
    """Thumbnails (M, h, w, 3) side by side with a gap, as a data URI."""
    factor = max(1, _ENLARGED // max(thumbnails.shape[1:3]))
    large = thumbnails.repeat(factor, axis=1).repeat(factor, axis=2)
    gap = ((0, 0), (0, 0), (0, 2), (0, 0))
    row = np.concatenate(list(np.pad(large, gap, constant_values=255)), axis=1)[:, :-2]
    return picture_uri(row)


def _setting_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Every setting, those in which the sides differ first."""
    rows = []
    for name in comparison.sides[0].runs[0].config:
        values = [
            ", ".join(dict.fromkeys(str(run.config.get(name)) for run in side.runs))
            for side in comparison.sides
        ]
        rows.append({"name": name, "values": values, "differs": len(set(values)) > 1})
    return sorted(rows, key=lambda row: not row["differs"])
