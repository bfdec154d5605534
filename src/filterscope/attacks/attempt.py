"""What every attack begins with: who is attacked, the network that answers, and when it errs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from filterscope.attacks.arguments import check_classes, check_images, check_number, check_range
from filterscope.attacks.result import Attacked, counted_notes
from filterscope.core.answers import class_scores
from filterscope.core.contexts import evaluating

Normalize = Callable[[Tensor], Tensor] | None
# Accelerators want more work at a time.
CPU_BATCH, OTHER_BATCH = 128, 1024
# Numbers in the images of one forward pass whose maps the caches of a processor hold: 16 images of
# 32 x 32 pixels pass 1.2 to 1.7 times as fast as 128 of them. Large images fill them alone.
_CPU_NUMBERS, _CPU_LEAST = 16 * 3 * 32 * 32, 4


@dataclass(frozen=True)
class Classifier:
    """A network that is asked for its scores of images, many at a time, without gradients.

    Attributes:
        model: Gives logits (N, C), or (N, 1) for one category against everything else.
        normalize: What prepares pixels for the network; None: nothing.
        batch_size: The most images of one pass.
        asked: The most images of one forward pass without gradients; at most `batch_size`.
    """

    model: nn.Module
    normalize: Normalize
    batch_size: int
    asked: int

    def ask(self, count: int, make: Callable[[slice], Tensor]) -> Tensor:
        """Give the scores of images that are made when their turn comes.

        Args:
            count: M, at least 1.
            make: Makes the images of a part of range(M); the network may change them in place.

        Returns:
            (M, C), one score for each class.

        Raises:
            ValueError: What is no logits, or scores that are not finite.
        """
        with evaluating(self.model):
            parts = [
                self._scores(make(slice(start, start + self.asked)))
                for start in range(0, count, self.asked)
            ]
        scores = torch.cat(parts)
        broken = int((~torch.isfinite(scores)).any(1).sum())
        if broken:
            raise ValueError(f"`model` gives logits that are not finite for {broken} of {count}")
        return scores

    def scores(self, pixels: Tensor) -> Tensor:
        """Give the scores of images, (M, C); the images stay as they are."""
        return self.ask(len(pixels), lambda part: pixels[part].clone())

    def _scores(self, pixels: Tensor) -> Tensor:
        return checked_scores(
            self.model(pixels if self.normalize is None else self.normalize(pixels)), len(pixels)
        )


def checked_scores(logits: object, count: int) -> Tensor:
    """Give one score for each class, or say that these are no logits.

    Args:
        logits: What a network gave.
        count: Of its images.

    Returns:
        (count, C).

    Raises:
        ValueError: Anything but a tensor (count, C).
    """
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != count:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"`model` must give logits ({count}, C), got {given}")
    return class_scores(logits)


@dataclass(frozen=True)
class Attempt:
    """Images to attack. All tensors are on the images' device.

    Attributes:
        classifier: The network.
        images: (N, channels, H, W).
        labels: (N,) int64.
        targets: (N,) int64, or None.
        excluded: Misclassified before, (N,) bool.
        num_classes: C.
    """

    classifier: Classifier
    images: Tensor
    labels: Tensor
    targets: Tensor | None
    excluded: Tensor
    num_classes: int

    @property
    def active(self) -> Tensor:
        """Numbers of the images to attack."""
        return (~self.excluded).nonzero().flatten()

    def reached(self, scores: Tensor, owners: Tensor, rank: int = 1) -> Tensor:
        """Say which answers are what the attack wants.

        Args:
            scores: (M, C).
            owners: Numbers of the images to which they belong, (M,).
            rank: The label must not be among so many of the largest scores.

        Returns:
            (M,) bool.
        """
        if self.targets is not None:
            return scores.argmax(1) == self.targets[owners]
        if rank == 1:
            return scores.argmax(1) != self.labels[owners]
        return (scores.topk(rank, 1).indices != self.labels[owners, None]).all(1)

    def resistance(self, scores: Tensor, owners: Tensor) -> Tensor:
        """Say how far answers are from what the attack wants.

        Args:
            scores: (M, C).
            owners: Numbers of the images to which they belong, (M,).

        Returns:
            Probability of the label, or minus that of the target, (M,); the attack lowers it.
        """
        classes = self.labels if self.targets is None else self.targets
        chances = scores.softmax(1).gather(1, classes[owners, None]).flatten()
        return chances if self.targets is None else -chances

    def result(
        self, images: Tensor, success: Tensor, queries: Tensor, zero: int = 0, broken: int = 0
    ) -> Attacked:
        """Put together what came of it; see `Attacked` for gradients `zero` and `broken`."""
        count, out = len(self.images), int(self.excluded.sum())
        told = counted_notes(count, out, zero, broken)
        if out < count and not bool(success.any()):
            told.append(f"the attack succeeds on none of {count - out} images")
        return Attacked(
            images, success, queries, self.excluded, self.targets, tuple(told), zero, broken
        )


def begin(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    normalize: Normalize,
    targets: Tensor | None,
    seed: int,
    batch_size: int | None,
) -> Attempt:
    """Check the arguments that all attacks share, and find the images that are worth attacking.

    Raises:
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.
    """
    check_images(images, labels)
    check_number("seed", seed, 0, whole=True)
    if batch_size is None:
        batch_size = CPU_BATCH if images.device.type == "cpu" else OTHER_BATCH
    check_number("batch_size", batch_size, 1, whole=True)
    pixels, labels = images.detach(), labels.to(images.device).long()
    if targets is not None:
        check_classes("targets", targets, len(images))
        targets = targets.to(images.device).long()
        same = int((targets == labels).sum())
        if same:
            raise ValueError(f"`targets` must differ from `labels`, but {same} are the same")
    classifier = Classifier(model, normalize, batch_size, _asked(images, batch_size))
    scores = classifier.scores(pixels)
    num_classes = scores.shape[1]
    check_range("labels", labels, num_classes)
    if targets is not None:
        check_range("targets", targets, num_classes)
    excluded = scores.argmax(1) != labels
    return Attempt(classifier, pixels, labels, targets, excluded, num_classes)


def _asked(images: Tensor, batch_size: int) -> int:
    """How many images a forward pass without gradients is given."""
    if images.device.type != "cpu":
        return batch_size
    return min(batch_size, max(_CPU_LEAST, _CPU_NUMBERS // images[0].numel()))


def image_generators(seed: int, count: int) -> list[np.random.Generator]:
    """Make a generator of random numbers for each image.

    What one image is given depends on its number, not on its neighbours, batches or the device.
    """
    return [np.random.default_rng((seed, number)) for number in range(count)]


def paint(pictures: Tensor, places: Tensor, colours: Tensor) -> Tensor:
    """Set one pixel of each picture, in place.

    Args:
        pictures: (M, channels, H, W).
        places: Pixel numbers row by row, row * W + column, (M,).
        colours: (M, channels) or (M, 1).

    Returns:
        The same pictures.
    """
    width = pictures.shape[3]
    numbers = torch.arange(len(pictures), device=pictures.device)
    pictures[numbers, :, places // width, places % width] = colours.to(pictures)
    return pictures
