"""What an attack gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from filterscope.core.brief import Brief


@dataclass(frozen=True, repr=False)
class Attacked(Brief):
    """Images after an attack, and what it reached and cost.

    Attributes:
        images: (N, channels, H, W) in [0, 1], detached, on the device of the images given. An image
            that the fast gradient sign method or projected gradient descent could not turn is
            there as it became; where a search found nothing, the image is unchanged.
        success: The network's answer is another class than the label, or the target, (N,) bool.
            False where the image was left out.
        queries: Forward passes of single images, up to and with the one that succeeded, (N,)
            int64; for gradient attacks the steps. What tells which images to leave out, and the
            last look at a gradient attack's images, are not counted. 0 where left out.
        excluded: Misclassified before the attack, so that nothing is to be shown: left out and
            unchanged, (N,) bool.
        targets: The class that each answer was to become, (N,), or None.
        notes: What to know before trusting the numbers: images left out, gradients that are zero or
            not finite, attacks that found nothing. For people, in sentences.
        zero_gradients: Images whose gradient was zero at the first step along it.
        broken_gradients: Images whose gradient was not finite at some step.

    Examples:
        >>> import torch
        >>> yes, no = torch.tensor([True, False, False]), torch.tensor([False, False, True])
        >>> attacked = Attacked(torch.zeros(3, 1, 2, 2), yes, torch.tensor([3, 9, 0]), no)
        >>> attacked.attempted, attacked.success_rate
        (2, 0.5)
    """

    images: Tensor
    success: Tensor
    queries: Tensor
    excluded: Tensor
    targets: Tensor | None = None
    notes: tuple[str, ...] = ()
    zero_gradients: int = 0
    broken_gradients: int = 0

    @property
    def attempted(self) -> int:
        """Number of images that were attacked."""
        return int((~self.excluded).sum())

    @property
    def success_rate(self) -> float:
        """Share of the attacked images that succeeded; NaN if none was attacked."""
        return int(self.success.sum()) / self.attempted if self.attempted else float("nan")


def counted_notes(count: int, excluded: int, zero: int, broken: int) -> list[str]:
    """Say which images an attack could not try, or only with gradients that tell little.

    Args:
        count: Of all images.
        excluded: Misclassified before.
        zero: With a gradient of zero at the first step.
        broken: With a gradient that is not finite.

    Returns:
        A sentence for each number that is not 0.

    Examples:
        >>> counted_notes(10, 2, 0, 0)
        ['2 of 10 images are misclassified before and left out']
    """
    left, notes = count - excluded, []
    if excluded:
        notes.append(f"{excluded} of {count} images are misclassified before and left out")
    if zero:
        notes.append(
            f"the gradient is zero at the first step on {zero} of {left} images: the network may "
            "hide it, or be sure to rounding"
        )
    if broken:
        notes.append(
            f"the gradient is not finite at some step on {broken} of {left} images; such values "
            "are taken as zero"
        )
    return notes
