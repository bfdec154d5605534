"""Location instability: how much the distance of a filter's peak from the object's parts varies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._instability import distance_deviations, peak_scatter
from filterscope.metrics.functional._landmarks import (
    check_centres,
    check_landmarks,
    check_peaks,
    middle,
    peak_units,
)

TOP = 100  # images of a filter and part, as in the published code
DRAWS = 200  # synthetic filters behind a chance level


@dataclass(frozen=True)
class InstabilityChance:
    """Location instability of filters that know nothing of the image, on the same landmarks.

    Attributes:
        centre_unit: Of filters that peak in the middle of the map, always; where its side is
            even, between the central units.
        fixed_unit: Of filters that peak at one unit, always; a mean over all units.
        random_unit: Of filters that peak at a random unit.
        random_spread: Mean spread of the peaks of the random filters.
        random_distinct: Mean number of distinct peak units of the random filters.
    """

    centre_unit: float
    fixed_unit: float
    random_unit: float
    random_spread: float
    random_distinct: float


@dataclass(frozen=True, repr=False)
class Instability(Brief):
    """Location instability of the filters of a layer on one category. Tensors on CPU, float64.

    Attributes:
        instability: Mean over the filters that have a value, of the mean over the parts; NaN
            where none has.
        filter_part: Of filter k and each part, (K, P); NaN where fewer than two images count.
        filter_instability: Mean over the parts, (K,); NaN where a part is NaN.
        dropped: Filters without a value.
        num_images: Images that count for filter and part, at most `top`, (K, P) int64.
        peak_spread: How far the filter's own peaks are scattered, (K,): root of the summed
            variances of x and y over its `top` images, in diagonals of the image.
        distinct_peaks: Distinct peak units among these images, (K,) int64; one or two say that
            the filter looks at a place of the image, whatever the object does.
        mean_peak: Mean over all images of the peak's activation, (K,).
        chance: What filters reach that know nothing of the image.
        num_samples: N.
        top: Images of a filter and part, at most.
    """

    instability: float
    filter_part: Tensor
    filter_instability: Tensor
    dropped: int
    num_images: Tensor
    peak_spread: Tensor
    distinct_peaks: Tensor
    mean_peak: Tensor
    chance: InstabilityChance
    num_samples: int
    top: int


def location_instability(
    maps: Tensor,
    landmarks: Tensor,
    centres: Tensor,
    image_size: tuple[int, int],
    top: int = TOP,
    random_state: int = 0,
) -> Instability:
    """Measure how steadily each filter's peak keeps its distance from the parts of the object.

    In each image the filter's peak stands at the centre p of the receptive field of its strongest
    unit. For a part at q, the distance is |p - q| divided by the image's diagonal; the instability
    of filter and part is the standard deviation (with n - 1) of that distance over the `top`
    images, by the activation of the peak, among those that show the part.

    Always read it beside `Instability.chance`: on the landmarks of PASCAL-Part the middle of the
    map, which knows nothing, has a smaller value than every published network.

    Args:
        maps: Maps of the layer on images of one category, (N, K, h, w). The paper's networks are
            measured before the ReLU, because a map that is zero everywhere has no peak; such an
            image does not count for the filter.
        landmarks: Place of each part as (x, y) in pixels of the network's input, (N, P, 2), counted
            as the centres are: 0 for the middle of the first pixel (those of a `Split` count from
            its edge: take off 0.5). NaN where the part is missing, or where the image shows
            several of it.
        centres: Centre of each unit's receptive field as (x, y), (h, w, 2), of
            ``fs.maps.receptive_field(...).centres()``.
        image_size: Height and width of the network's input, in pixels.
        top: Images of a filter and part, at most; 100 as in the published code.
        random_state: Seed of the chance levels.

    Returns:
        The instability, its parts, its counts and its chance levels.

    Raises:
        ValueError: Shapes that do not fit, non-finite maps, landmarks outside the image or with
            half a point, a part that fewer than two images show, or `top` below 2.

    Source: Zhang et al., CVPR 2018, section 4.2; Ong & Liu.

    Examples:
        >>> import filterscope as fs
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3, stride=2))
        >>> field = fs.maps.receptive_field(model, "0", torch.zeros(1, 1, 9, 9))
        >>> maps, landmarks = model(torch.rand(6, 1, 9, 9)), 8 * torch.rand(6, 3, 2)
        >>> result = location_instability(maps, landmarks, field.centres(), field.image_size)
        >>> result.filter_part.shape, result.chance.centre_unit > 0
        (torch.Size([2, 3]), True)
    """
    units, values = peak_units(maps)
    check_centres(centres, maps.shape[2:])
    return instability_of_peaks(units, values, landmarks, centres, image_size, top, random_state)


def instability_of_peaks(
    units: Tensor,
    values: Tensor,
    landmarks: Tensor,
    centres: Tensor,
    image_size: tuple[int, int],
    top: int = TOP,
    random_state: int = 0,
) -> Instability:
    """Measure location instability from peaks that are known; see `location_instability`.

    Args:
        units: Peak unit ``row * w + column`` of each image and filter, -1 for none, (N, K).
        values: Activation there, (N, K).
        landmarks: As in `location_instability`, and so are the others.
        centres: (h, w, 2).
        image_size: Height and width.
        top: Images of a filter and part.
        random_state: Seed of the chance levels.

    Returns:
        As `location_instability`.

    Raises:
        ValueError: As `location_instability`; units that the map does not have.
    """
    check_centres(centres)
    check_peaks(units, values, centres.shape[:2].numel())
    check_landmarks(landmarks, len(units), image_size)
    if top < 2:
        raise ValueError(f"`top` must be at least 2, got {top}")
    places = centres.detach().cpu().double()
    truth = landmarks.detach().cpu().double()
    _check_parts(truth)
    peaks, strengths = units.cpu().long(), values.detach().cpu().double()
    diagonal = hypot(*image_size)
    filter_part, num_images = distance_deviations(peaks, strengths, truth, places, diagonal, top)
    per_filter = filter_part.mean(dim=1)
    spread, distinct = peak_scatter(peaks, strengths, places, diagonal, top)
    return Instability(
        instability=float(per_filter.nanmean()),
        filter_part=filter_part,
        filter_instability=per_filter,
        dropped=int(per_filter.isnan().sum()),
        num_images=num_images,
        peak_spread=spread,
        distinct_peaks=distinct,
        mean_peak=strengths.mean(dim=0),
        chance=_chance(truth, places, diagonal, top, random_state),
        num_samples=len(peaks),
        top=top,
    )


@dataclass(frozen=True, repr=False)
class CategoryInstability(Brief):
    """Location instability of filters that serve several categories.

    Attributes:
        instability: Mean over the filters that have a value; NaN where none has.
        filter_instability: Of each filter on its category, (K,) float64.
        category: Place of the filter's category among the results, (K,) int64; -1 where it has
            none.
        dropped: Filters without a value.
    """

    instability: float
    filter_instability: Tensor
    category: Tensor
    dropped: int


def instability_over_categories(
    results: Sequence[Instability], choice: Literal["paper", "official"] = "official"
) -> CategoryInstability:
    """Put the instabilities of one layer on several categories together.

    Args:
        results: Of `location_instability`, one for each category, the same filters in each.
        choice: The category on which a filter is judged: "paper", the one on which its
            instability is smallest; "official", the one on which its mean peak is largest, as in
            the published code.

    Returns:
        The instability of each filter on its category.

    Raises:
        ValueError: No results, of different numbers of filters, or an unknown choice.

    Source: Zhang et al., CVPR 2018, section 4.2.

    Examples:
        >>> values, peaks = torch.rand(6, 2, 3, 3), torch.rand(6, 2, 2)
        >>> centres = torch.rand(3, 3, 2)
        >>> one = location_instability(values, peaks, centres, (1, 1))
        >>> instability_over_categories([one, one]).category
        tensor([0, 0])
    """
    if choice not in ("paper", "official"):
        raise ValueError(f'`choice` must be "paper" or "official", got {choice!r}')
    if not results or len({len(result.mean_peak) for result in results}) != 1:
        counts = [len(result.mean_peak) for result in results]
        raise ValueError(f"`results` must be of the same filters, got numbers of filters {counts}")
    values = torch.stack([result.filter_instability for result in results])
    if choice == "paper":
        category = values.nan_to_num(nan=torch.inf).argmin(dim=0)
    else:
        category = torch.stack([result.mean_peak for result in results]).argmax(dim=0)
    chosen = values.gather(0, category[None])[0]
    lost = chosen.isnan()
    return CategoryInstability(
        float(chosen.nanmean()), chosen, category.where(~lost, -1), int(lost.sum())
    )


def _check_parts(landmarks: Tensor) -> None:
    shown = (~landmarks[..., 0].isnan()).sum(dim=0)
    if int(shown.min()) < 2:
        part = int(shown.argmin())
        raise ValueError(
            f"`landmarks` show part {part} in {int(shown[part])} of {len(landmarks)} images, at "
            "least 2 are needed: leave the part out"
        )


def _chance(
    landmarks: Tensor, centres: Tensor, diagonal: float, top: int, random_state: int
) -> InstabilityChance:
    generator = torch.Generator().manual_seed(random_state)
    number, (rows, columns) = len(landmarks), centres.shape[:2]
    units = torch.arange(rows * columns).expand(number, -1)
    random = torch.randint(rows * columns, (number, DRAWS), generator=generator)
    levels = []
    for peaks, points in (
        (torch.zeros(number, DRAWS, dtype=torch.int64), middle(centres)),
        (units, centres),
        (random, centres),
    ):
        # synthetic filters have no activation, so that their top images are random ones
        strengths = torch.rand(peaks.shape, generator=generator, dtype=torch.float64)
        found = distance_deviations(peaks, strengths, landmarks, points, diagonal, top)[0]
        levels.append(float(found.mean()))
    spread, distinct = peak_scatter(random, strengths, centres, diagonal, top)
    return InstabilityChance(
        centre_unit=levels[0],
        fixed_unit=levels[1],
        random_unit=levels[2],
        random_spread=float(spread.mean()),
        random_distinct=float(distinct.double().mean()),
    )
