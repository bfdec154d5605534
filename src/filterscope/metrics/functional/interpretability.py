"""Part interpretability: the share of images on which a filter covers one part of the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._interpretability import count_hits
from filterscope.metrics.functional._landmarks import check_centres
from filterscope.metrics.functional._localization_checks import (
    check_maps,
    checked_rank,
    single_precision,
)

SHARE = 0.005  # of the activations of a filter that count, as in the paper
SUCCESS = 0.2  # IoU, as in the paper
DRAWS = 200  # filters with random units behind the chance level


@dataclass(frozen=True)
class InterpretabilityChance:
    """Part interpretability of filters that know nothing of the image, on the same part masks.

    Each has one valid unit an image, so that it covers the disc of that unit.

    Attributes:
        centre_unit: Of a filter whose unit is in the middle of the map, always; where its side
            is even, between the central units.
        fixed_unit: Of filters whose unit is always the same; a mean over all units.
        random_unit: Of filters with a random unit; a mean over many.
    """

    centre_unit: float
    fixed_unit: float
    random_unit: float


@dataclass(frozen=True, repr=False)
class Interpretability(Brief):
    """Part interpretability of the filters of a layer on one category. Tensors on CPU, float64.

    Attributes:
        interpretability: Mean over the filters of `filter_interpretability`.
        filter_part: Share of the images with part k on which filter f covers it, (K, P); NaN
            where no image has the part.
        filter_interpretability: The largest of them, (K,).
        best_part: The part where it is reached, the first of equals, (K,) int64.
        thresholds: Activation above which a unit is valid, (K,).
        silent: Filters without a valid unit on any image; their value is 0.
        num_images: Images with the part, (P,) int64.
        num_samples: N.
        chance: What filters reach that know nothing of the image.
        radius: Of a unit's field, in pixels.
        share: Of the activations of a filter that count.
        success: IoU above which a part counts as covered.
    """

    interpretability: float
    filter_part: Tensor
    filter_interpretability: Tensor
    best_part: Tensor
    thresholds: Tensor
    silent: int
    num_images: Tensor
    num_samples: int
    chance: InterpretabilityChance
    radius: float
    share: float
    success: float


def part_interpretability(
    maps: Tensor,
    masks: Tensor,
    centres: Tensor,
    radius: float,
    share: float = SHARE,
    success: float = SUCCESS,
    random_state: int = 0,
) -> Interpretability:
    """Measure on how many images each filter covers one and the same part of the object.

    A unit is valid where it exceeds the value that `share` of its filter's activations over all
    images and units exceed. The valid units' receptive fields, as round discs, together are what
    the filter covers; a part is covered where their IoU exceeds `success`. A filter's value is its
    largest share of covered images among the parts, each over the images that show the part.

    Args:
        maps: Maps of the layer on images of one category, (N, K, h, w). Computed in float32.
        masks: Mask of each part at the size of the network's input, (N, P, H, W) bool; empty
            where the image does not show the part.
        centres: Centre of each unit's receptive field as (x, y) in pixels, (h, w, 2), of
            ``fs.maps.receptive_field(...).centres()``.
        radius: Of the discs, in pixels; at most half the arithmetic size of the field,
            ``field.local_size[0] / 2``. What units respond to in fact is smaller.
        share: Share of the activations; 0.005 is the paper's.
        success: IoU above which a part is covered; 0.2 is the paper's.
        random_state: Seed of the chance level of random units.

    Returns:
        The interpretability, its parts, its counts and its chance levels.

    Raises:
        ValueError: Shapes that do not fit, non-finite maps, masks that are not bool or all empty,
            a radius that is not positive, or a share that is less than one activation.

    Source: Zhang et al., CVPR 2018, section 4.2.

    Examples:
        >>> masks = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
        >>> masks[0, 0, :4, :4] = masks[1, 0, 4:, 4:] = True
        >>> maps = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 1.0]]]])
        >>> centres = torch.tensor([[[1.5, 1.5], [5.5, 1.5]], [[1.5, 5.5], [5.5, 5.5]]])
        >>> result = part_interpretability(maps, masks, centres, radius=2, share=0.3)
        >>> result.interpretability, result.chance.fixed_unit
        (1.0, 0.25)
    """
    _check(maps, masks, centres, radius)
    values = single_precision(maps)
    thresholds = _thresholds(values, share)
    valid = values.flatten(2) > thresholds[:, None]
    num_images = masks.flatten(2).any(dim=2).cpu().sum(dim=0)
    hits, unit_hits = count_hits(valid, masks, centres, radius, success)
    filter_part = hits / num_images.double()
    best, part = filter_part.nan_to_num(nan=-1.0).max(dim=1)
    silent = int((~valid.any(dim=2).any(dim=0)).sum())
    chance = _chance(unit_hits, num_images, random_state)
    return Interpretability(
        float(best.mean()), filter_part, best, part, thresholds, silent, num_images, len(maps),
        chance, float(radius), share, success,
    )  # fmt: skip


def check_part_masks(masks: Tensor, num_images: int) -> None:
    """Refuse what is not one bool mask for each image and part."""
    if masks.dim() != 4 or masks.dtype != torch.bool or not masks[:1].numel():
        raise ValueError(
            f"`masks` must be (N, P, H, W) bool, got {tuple(masks.shape)} {masks.dtype}"
        )
    if len(masks) != num_images:
        raise ValueError(f"`maps` holds {num_images} images, `masks` {len(masks)}")


def _check(maps: Tensor, masks: Tensor, centres: Tensor, radius: float) -> None:
    check_maps(maps, 4, "(N, K, h, w)")
    check_centres(centres, maps.shape[2:])
    check_part_masks(masks, len(maps))
    if not 0 < radius < torch.inf:
        raise ValueError(f"`radius` must be positive, in pixels, got {radius}")
    if not bool(masks.any()):
        raise ValueError("`masks` are all empty: no image shows any part")


def _thresholds(maps: Tensor, share: float) -> Tensor:
    """Activation of each filter that no more than `share` of its activations exceed, (K,)."""
    columns = maps.transpose(0, 1).flatten(1).numpy()
    # the value after the last that counts, because units must exceed it
    place = columns.shape[1] - 1 - checked_rank(share, columns.shape[1])
    if place < 0:
        raise ValueError(f"`share` must leave some activations below, got {share}")
    return torch.from_numpy(np.partition(columns, place, axis=1)[:, place].copy())


def _chance(unit_hits: Tensor, num_images: Tensor, random_state: int) -> InterpretabilityChance:
    """Levels from whether the disc of each unit, and at last the central one, covers each part."""
    units = unit_hits.shape[1] - 1
    generator = torch.Generator().manual_seed(random_state)
    drawn = torch.randint(units, (len(unit_hits), DRAWS), generator=generator)
    random = torch.stack([hits[at] for hits, at in zip(unit_hits, drawn, strict=True)])

    def level(hits: Tensor) -> float:
        shares = hits.long().sum(dim=0) / num_images.double()
        return float(shares.nan_to_num(nan=-1.0).amax(dim=1).mean())

    return InterpretabilityChance(
        centre_unit=level(unit_hits[:, -1:]),
        fixed_unit=level(unit_hits[:, :-1]),
        random_unit=level(random),
    )
