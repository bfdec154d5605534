"""What pictures of filters and parts need: peaks, the strongest images, templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from filterscope import maps
from filterscope.data import Split
from filterscope.evaluation.part import Part, Subject
from filterscope.metrics import functional
from filterscope.models import PartNetwork
from filterscope.parts.masking import PartTemplates

CHOICES = ("steadiest", "covering", "typical")
"""Why a filter was picked: it has the lowest location instability, it covers its best part on most
images, or its instability lies at the middle of all filters."""

_PICKED = (3, 2, 3)  # filters of each choice
_IMAGES = 6  # strongest images of a filter
_THUMBNAIL = 96  # largest side in pixels


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured on the test images of one category.

    Attributes:
        split: The N images, with their landmarks.
        kept: Which parts were measured, (P,) bool.
        steady: Location instability.
        covered: Part interpretability; None where maps are too few.
        units: Peak unit of each image and filter, -1 for none, (N, K).
        values: Activation there, (N, K).
        mean_image: Mean of the images, uint8 (3, S, S).
    """

    split: Split
    kept: Tensor
    steady: functional.Instability
    covered: functional.Interpretability | None
    units: Tensor
    values: Tensor
    mean_image: Tensor


def part_filters(
    subject: Subject, layer: str, field: maps.ReceptiveField, measured: Sequence[Measured]
) -> Part:
    """Keep what pictures of a few filters need, each on the category that it is judged on.

    Points and boxes are in pixels of the network's input, from its top left corner.

    Args:
        subject: The run.
        layer: The layer whose peaks are looked at.
        field: Receptive fields of its units.
        measured: One a category.

    Returns:
        Arrays, for F filters, M images each, U distinct images, C categories of at most N images,
        P parts: ``part_filters`` (F,) and ``part_filter_choices`` (F,) places in `CHOICES`;
        ``part_filter_categories`` (F,); ``part_filter_instability``, ``part_filter_spread``,
        ``part_filter_units`` and ``part_filter_covered`` (F,), the last NaN where it was not
        measured, of ``part_filter_best`` (F,), a part; ``part_filter_peaks`` (F, N), units, -1
        for none; ``part_points`` (h, w, 2), where units stand; ``part_landmarks`` (C, N, P, 2);
        ``part_mean_images`` (C, S, S, 3); ``part_thumbnails`` (U, s, s, 3); ``part_top_images``
        (F, M), places among these, -1 for none; ``part_top_units`` (F, M), ``part_top_boxes``
        (F, M, 4), see `ReceptiveField.box`, ``part_top_landmarks`` (F, M, P, 2); and for layers
        with templates ``part_templates`` (F, n, n), each at the filter's most frequent peak, and
        ``part_betas`` (F,). Metrics: the field's size, whether each unit sees the whole image by
        an operation without places, the side of the image and the names of the parts.
    """
    over = functional.instability_over_categories([one.steady for one in measured])
    filters, choices = chosen_filters(over.filter_instability, _covered(measured, over.category))
    metrics = {
        "peak_field": list(field.local_size),
        "peak_field_mixed": bool(np.isinf(field.size).any()),
        "peak_image_size": field.image_size[0],
        "peak_parts": list(measured[0].split.part_names),
    }
    if not len(filters):  # all are dead
        return Part(metrics)
    categories = over.category[filters]
    pairs = list(zip(filters.tolist(), categories.tolist(), strict=True))
    peaks = _padded([measured[c].units[:, k].float() for k, c in pairs], -1).to(torch.int32)
    arrays = {
        "part_filters": filters,
        "part_filter_choices": choices,
        "part_filter_categories": categories,
        "part_filter_peaks": peaks,
        # a unit's centre is told for the centre of its pixel
        "part_points": field.centres() + 0.5,
        "part_landmarks": _padded([_landmarks(one.split).float() for one in measured], torch.nan),
        "part_mean_images": torch.stack([m.mean_image.permute(1, 2, 0) for m in measured]),
        **_numbers(measured, pairs),
        **_strongest(measured, pairs, field),
        **_templates(subject, layer, field, filters, peaks),
    }
    return Part(metrics, {name: array.numpy() for name, array in arrays.items()})


def chosen_filters(instability: Tensor, covered: Tensor) -> tuple[Tensor, Tensor]:
    """Pick the filters that are shown: the steadiest, the most covering, and typical ones.

    Args:
        instability: Of each filter, (K,); a filter whose value is NaN is not picked.
        covered: Part interpretability of each, (K,); NaN where it was not measured.

    Returns:
        Filters (F,), distinct, and the choice of each as its place in `CHOICES`, (F,).

    Examples:
        >>> chosen_filters(torch.tensor([0.3, 0.1, torch.nan]), torch.tensor([0.5, 0.9, 0.9]))
        (tensor([1, 0]), tensor([0, 0]))
    """
    middle = (instability - instability.nanmedian()).abs()
    rankings = (instability, -covered, middle)
    picked: dict[int, int] = {}
    for choice, (ranking, count) in enumerate(zip(rankings, _PICKED, strict=True)):
        order = torch.where(instability.isnan(), torch.nan, ranking).argsort(stable=True)
        known = [k for k in order.tolist() if not bool(ranking[k].isnan() | instability[k].isnan())]
        picked |= dict.fromkeys([k for k in known if k not in picked][:count], choice)
    return torch.tensor(list(picked), dtype=torch.int64), torch.tensor(
        list(picked.values()), dtype=torch.int64
    )


def _covered(measured: Sequence[Measured], category: Tensor) -> Tensor:
    """Part interpretability of each filter on its category, (K,); NaN where it has none."""
    rows = [
        torch.full_like(one.steady.filter_instability, torch.nan)
        if one.covered is None
        else one.covered.filter_interpretability
        for one in measured
    ]
    return torch.stack(rows).gather(0, category.clamp_min(0)[None])[0]


def _numbers(measured: Sequence[Measured], pairs: list[tuple[int, int]]) -> dict[str, Tensor]:
    """What is told beside the pictures of filter k on category c."""
    found: dict[str, list[float]] = {}
    for k, c in pairs:
        one = measured[c]
        covers, best = torch.nan, -1
        if one.covered is not None:
            covers = float(one.covered.filter_interpretability[k])
            best = int(torch.nonzero(one.kept).flatten()[one.covered.best_part[k]])
        told = {
            "part_filter_instability": float(one.steady.filter_instability[k]),
            "part_filter_spread": float(one.steady.peak_spread[k]),
            "part_filter_units": int(one.steady.distinct_peaks[k]),
            "part_filter_covered": covers,
            "part_filter_best": best,
        }
        for name, value in told.items():
            found.setdefault(name, []).append(value)
    return {name: torch.tensor(values) for name, values in found.items()}


def _strongest(
    measured: Sequence[Measured], pairs: list[tuple[int, int]], field: maps.ReceptiveField
) -> dict[str, Tensor]:
    """The images of its category with a filter's strongest peaks, and what they show."""
    width = field.map_size[1]
    parts = len(measured[0].split.part_names)
    images = torch.full((len(pairs), _IMAGES), -1)
    units, boxes = torch.full_like(images, -1), torch.zeros(len(pairs), _IMAGES, 4).long()
    landmarks = torch.full((len(pairs), _IMAGES, parts, 2), torch.nan)
    seen: dict[tuple[int, int], int] = {}
    for row, (k, c) in enumerate(pairs):
        one = measured[c]
        order = one.values[:, k].argsort(descending=True, stable=True)
        alive = order[one.units[order, k] >= 0][:_IMAGES]
        for column, place in enumerate(alive.tolist()):
            unit = int(one.units[place, k])
            images[row, column] = seen.setdefault((c, place), len(seen))
            units[row, column] = unit
            boxes[row, column] = torch.tensor(field.box(unit // width, unit % width))
            landmarks[row, column] = _landmarks(one.split)[place]
    return {
        "part_top_images": images,
        "part_top_units": units,
        "part_top_boxes": boxes,
        "part_top_landmarks": landmarks,
        "part_thumbnails": torch.stack([_thumbnail(measured[c].split.raw(i)) for c, i in seen]),
    }


def _templates(
    subject: Subject, layer: str, field: maps.ReceptiveField, filters: Tensor, peaks: Tensor
) -> dict[str, Tensor]:
    """Template of each filter at its most frequent peak, and its slope; none without templates."""
    found = mask_of(subject, layer)
    if found is None:
        return {}
    name, mask = found
    side = subject.dataset.transform.image_size
    example = torch.zeros(1, 3, side, side, device=subject.device)
    size = maps.receptive_field(subject.run.classifier, name, example).map_size[0]
    usual = torch.stack([row[row >= 0].mode().values for row in peaks]).long()
    # the map that is masked may be the pooled one
    units = torch.zeros(1, mask.num_filters, dtype=torch.int64, device=subject.device)
    rows = usual // field.map_size[1] * size // field.map_size[0]
    columns = usual % field.map_size[1] * size // field.map_size[1]
    units[0, filters] = (rows * size + columns).to(subject.device)
    blank = torch.zeros(1, mask.num_filters, size, size, device=subject.device)
    templates = mask.templates_at(units, blank)[0].cpu()
    slopes = torch.full((mask.num_filters,), float(mask.settings.beta))
    if mask.settings.learn_beta:
        slopes = mask.beta.detach().cpu()
    return {"part_templates": templates[filters].float(), "part_betas": slopes[filters].float()}


def mask_of(subject: Subject, layer: str) -> tuple[str, PartTemplates] | None:
    """The layer that carries the templates of a layer's filters, and these."""
    network = subject.run.parts
    if network is None:
        return None
    masks = dict(zip(network.layer_names, network.masks, strict=True))
    if isinstance(subject.run.classifier, PartNetwork):
        layer = network.layer_names[-1]  # behind the new convolution's ReLU, or its pool
    return (layer, masks[layer]) if layer in masks else None


def _landmarks(split: Split) -> Tensor:
    assert split.landmarks is not None
    return split.landmarks


def _padded(rows: Sequence[Tensor], value: float) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def _thumbnail(pixels: Tensor) -> Tensor:
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return torch.from_numpy(np.array(picture))
