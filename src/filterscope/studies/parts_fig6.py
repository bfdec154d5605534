"""What the filters of every template respond to, found by covering parts of test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import nan
from statistics import fmean

import torch
from torch import Tensor

from filterscope.data import ImageDataset, Split
from filterscope.maps import FieldSettings, Occluder, activation_map, occlusion_field
from filterscope.models import PartNetwork, part_layers
from filterscope.report.field_figure import FieldRow, fields_figure
from filterscope.runs import Run
from filterscope.runs.processes import make_fabric
from filterscope.studies.part_tables import (
    REPORT_SIDES,
    categories,
    networks,
    part_study,
    side_runs,
    small_note,
)
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings

POOL = {"paper": 100, "quick": 40, "smoke": 6}
"""Test images of a category that are covered, by preset."""
FILTERS = 10
"""Filters that are looked at: every n-th, as in the authors' code, which takes each 50th of 512."""
SHOWN = 6
"""Of a filter's images in the picture, those on which it is strongest."""

_AT_ONCE = 32
_PAPERS_SIDE = 224  # of the images for which the occluder and the blur are published


@dataclass(frozen=True)
class Seen:
    """What some filters of a run respond to.

    Attributes:
        filters: Their numbers.
        areas: Share of the image in the region, a mean over the filter's images; NaN for a filter
            without any: it is dead, or no covered square weakens it.
        places: Places of each filter's images in the test split, the strongest first.
        regions: Of these images, (M, S, S) bool each.
    """

    filters: tuple[int, ...]
    areas: tuple[float, ...]
    places: tuple[Tensor, ...]
    regions: tuple[Tensor, ...]

    @property
    def mean_area(self) -> float:
        """Mean over the filters that have an area."""
        known = [area for area in self.areas if area == area]
        return fmean(known) if known else nan


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Measure the regions, and draw those of the first seed."""
    entries: list[Entry] = []
    figures = {}
    first = categories(evidence)[0]
    device = make_fabric(settings.device, 1).device
    for model in networks(evidence):
        for side in REPORT_SIDES:
            each: list[list[Seen]] = []
            for category, runs in side_runs(evidence, model, side):
                data = evidence.by_category[category]
                each.append([look(run, data, POOL[settings.preset], device) for run in runs])
                if category == first:
                    name = f"fields-{model}-{side.replace(', ', '-').replace(' ', '-').lower()}"
                    figures[name] = partial(fields_figure, _rows(each[-1][0], data.test), SHOWN)
            entries += _entries(f"{model}, {side}", each)
    notes = (
        f"about {FILTERS} filters of a network, every n-th; the region is where what its units "
        "respond to, found by covering squares, reaches half its largest value on the image; "
        "occluder and blur are as large a part of the image as published",
        f"the pictures are of the category {first} and of the first seed",
        *small_note(evidence),
    )
    return Findings(tuple(entries), (), figures, notes)


def _entries(column: str, each: Sequence[Sequence[Seen]]) -> list[Entry]:
    """Means over the categories, one a seed."""
    by_seed = list(zip(*each, strict=True))
    areas = tuple(fmean(seen.mean_area for seen in found) for found in by_seed)
    still = tuple(
        fmean(sum(area != area for area in seen.areas) / len(seen.areas) for seen in found)
        for found in by_seed
    )
    return [
        Entry("region that a filter responds to, share of the image", column, areas, kind="share"),
        Entry("filters that respond to nothing", column, still, kind="share"),
    ]


def drawn_layer(run: Run) -> str:
    """The layer whose maps are drawn: the last one that templates mask, or would mask.

    The same layer on every side of a study, with templates and without.
    """
    model = run.classifier
    if isinstance(model, PartNetwork):
        return part_layers(model, run.config["second_mask"])[-1]
    return run.layer


def look(run: Run, data: ImageDataset, count: int, device: torch.device) -> Seen:
    """Find what some filters of a run respond to, on test images of its category.

    Args:
        run: Of one category.
        data: What it was trained and tested on.
        count: Test images that are covered, evenly spaced over the category's.
        device: Where to compute.
    """
    places = _places(data, count)
    pixels = torch.stack([data.test.raw(place) for place in places.tolist()])
    images = run.transform.normalize(pixels).to(device)
    model, layer, side = run.classifier.to(device), drawn_layer(run), images.shape[-1]
    maps = _maps(run, images, layer)
    filters = list(range(0, maps.shape[1], max(1, maps.shape[1] // FILTERS)))
    maps = maps[:, filters]
    # a mask follows the peak of the whole map, so none of it can be computed from a part
    field = occlusion_field(
        model, images, layer, filters, occluder=scaled_occluder(side),
        settings=scaled_settings(side), activation=run.activation, recompute="full",
    )  # fmt: skip
    regions = field.region(maps).cpu()
    model.cpu()
    order = maps.flatten(2).amax(2).argsort(dim=0, descending=True).T.cpu()
    # a map that is zero everywhere has no region, and its image says nothing of the filter
    shown = [best[regions[best, k].flatten(1).any(1)][:SHOWN] for k, best in enumerate(order)]
    chosen = tuple(regions[best, k] for k, best in enumerate(shown))
    areas = tuple(float(each.double().mean()) if len(each) else nan for each in chosen)
    return Seen(tuple(filters), areas, tuple(places[best] for best in shown), chosen)


def _places(data: ImageDataset, count: int) -> Tensor:
    """Places of some test images of the category."""
    label = data.classes.index(data.categories[0])
    mine = torch.nonzero(data.test.labels == label).flatten()
    return mine[torch.linspace(0, len(mine) - 1, min(count, len(mine))).round().long()]


def scaled_occluder(side: int) -> Occluder:
    """The published occluder, as large a part of images of another side.

    Examples:
        >>> scaled_occluder(224).size, scaled_occluder(224).stride, scaled_occluder(48).size
        (33, 9, 7)
    """
    size, stride = (round(n * side / _PAPERS_SIDE) for n in (33, 9))
    return Occluder(max(3, size), stride=max(1, stride))


def scaled_settings(side: int) -> FieldSettings:
    """The published blur, as wide a part of images of another side.

    Examples:
        >>> scaled_settings(224) == FieldSettings()
        True
    """
    kernel = 2 * round(25 * side / _PAPERS_SIDE) + 1
    return FieldSettings(sigma=30 * side / _PAPERS_SIDE, kernel_size=max(3, kernel))


def _maps(run: Run, images: Tensor, layer: str) -> Tensor:
    """Rectified and masked maps of a layer, (N, K, h, w)."""
    return torch.cat(
        [
            activation_map(run.classifier, part, layer, size=None, activation=run.activation)
            for part in images.split(_AT_ONCE)
        ]
    )


def _rows(seen: Seen, split: Split) -> list[FieldRow]:
    """The filters of a picture, those that respond to anything."""
    rows = []
    for k, area, places, regions in zip(
        seen.filters, seen.areas, seen.places, seen.regions, strict=True
    ):
        if len(places):
            pixels = torch.stack([split.raw(place) for place in places.tolist()])
            title = f"filter {k}: {area:.0%} of the image"
            rows.append(FieldRow(title, pixels.permute(0, 2, 3, 1).numpy(), regions.numpy()))
    return rows


STUDY = part_study("parts-fig6", "figure 6", REPORT_SIDES, analyse, measured=False)
