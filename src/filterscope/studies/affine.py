"""What the studies of linear interpreters measure of a run's test images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from filterscope.attacks import fgsm
from filterscope.evaluation.attack_images import load_pixels
from filterscope.linear import Contributions, LinearInterpreter
from filterscope.runs import Run
from filterscope.studies.study import Evidence

EPSILON = 8 / 255
"""Step of the attack in pixel values; the paper does not print its own."""

TOY: Mapping[str, Any] = {
    "image_size": 32,
    "limit": 600,
    "limit_test": 300,
    "epochs": 12,
    "warmup": 0,
    "optimizer": "adam",
    "lr": 3e-4,
}
"""Large networks for ImageNet, trained in minutes on few small images."""

_AT_ONCE = 8


@dataclass(frozen=True)
class Sample:
    """Test images of one run.

    Attributes:
        places: Their places in the test split, (N,).
        pixels: (N, 3, S, S) in [0, 1].
        labels: (N,).
    """

    places: Tensor
    pixels: Tensor
    labels: Tensor


def sample(evidence: Evidence, run: Run, seed: int, count: int) -> Sample:
    """Choose test images by a seed: other ones for each seed while there are enough.

    Args:
        evidence: With the test split.
        run: Whose transform cuts the images.
        seed: Which of the disjoint sets.
        count: Images in a set.
    """
    split = evidence.dataset.test
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    count = min(count, len(split))
    sets = len(split) // count
    places = order[(seed % sets) * count :][:count]
    pixels = load_pixels(run, split, places, torch.device("cpu"))
    return Sample(places, pixels, split.labels[places])


def attacked(run: Run, chosen: Sample) -> Sample:
    """The same images after one step of FGSM against their true labels."""
    normalize = run.transform.standardize
    batches = zip(
        torch.split(chosen.pixels, _AT_ONCE), torch.split(chosen.labels, _AT_ONCE), strict=True
    )
    moved = [fgsm(run.classifier, x, y, EPSILON, normalize=normalize) for x, y in batches]
    return Sample(chosen.places, torch.cat(moved), chosen.labels)


@dataclass(frozen=True)
class Answers:
    """What a run says of images, and what contributes to it.

    Attributes:
        parts: Of the top label's score of each image.
        predictions: (N,).
        accuracy: Share of right predictions.
    """

    parts: tuple[Contributions, ...]
    predictions: Tensor
    accuracy: float


def answers(run: Run, chosen: Sample, *, preprocess: bool = False) -> Answers:
    """Split the top label's score of each image.

    Args:
        run: The network, read on its standard path.
        chosen: Of `sample`.
        preprocess: Whether the normalisation counts as a part of the network.
    """
    parts: list[Contributions] = []
    predictions: list[Tensor] = []
    for pixels in torch.split(chosen.pixels, _AT_ONCE):
        interpreter = interpret(run, pixels, preprocess=preprocess)
        predictions.append(interpreter.output.argmax(1))
        parts += interpreter.contributions(predictions[-1])
    found = torch.cat(predictions)
    return Answers(tuple(parts), found, float((found == chosen.labels).double().mean()))


def interpret(run: Run, pixels: Tensor, *, preprocess: bool = False) -> LinearInterpreter:
    """The linear interpreter of a run at images (N, 3, S, S) in [0, 1]."""
    normalize = run.transform.standardize
    images = pixels if preprocess else normalize(pixels)
    step: Callable[[Tensor], Tensor] | None = normalize if preprocess else None
    return LinearInterpreter(run.classifier, images, freeze_gates=True, include_preprocess=step)


def networks(evidence: Evidence) -> Iterator[tuple[str, tuple[Run, ...]]]:
    """Name and runs of each architecture."""
    for side, runs in evidence.runs.items():
        yield side.split(",")[0] if "," in side else str(runs[0].config["model"]), runs
