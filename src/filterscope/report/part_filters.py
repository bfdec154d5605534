"""Filters beside the parts of the object: templates, peaks, and the fields of strong images."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from filterscope.report.numbers import BY_KEY, Metric
from filterscope.report.part_pictures import Crop, Dot, Mark, PartFilter, PartPictures
from filterscope.report.pixel_pictures import LABEL_COLORS, photo_uri, signed_uri
from filterscope.runs import Run

# The choices of an evaluation, in words.
_CHOICES = ("one of the steadiest", "one of those that cover a part best", "a typical one")
_SHAPES = ("circle", "square", "triangle", "diamond")
_LEAST_DOT = 0.012  # radius, in sides of the image, so that a single image is seen


def part_pictures(run: Run) -> PartPictures | None:
    """Lay out what an evaluation kept of filters and parts; None where it kept nothing."""
    arrays, metrics = run.arrays or {}, (run.evaluation or {}).get("metrics", {})
    if "part_filters" not in arrays:
        return None
    images = [*arrays["part_thumbnails"], *arrays["part_mean_images"]]
    filters = [_filter(row, arrays, metrics) for row in range(len(arrays["part_filters"]))]
    return PartPictures(
        side=metrics["peak_image_size"],
        radius=metrics["peak_radius"],
        words=tuple(_words(run, arrays, metrics)),
        legend=tuple(
            (name, LABEL_COLORS[i % len(LABEL_COLORS)], _SHAPES[i % len(_SHAPES)])
            for i, name in enumerate(metrics["peak_parts"])
        ),
        images=tuple(map(photo_uri, images)),
        filters=tuple(filters),
    )


def _words(run: Run, arrays: Mapping[str, np.ndarray], metrics: Mapping[str, Any]) -> list[str]:
    """What the pictures of a run show."""
    values, side = arrays["instability"], metrics["peak_image_size"]
    height, width = metrics["peak_field"]
    field = f"A unit of layer {metrics['peak_layer']} sees {width} x {height} pixels"
    told = [f"{field} of the image's {side} x {side}."]
    if min(height, width) >= side:
        told = [f"{field}, more than the image's {side} x {side}: the images are shown whole."]
        boxes = arrays["part_top_boxes"][arrays["part_top_images"] >= 0]
        if (boxes != [0, 0, side, side]).any():
            told.append("Where a field ends inside the image, it is dashed.")
    if metrics["peak_field_mixed"]:
        told.append("Operations that mix all places, as a mask does, are not counted.")
    if len(values) == 1:
        steadier = int((values[0] < metrics["instability_centre_unit"]).sum())
        told.append(
            f"{steadier} of {values.shape[1]} filters are steadier than one that always peaks in "
            "the middle, which knows nothing of the image "
            f"({metrics['instability_centre_unit']:.4f})."
        )
    return told


def _filter(
    row: int,
    arrays: Mapping[str, np.ndarray],
    metrics: Mapping[str, Any],
) -> PartFilter:
    category = int(arrays["part_filter_categories"][row])
    choices = arrays["part_filter_choices"]
    name = metrics["instability_categories"][category]
    images = metrics["instability_images"][category]
    dots = _dots(arrays["part_filter_peaks"][row], arrays["part_points"], images, metrics)
    template, words = _template(row, arrays)
    several = len(metrics["instability_categories"]) > 1
    return PartFilter(
        title=f"filter {arrays['part_filters'][row]}" + (f", {name}" if several else ""),
        choice=_CHOICES[choices[row]],
        numbers=tuple(_numbers(row, arrays, metrics)),
        template=template,
        template_words=words,
        mean_image=len(arrays["part_thumbnails"]) + category,
        dots=tuple(dots),
        dots_words=_dots_words(dots, images, name),
        parts=tuple(_mean_marks(arrays["part_landmarks"][category])),
        crops=tuple(_crops(row, arrays, metrics)),
        is_first=row == int(np.flatnonzero(choices == choices[row])[0]),
    )


def _numbers(
    row: int, arrays: Mapping[str, np.ndarray], metrics: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """Name, value and chance levels of each number of a filter."""
    shown = [
        ("location instability", "part_filter_instability", "instability",
         {"middle": "centre_unit", "one unit": "fixed_unit", "random": "random_unit"}),
        ("spread of its peaks", "part_filter_spread", "peak_spread", {"random": "random_unit"}),
        ("distinct peak units", "part_filter_units", "peak_units", {"random": "random_unit"}),
    ]  # fmt: skip
    if math.isfinite(arrays["part_filter_covered"][row]):
        part = metrics["peak_parts"][int(arrays["part_filter_best"][row])]
        part = part if arrays["part_filter_covered"][row] else "no part"
        shown.append(
            (f"covers {part}", "part_filter_covered", "part_interpretability",
             {"middle": "centre_unit", "random": "random_unit"})
        )  # fmt: skip
    found = []
    for name, array, key, levels in shown:
        metric = BY_KEY[key]
        chance = [
            f"{level} {_shown(metric, metrics[f'{key}_{suffix}'])}"
            for level, suffix in levels.items()
            if metrics.get(f"{key}_{suffix}") is not None
        ]
        found.append((name, _shown(metric, float(arrays[array][row])), ", ".join(chance)))
    return found


def _shown(metric: Metric, value: float) -> str:
    return f"{value:.3g}" if metric.kind == "count" else metric.show(value)


def _template(row: int, arrays: Mapping[str, np.ndarray]) -> tuple[str, str]:
    if "part_templates" not in arrays:
        return "", ""
    template = arrays["part_templates"][row]
    beta = float(arrays["part_betas"][row])
    return signed_uri(template), f"{len(template)} x {len(template)} units, beta {beta:.3g}"


def _dots(
    peaks: np.ndarray, points: np.ndarray, images: int, metrics: Mapping[str, Any]
) -> list[Dot]:
    """Units by falling number of images; the area of a dot grows with it."""
    side, width = metrics["peak_image_size"], points.shape[1]
    largest = 0.5 * side / width
    found = []
    for unit, count in Counter(peaks[peaks >= 0].tolist()).most_common():
        x, y = points[unit // width, unit % width]
        radius = max(_LEAST_DOT * side, largest * math.sqrt(4 * count / images))
        found.append(Dot(float(x), float(y), min(radius, 1.6 * largest), count))
    return found


def _dots_words(dots: list[Dot], images: int, category: str) -> str:
    dead = images - sum(dot.count for dot in dots)
    silent = f", {dead} without a peak" if dead else ""
    most = dots[0].count if dots else 0
    return f"peaks on {images} test images of {category}{silent}; at most {most} at one unit"


def _mean_marks(landmarks: np.ndarray) -> list[Mark]:
    """Mean place of each part with its spread, of landmarks (N, P, 2)."""
    marks = []
    for part in range(landmarks.shape[1]):
        points = landmarks[:, part][~np.isnan(landmarks[:, part, 0])]
        if len(points):
            (x, y), (rx, ry) = points.mean(0), points.std(0)
            marks.append(Mark(part, float(x), float(y), float(rx), float(ry)))
    return marks


def _crops(
    row: int,
    arrays: Mapping[str, np.ndarray],
    metrics: Mapping[str, Any],
) -> list[Crop]:
    side, points = metrics["peak_image_size"], arrays["part_points"]
    covers = min(metrics["peak_field"]) >= side
    crops = []
    for column, image in enumerate(arrays["part_top_images"][row].tolist()):
        if image < 0:
            continue
        top, left, bottom, right = arrays["part_top_boxes"][row, column].tolist()
        unit = int(arrays["part_top_units"][row, column])
        x, y = points[unit // points.shape[1], unit % points.shape[1]]
        marks = [
            Mark(part, float(point[0]), float(point[1]))
            for part, point in enumerate(arrays["part_top_landmarks"][row, column])
            if not np.isnan(point[0])
        ]
        field = (left, top, right - left, bottom - top)
        names = ", ".join(metrics["peak_parts"][mark.part] for mark in marks) or "none"
        crops.append(
            Crop(
                image=image,
                view=(0, 0, side, side) if covers else field,
                field=field,
                is_whole=field == (0, 0, side, side),
                peak=(float(x), float(y)),
                marks=tuple(marks),
                alt=f"Image {column + 1}, peak at ({x:.0f}, {y:.0f}); parts shown: {names}",
            )
        )
    return crops
