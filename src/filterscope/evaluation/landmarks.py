"""Where the filters peak, against the landmarks of the object's parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from filterscope import maps
from filterscope.core.contexts import evaluating, forward_hook
from filterscope.core.layers import find_layer
from filterscope.data import Split, batches
from filterscope.evaluation.part import Part, Subject, alone
from filterscope.evaluation.part_filters import Measured, mask_of, part_filters
from filterscope.metrics import LocationInstability, PartInterpretability, functional
from filterscope.metrics.functional.interpretability import SHARE
from filterscope.models import PartNetwork

PART_SHARE = 1 / 8
"""Radius of the disc that stands for a part around its landmark, in sides of the image."""


def landmark_part(subject: Subject) -> Part:
    """Location instability with its chance levels, and part interpretability, for landmark data.

    Measured on the test images of each category, and a mean over categories; several categories
    judge each filter on the one where its peaks are highest. Names that end in ``_official`` are
    measured on training and test images together, as the authors do. The map is that of the new
    convolution of the ``*_parts`` networks before its ReLU, of others the studied layer's, before
    its mask where it has one: a mask moves peaks towards its own centre, whatever was learned.
    Names that end in ``_masked`` are those behind the mask.

    Part interpretability wants masks of the parts; a disc around each landmark stands for them.

    Source: Zhang et al., CVPR 2018, section 4.2, and the authors' code.
    """
    dataset = subject.dataset
    if dataset.test.landmarks is None:
        return Part()
    layer = peak_layer(subject.run.classifier, subject.run.layer)
    look = _Look.at(subject, layer)
    both = [_originals(dataset.train), _originals(dataset.test)]
    held_out = _measure(look, [dataset.test])
    if held_out is None:
        return Part()
    seen = {"peak_layer": layer, "peak_radius": look.radius}
    part = Part(held_out.metrics() | seen, held_out.arrays())
    part |= part_filters(subject, layer, look.field, list(held_out.measured.values()))
    if look.mask is not None:
        behind = _measure(replace(look, mask=None), [dataset.test], masks=False)
        part |= Part({} if behind is None else behind.behind_the_mask())
    every = _measure(look, [split for split in both if len(split)], masks=False)
    if every is not None:
        numbers = {n: value for n, value in every.metrics().items() if isinstance(value, float)}
        part |= Part({f"{name}_official": value for name, value in numbers.items()})
    return part


def peak_layer(model: nn.Module, studied: str) -> str:
    """Name the layer whose peaks are looked at.

    Args:
        model: The plain classifier.
        studied: Name of its studied layer.

    Examples:
        >>> peak_layer(PartNetwork("alexnet_parts"), "relu6")
        'conv6'
    """
    return "conv6" if isinstance(model, PartNetwork) else studied


@dataclass(frozen=True)
class _Found:
    """What was measured on each category.

    Attributes:
        measured: What each category gave, by its name; those that have a value.
        left_out: Number of parts that were left out, because fewer than two images show them.
    """

    measured: dict[str, Measured]
    left_out: int

    @property
    def instabilities(self) -> list[functional.Instability]:
        """One a category."""
        return [one.steady for one in self.measured.values()]

    @property
    def interpretabilities(self) -> list[functional.Interpretability]:
        """One a category; none where maps are too few or were not asked for."""
        known = [one.covered for one in self.measured.values() if one.covered is not None]
        return known if len(known) == len(self.measured) else []

    def metrics(self) -> dict[str, Any]:
        """Numbers by name."""
        results = self.instabilities
        chance = [result.chance for result in results]
        over = functional.instability_over_categories(results)
        found: dict[str, Any] = {
            "instability": over.instability,
            "instability_centre_unit": _mean([c.centre_unit for c in chance]),
            "instability_fixed_unit": _mean([c.fixed_unit for c in chance]),
            "instability_random_unit": _mean([c.random_unit for c in chance]),
            "instability_dropped": over.dropped,
            "instability_images": [result.num_samples for result in results],
            "instability_parts_left_out": self.left_out,
            "instability_categories": list(self.measured),
            "peak_spread": _mean([float(r.peak_spread.nanmean()) for r in results]),
            "peak_spread_random_unit": _mean([c.random_spread for c in chance]),
            "peak_units": _mean([float(r.distinct_peaks.double().mean()) for r in results]),
            "peak_units_random_unit": _mean([c.random_distinct for c in chance]),
        }
        if len(results) > 1:
            paper = functional.instability_over_categories(results, "paper")
            found["instability_least_category"] = paper.instability
        if self.interpretabilities:
            mine = self.interpretabilities
            found |= {
                "part_interpretability": _mean([i.interpretability for i in mine]),
                "part_interpretability_centre_unit": _mean([i.chance.centre_unit for i in mine]),
                "part_interpretability_fixed_unit": _mean([i.chance.fixed_unit for i in mine]),
                "part_interpretability_random_unit": _mean([i.chance.random_unit for i in mine]),
            }
        return found

    def behind_the_mask(self) -> dict[str, Any]:
        """Numbers of maps that were masked."""
        found = self.metrics()
        return {f"{name}_masked": found[name] for name in ("instability", "peak_spread")}

    def arrays(self) -> dict[str, np.ndarray]:
        """Numbers of each category and filter, (categories, K)."""
        results = self.instabilities
        return {
            "instability": torch.stack([r.filter_instability for r in results]).numpy(),
            "peak_spread": torch.stack([r.peak_spread for r in results]).numpy(),
            "peak_units": torch.stack([r.distinct_peaks for r in results]).numpy(),
        }


def _originals(split: Split) -> Split:
    """The images of a split, each once and as it is, with their landmarks."""
    first: dict[str, int] = {}
    for place, name in enumerate(split.names):
        if not name.startswith("mirrored:"):
            first.setdefault(name, place)
    return split.take(torch.tensor(list(first.values()), dtype=torch.int64))


def _measure(look: _Look, splits: Sequence[Split], *, masks: bool = True) -> _Found | None:
    """Measure every category that shows a part in two images or more; None where none does."""
    measured: dict[str, Measured] = {}
    left_out = 0
    dataset = look.subject.dataset
    for name in dataset.categories:
        label = dataset.classes.index(name)
        mine = [split.take(torch.nonzero(split.labels == label).flatten()) for split in splits]
        shown = sum((~_landmarks(split)[..., 0].isnan()).sum(0) for split in mine)
        kept = torch.as_tensor(shown) >= 2
        left_out += int((~kept).sum())
        if bool(kept.any()):
            measured[name] = look.measure([split for split in mine if len(split)], kept, masks)
    return _Found(measured, left_out) if measured else None


@dataclass(frozen=True)
class _Look:
    """How the maps of a layer are read.

    Attributes:
        subject: The run.
        layer: The layer whose peaks are looked at.
        field: Receptive fields of its units.
        side: Of the images.
        radius: Of the disc that a unit covers: a part's, but no more than its field.
        mask: The templates that mask the layer's map, which is then read before them.
    """

    subject: Subject
    layer: nn.Module
    field: maps.ReceptiveField
    side: int
    radius: float
    mask: nn.Module | None = None

    @classmethod
    def at(cls, subject: Subject, name: str) -> _Look:
        """Look at a layer."""
        model, side = subject.run.classifier, subject.dataset.transform.image_size
        example = torch.zeros(1, 3, side, side, device=subject.device)
        field = maps.receptive_field(model, name, example)
        radius = min(PART_SHARE * side, min(field.local_size) / 2)
        carried = mask_of(subject, name)
        mask = None if carried is None or carried[0] != name else carried[1]
        return cls(subject, find_layer(model, name)[1], field, side, radius, mask)

    def measure(self, splits: Sequence[Split], kept: Tensor, masks: bool) -> Measured:
        """Measure the images of one category on the parts that are kept, (P,) bool."""
        size, seed = (self.side, self.side), self.subject.seed
        centres = self.field.centres()
        steady = alone(LocationInstability(centres, size, random_state=seed))
        covered = alone(PartInterpretability(centres, self.radius, random_state=seed))
        count = sum(len(split) for split in splits)
        # below, less than one activation would be looked at
        masks = masks and count * centres[..., 0].numel() * SHARE >= 1
        total, start = torch.zeros(1, 3, *size), 0
        for split in splits:
            for found, images, indices in self._maps(split):
                # from the image's edge, where the fields' centres count from middles of pixels
                points = _landmarks(split)[indices][:, kept] - 0.5
                steady.update(found, points, start + indices)
                if masks:
                    covered.update(found, part_discs(points, self.side), start + indices)
                total += images.sum(0, keepdim=True)
            start += len(split)
        order = torch.cat(steady.indices).argsort()
        mean = self.subject.run.transform.denormalize(total / count)[0]
        return Measured(
            split=splits[0],
            kept=kept,
            steady=steady.compute(),
            covered=covered.compute() if masks else None,
            units=torch.cat(steady.units)[order],
            values=torch.cat(steady.values)[order],
            mean_image=(255 * mean).round().to(torch.uint8),
        )

    def _maps(self, split: Split) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Maps (N, K, h, w), images as the network sees them, and their places, on CPU."""
        subject = self.subject
        seen: list[Tensor] = []

        def hook(_module: nn.Module, inputs: Any, output: Tensor) -> None:
            # at once: a ReLU in place may rewrite it
            found = output if self.mask is None else inputs[0]
            seen.append(found.detach().float().cpu().clone())

        model = subject.run.classifier
        with evaluating(model), forward_hook(self.mask or self.layer, hook):
            for batch in batches(
                split,
                subject.batch_size,
                transform=subject.run.transform,
                device=subject.device,
                workers=subject.workers,
            ):
                seen.clear()
                model(batch.images)
                yield seen[0], batch.images.float().cpu(), batch.indices


def _landmarks(split: Split) -> Tensor:
    assert split.landmarks is not None
    return split.landmarks


def part_discs(landmarks: Tensor, side: int) -> Tensor:
    """Masks of parts: a disc around each landmark.

    Args:
        landmarks: (N, P, 2), x and y in pixels, 0 for the middle of the first one; NaN where a
            part is missing.
        side: Of the images.

    Returns:
        (N, P, side, side) bool; empty where a part is missing.

    Examples:
        >>> part_discs(torch.tensor([[[8.0, 8.0]]]), 16).sum()
        tensor(13)
    """
    line = torch.arange(side, device=landmarks.device)
    x, y = landmarks[..., 0, None, None], landmarks[..., 1, None, None]
    return (line - x).square() + (line[:, None] - y).square() <= (PART_SHARE * side) ** 2


def _mean(values: Sequence[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).nanmean())
