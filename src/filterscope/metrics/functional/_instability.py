"""Deviations of distances between peaks and landmarks, over the strongest images of each filter."""

from __future__ import annotations

import torch
from torch import Tensor


def _strongest(peaks: Tensor, strengths: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """Images (T, K) with the strongest peaks, the first of equals; and which of them have one."""
    alive = peaks >= 0
    ranked = strengths.where(alive, -torch.inf)
    images = ranked.argsort(dim=0, descending=True, stable=True)[:top]
    return images, alive.gather(0, images)


def _deviation(values: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Variance with n - 1 of the values (T, K) that count, NaN for fewer than two; and n."""
    number = counts.sum(dim=0)
    mean = values.where(counts, 0.0).sum(dim=0) / number
    squares = (values - mean).square().where(counts, 0.0).sum(dim=0)
    return squares / (number - 1).where(number > 1, torch.nan), number


def distance_deviations(
    peaks: Tensor, strengths: Tensor, landmarks: Tensor, centres: Tensor, diagonal: float, top: int
) -> tuple[Tensor, Tensor]:
    """Deviation of the distance of each filter's peaks from each part, (K, P), and counts."""
    points = centres.flatten(0, 1)
    columns = []
    for part in landmarks.unbind(dim=1):
        shown = ~part[:, 0].isnan()
        units = peaks[shown]
        images, counts = _strongest(units, strengths[shown], top)
        at = points[units.gather(0, images).clamp(min=0)]
        distances = torch.linalg.vector_norm(at - part[shown][images], dim=2) / diagonal
        columns.append(_deviation(distances, counts))
    variances, numbers = zip(*columns, strict=True)
    return torch.stack(variances, dim=1).sqrt(), torch.stack(numbers, dim=1)


def peak_scatter(
    peaks: Tensor, strengths: Tensor, centres: Tensor, diagonal: float, top: int
) -> tuple[Tensor, Tensor]:
    """Spread of each filter's own peaks, (K,), and the number of distinct ones, (K,)."""
    images, counts = _strongest(peaks, strengths, top)
    units = peaks.gather(0, images)
    at = centres.flatten(0, 1)[units.clamp(min=0)]
    variances = sum(_deviation(coordinate, counts)[0] for coordinate in at.unbind(dim=2))
    ordered = units.sort(dim=0).values
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return torch.as_tensor(variances).sqrt() / diagonal, (new & (ordered >= 0)).sum(dim=0)
