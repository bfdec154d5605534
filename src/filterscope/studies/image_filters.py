"""What the studies of image networks measure of rows, columns and singular vectors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from filterscope.linear import (
    LinearInterpreter,
    SingularTriplets,
    energy_within,
    matching_position,
    participation_ratio,
    pixel_column,
    pixel_row,
    radial_frequency,
)
from filterscope.studies.image_subjects import (
    Family,
    ImageSubject,
    image_subjects,
    study_picture,
)
from filterscope.studies.ranks import rank_correlation
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Evidence

RADIUS = 2
"""How far from the probe energy counts as near, in pixels of the network's input."""

PROBES = {"smoke": 3, "quick": 24, "paper": 64}
TRIPLETS = {"smoke": 5, "quick": 24, "paper": 60}

Pixel = tuple[int, int]
Numbers = dict[str, float]


@dataclass(frozen=True, eq=False)
class Probed:
    """Rows and columns of a network at some pixels of a picture.

    Attributes:
        interpreter: Of the picture.
        inputs: Pixels of the input, of which the columns are.
        outputs: Those of the output at the same place, of which the rows are.
        rows: (probes, C, H, W), white.
        columns: (probes, C', H', W'), white.
    """

    interpreter: LinearInterpreter
    inputs: tuple[Pixel, ...]
    outputs: tuple[Pixel, ...]
    rows: Tensor
    columns: Tensor


def probe_places(side: int, count: int, seed: int) -> tuple[Pixel, ...]:
    """Choose pixels of a square picture at random, away from the border.

    Args:
        side: Of the picture.
        count: How many.
        seed: Of the choice.

    Examples:
        >>> all(2 <= k < 14 for pixel in probe_places(16, 5, 0) for k in pixel)
        True
    """
    margin = side // 8
    draw = torch.Generator().manual_seed(seed)
    places = torch.randint(margin, side - margin, (count, 2), generator=draw).tolist()
    return tuple((row, column) for row, column in places)


def probed(subject: ImageSubject, pixels: Tensor, places: Sequence[Pixel]) -> Probed:
    """Read a network's rows and columns.

    Args:
        subject: The network.
        pixels: The picture.
        places: Pixels of the picture.
    """
    interpreter = subject.read(pixels)
    scale = subject.network.scale
    inputs = tuple(places)
    outputs = tuple((row * scale + scale // 2, col * scale + scale // 2) for row, col in inputs)
    return Probed(
        interpreter,
        inputs,
        outputs,
        torch.stack([pixel_row(interpreter, place) for place in outputs]),
        torch.stack([pixel_column(interpreter, place) for place in inputs]),
    )


def near_energy(found: Probed) -> tuple[float, float]:
    """Share of the energy of rows and of columns near the probe, means over the probes.

    Probes whose row or column is zero have no share; without any other the mean is NaN.
    """
    small, large = found.interpreter.images.shape[2:], found.interpreter.output.shape[2:]
    factor = large[0] / small[0]
    rows = [
        energy_within(row, matching_position(place, large, small), RADIUS)
        for row, place in zip(found.rows, found.outputs, strict=True)
    ]
    columns = [
        energy_within(column, matching_position(place, small, large), RADIUS * factor)
        for column, place in zip(found.columns, found.inputs, strict=True)
    ]
    return finite_mean(rows), finite_mean(columns)


def change(first: Tensor, second: Tensor) -> float:
    """How much columns differ between two pictures: mean |a - b| over the mean length of both.

    Args:
        first: (probes, ...).
        second: The same probes at another picture.

    Returns:
        0 for the same columns, 1.41 for unrelated ones of one length; NaN for zeros.
    """
    a, b = first.double().flatten(1), second.double().flatten(1)
    lengths = ((a.square().sum(1) + b.square().sum(1)) / 2).sqrt()
    return finite_mean(((a - b).norm(dim=1) / lengths).tolist())


def follows_contrast(found: Probed) -> float:
    """Rank correlation of a column's length with the local contrast of the picture at its pixel.

    The contrast is the standard deviation over 5 x 5 pixels; NaN where all are equal.
    """
    picture = found.interpreter.images[0].double()
    contrasts = []
    for row, column in found.inputs:
        around = picture[:, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        contrasts.append(float(around.flatten(1).std(1).mean()))
    lengths = found.columns.double().flatten(1).norm(dim=1).tolist()
    return rank_correlation(contrasts, lengths)[0]


def singular(subject: ImageSubject, pixels: Tensor, count: int, seed: int) -> SingularTriplets:
    """Find the largest singular triplets at a picture.

    Not for bicubic upscaling: its values all but coincide, so that single vectors mean nothing.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="after .* products")  # told in a note
        return subject.read(pixels).svd(count, seed=seed)


@dataclass(frozen=True)
class Spectrum:
    """Numbers of the largest singular triplets, the largest first.

    Attributes:
        values: Over the largest.
        areas: Participation ratio of the eigen-inputs over the number of entries.
        output_areas: The same of the eigen-outputs.
        frequencies: Mean radial frequency of the eigen-inputs, cycles a pixel.
        errors: |y - y_k| over |y| with the first 0, 1, ..., k triplets.
        worst: Largest residual of a triplet over s_1.
        products: F v and F^T u together.
    """

    values: tuple[float, ...]
    areas: tuple[float, ...]
    output_areas: tuple[float, ...]
    frequencies: tuple[float, ...]
    errors: tuple[float, ...]
    worst: float
    products: int


def spectrum(triplets: SingularTriplets) -> Spectrum:
    """Measure singular triplets."""
    whole = triplets.constant + triplets.linear
    size = float(whole.double().norm())
    errors = [
        float((whole - triplets.reconstruct(j)).double().norm()) / size if size else math.nan
        for j in range(len(triplets.values) + 1)
    ]
    return Spectrum(
        tuple((triplets.values / triplets.values[0]).tolist()),
        tuple(participation_ratio(v) / v.numel() for v in triplets.right),
        tuple(participation_ratio(u) / u.numel() for u in triplets.left),
        tuple(radial_frequency(v) for v in triplets.right),
        tuple(errors),
        float(triplets.residuals.max()),
        sum(triplets.products),
    )


def finite_mean(values: Sequence[float]) -> float:
    """Mean of what is finite; NaN where nothing is."""
    finite = [value for value in values if math.isfinite(value)]
    return fmean(finite) if finite else math.nan


def each_picture(evidence: Evidence, settings: StudySettings) -> list[Tensor]:
    """The picture of each seed."""
    return [study_picture(settings, evidence.data, seed) for seed in evidence.seeds]


def both_families(evidence: Evidence, settings: StudySettings) -> list[ImageSubject]:
    """Networks of super-resolution, then those of image-to-image."""
    families: tuple[Family, Family] = ("super-resolution", "image-to-image")
    return [
        subject
        for family in families
        for subject in image_subjects(settings, evidence.data, family)
    ]


def learned_pairs(subjects: Sequence[ImageSubject]) -> list[tuple[ImageSubject, ImageSubject]]:
    """Each network of super-resolution with each of image-to-image, bicubic upscaling left out."""
    first = [s for s in subjects if s.family == "super-resolution" and s.name != "bicubic"]
    second = [s for s in subjects if s.family == "image-to-image"]
    return [(a, b) for a in first for b in second]


def judged(differences: Sequence[float], subjects: Sequence[ImageSubject]) -> tuple[float, ...]:
    """Differences of a claim about learned networks; NaN, which tests nothing, for random ones."""
    known = all(subject.trained or subject.name == "bicubic" for subject in subjects)
    return tuple(differences) if known else (math.nan,) * len(differences)


def common_notes(subjects: Sequence[ImageSubject]) -> tuple[str, ...]:
    """What a reader should know of the networks."""
    notes = [f"{subject.name}: {subject.network.source}" for subject in subjects]
    if not all(subject.trained or subject.name == "bicubic" for subject in subjects):
        notes.append(
            "random weights show that everything runs; what the paper says of learned networks is "
            "not tested on them (--data set5 takes weights from the data folder)"
        )
    return tuple(notes)
