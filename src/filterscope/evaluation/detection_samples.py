"""Clean and adversarial samples of a run in features, and which of them each repeat takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from filterscope.attacks import (
    ConvolutionLayer,
    attack,
    convolution_features,
    draw_samples,
    random_targets,
)
from filterscope.attacks.result import counted_notes
from filterscope.data import Split
from filterscope.evaluation.attack_images import answers, load_pixels
from filterscope.evaluation.attack_settings import DetectSettings
from filterscope.runs import Run

_AT_ONCE = 1024
"""Images that are attacked between two looks at their features; more would fill the memory."""

TRAIN, TEST, POOL = range(3)
"""What a draw is for; part of its seed."""


@dataclass(frozen=True)
class Side:
    """The images of a split that any repeat takes.

    Attributes:
        split: The split.
        places: Theirs in the split, rising, (N,).
        labels: (N,).
        draws: For each repeat and number of images of a class, rows among the N.
    """

    split: Split
    places: Tensor
    labels: Tensor
    draws: tuple[dict[int, Tensor], ...]


@dataclass(frozen=True)
class Samples:
    """What one attack made of the images of a side.

    Attributes:
        features: (N, D).
        changed: Whether the attack changed the image at all, (N,) bool.
        success: Whether it turned the answer, (N,) bool.
        targets: To which class the answer was to be turned, (N,); without targets the answer.
        notes: What the attack has to tell, with the images of each kind counted.
    """

    features: Tensor
    changed: Tensor
    success: Tensor
    targets: Tensor
    notes: tuple[str, ...]


def draw_side(
    split: Split, right: Tensor, sizes: Sequence[int], settings: DetectSettings, purpose: int
) -> Side:
    """Draw, for each repeat, so many rightly classified images of each class.

    The smaller numbers of a repeat are part of its larger ones.

    Args:
        split: The images.
        right: Which the run classifies rightly, (N,) bool.
        sizes: Images of a class.
        settings: With repeats, pool and seed.
        purpose: `TRAIN` or `TEST`.
    """
    labels = split.labels
    if purpose == TRAIN and settings.pool is not None:
        pool = draw_samples(labels, settings.pool, (settings.seed, POOL, 0), right)
        right = torch.zeros_like(right).index_fill(0, pool, True)
    drawn = [
        {
            size: draw_samples(labels, size, (settings.seed, purpose, repeat), right)
            for size in sizes
        }
        for repeat in range(settings.repeats)
    ]
    used = torch.cat([places for one in drawn for places in one.values()]).unique()
    draws = tuple(
        {size: torch.searchsorted(used, places) for size, places in one.items()} for one in drawn
    )
    return Side(split, used, labels[used], draws)


def right_of_classes(split: Split, right: Tensor) -> Tensor:
    """Count the rightly classified images of each class that the split has, (C,)."""
    classes, numbers = split.labels.unique(return_inverse=True)
    return torch.bincount(numbers[right], minlength=len(classes))


def clean_features(
    run: Run, side: Side, settings: DetectSettings, device: torch.device
) -> tuple[Tensor, tuple[ConvolutionLayer, ...]]:
    """Features of the images as they are, (N, D) on the CPU, and the convolutions."""
    rows: list[Tensor] = []
    layers: tuple[ConvolutionLayer, ...] = ()
    for part in torch.split(side.places, _AT_ONCE):
        pixels = load_pixels(run, side.split, part, device)
        features, layers = _features(run, pixels, settings)
        rows.append(features)
    return torch.cat(rows), layers


def adversarial_samples(
    run: Run,
    name: str,
    side: Side,
    settings: DetectSettings,
    device: torch.device,
    purpose: int,
    tell: Callable[[int], None] | None = None,
) -> Samples:
    """Attack all images of a side and keep the features of what comes out.

    Args:
        run: On `device`.
        name: Of the attack.
        side: Its images.
        settings: Of the attack.
        device: Of the network.
        purpose: `TRAIN` or `TEST`, part of the seeds.
        tell: Is given the number of images done so far.
    """
    rows: list[tuple[Tensor, ...]] = []
    counts = torch.zeros(4, dtype=torch.int64)
    for start in range(0, len(side.places), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        pixels = load_pixels(run, side.split, side.places[part], device)
        labels = side.labels[part].to(device)
        # another number for each part, so that no two images share their random start
        seed = int(np.random.SeedSequence((settings.seed, purpose, start)).generate_state(1)[0])
        targets = random_targets(labels, len(run.classes), seed) if settings.targeted else None
        found = attack(
            name,
            run.classifier,
            pixels,
            labels,
            normalize=run.transform.standardize,
            targets=targets,
            seed=seed,
            batch_size=settings.batch_size,
            **settings.options(name),
        )
        said = answers(run, found.images, settings.batch_size) if targets is None else targets
        changed = (found.images != pixels).flatten(1).any(1) & ~found.excluded
        features, _ = _features(run, found.images, settings)
        rows.append((features, changed.cpu(), found.success.cpu(), said.cpu()))
        counts += torch.tensor(
            [len(pixels), found.excluded.sum(), found.zero_gradients, found.broken_gradients]
        )
        if tell is not None:
            tell(min(start + _AT_ONCE, len(side.places)))
    features, changed, success, said = (torch.cat(column) for column in zip(*rows, strict=True))
    kind = "training images" if purpose == TRAIN else "test images"
    notes = tuple(f"{kind}: {note}" for note in counted_notes(*counts.tolist()))
    return Samples(features, changed, success, said, notes)


def _features(
    run: Run, pixels: Tensor, settings: DetectSettings
) -> tuple[Tensor, tuple[ConvolutionLayer, ...]]:
    features, layers = convolution_features(
        run.classifier,
        pixels,
        settings.batch_size,
        normalize=run.transform.standardize,
        activation=torch.relu if settings.rectify else None,
    )
    return features.cpu(), layers
