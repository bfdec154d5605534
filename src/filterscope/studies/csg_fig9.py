"""Class activation maps of standard and gated networks on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from filterscope.core.contexts import evaluating
from filterscope.data import batches
from filterscope.maps import class_activation_map
from filterscope.report.theme import Theme
from filterscope.runs import Run
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

IMAGES_OF_CLASS = 2
_MOST_CLASSES = 10
_SHARE = 0.3  # of the pixels, the largest of a map, as in the localisation metrics


@dataclass(frozen=True)
class _Answer:
    """What a run says about the chosen images.

    Attributes:
        predictions: (M,).
        maps: CAM of the true class, (M, S, S).
        outside: Share of each map's area that lies outside the object, (M,); None without masks.
    """

    predictions: Tensor
    maps: Tensor
    outside: Tensor | None


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Draw the same images for both networks; with masks, measure what lies outside the object."""
    entries: list[Entry] = []
    outside: dict[str, list[float]] = {side: [] for side in evidence.sides}
    right: dict[str, list[float]] = {side: [] for side in evidence.sides}
    shown: dict[str, _Answer] = {}
    for number, seed in enumerate(evidence.seeds):
        places = chosen_images(evidence.dataset.test.labels, seed)
        for side in evidence.sides:
            answer = _answer(evidence, evidence.runs[side][number], places)
            labels = evidence.dataset.test.labels[places]
            right[side].append(float((answer.predictions == labels).double().mean()))
            if answer.outside is not None:
                outside[side].append(float(answer.outside.nanmean()))
            if number == 0:
                shown[side] = answer
    for side in evidence.sides:
        entries.append(
            Entry("right answers on these images", side, tuple(right[side]), kind="share")
        )
        if outside[side]:
            entries.append(
                Entry("CAM area outside the object", side, tuple(outside[side]), kind="share")
            )
    claims: tuple[Claim, ...] = ()
    if outside["gated"]:
        differences = tuple(
            a - b for a, b in zip(outside["standard"], outside["gated"], strict=True)
        )
        claims = (Claim("less of the gated network's CAM lies outside the object", differences),)
    places = chosen_images(evidence.dataset.test.labels, evidence.seeds[0])
    figures = {"cam": lambda theme: _figure(evidence, places, shown, theme)}
    return Findings(tuple(entries), claims, figures, _predictions(evidence, places, shown))


def chosen_images(labels: Tensor, seed: int) -> Tensor:
    """Choose two test images of each of the first ten classes by a seed.

    Examples:
        >>> chosen_images(torch.tensor([0, 0, 0, 1, 1]), seed=0).shape
        torch.Size([4])
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = []
    for c in sorted(set(labels.tolist()))[:_MOST_CLASSES]:
        members = torch.nonzero(labels == c).flatten()
        order = torch.randperm(len(members), generator=generator)
        chosen.append(members[order[:IMAGES_OF_CLASS]])
    return torch.cat(chosen)


def _answer(evidence: Evidence, run: Run, places: Tensor) -> _Answer:
    split = evidence.dataset.test
    batch = next(batches(split.take(places), len(places), transform=run.transform, workers=0))
    with evaluating(run.classifier):
        predictions = run.classifier(batch.images).argmax(1)
    maps = class_activation_map(run.classifier, batch.images, batch.labels, layer=run.layer)
    outside = None
    if split.has_masks:
        masks = torch.stack([split.mask(i) for i in places.tolist()])
        outside = _outside(maps, masks)
    return _Answer(predictions, maps, outside)


def _outside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of the pixels among the largest 30 % of each map that lie outside its object."""
    count = max(1, int(_SHARE * maps[0].numel()))
    least = maps.flatten(1).topk(count, dim=1).values[:, -1, None, None]
    marked = maps >= least
    return (marked & ~masks).flatten(1).sum(1) / marked.flatten(1).sum(1)


def _predictions(evidence: Evidence, places: Tensor, shown: dict[str, _Answer]) -> tuple[str, ...]:
    classes, labels = evidence.dataset.classes, evidence.dataset.test.labels
    lines = []
    for i, place in enumerate(places.tolist()):
        told = ", ".join(
            f"{side} says {classes[int(answer.predictions[i])]}" for side, answer in shown.items()
        )
        lines.append(f"test image {place} ({classes[int(labels[place])]}): {told}")
    return tuple(lines)


def _figure(evidence: Evidence, places: Tensor, shown: dict[str, _Answer], theme: Theme) -> Figure:
    """Image and both maps, one image a column; a wrong answer is told in its title."""
    split, classes = evidence.dataset.test, evidence.dataset.classes
    columns = len(places) // 2 + len(places) % 2
    blocks = [places[:columns], places[columns:]]
    rows = 1 + len(shown)
    figure = Figure(figsize=(0.95 * columns + 0.6, 2.2 * rows), layout="constrained")
    axes = np.atleast_2d(figure.subplots(2 * rows, columns, squeeze=False))
    for axis in axes.flat:
        axis.set_axis_off()
    for b, block in enumerate(blocks):
        for column, place in enumerate(block.tolist()):
            i = b * columns + column
            picture = split.raw(place).permute(1, 2, 0).numpy()
            top = axes[b * rows, column]
            top.imshow(picture)
            top.set_title(classes[int(split.labels[place])], fontsize=7)
            for r, (side, answer) in enumerate(shown.items(), start=1):
                axis = axes[b * rows + r, column]
                _overlay(axis, picture, answer.maps[i].numpy())
                said, true = classes[int(answer.predictions[i])], classes[int(split.labels[place])]
                title = f"{side}: {said}" if column == 0 else said
                color = theme.ink if said == true else theme.series[1]
                axis.set_title(title, fontsize=7, color=color)
    return figure


def _overlay(axis: Any, picture: np.ndarray, values: np.ndarray) -> None:
    low, high = float(values.min()), float(values.max())
    strength = (values - low) / (high - low) if high > low else np.zeros_like(values)
    axis.imshow(picture.mean(axis=2), cmap="gray", vmin=0, vmax=255)
    axis.imshow(strength, cmap="inferno", alpha=0.6, vmin=0, vmax=1)


STUDY = Study(
    name="csg-fig9",
    source="Liang et al., ECCV 2020, figure 9",
    sides=("standard", "gated"),
    paper_data="cifar10",
    analyse=analyse,
)
