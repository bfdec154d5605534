"""What the image and each layer contribute, over a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from filterscope.linear.contributions import Contributions

Normalize = Literal["score", "abs"] | None


@dataclass(frozen=True)
class ContributionHistogram:
    """Contributions of the image and of each layer, image by image.

    Attributes:
        layers: Names of the bars, "input" (the image, F x0) first, then layers in depth order.
        values: (n, L) float64; NaN in the row of an image that has no scale to be divided by.
        normalize: What they were divided by, as in `contribution_histogram`.
    """

    layers: tuple[str, ...]
    values: Tensor
    normalize: Normalize = None

    @property
    def count(self) -> int:
        """Images behind mean and deviation: those whose values are defined."""
        return len(self._defined)

    @property
    def mean(self) -> Tensor:
        """Mean over the images, (L,); NaN without images."""
        return self._defined.mean(0)

    @property
    def std(self) -> Tensor:
        """Standard deviation over the images (by n - 1), (L,); NaN for fewer than two."""
        if self.count < 2:
            return torch.full_like(self.mean, torch.nan)
        return self._defined.std(0)

    @property
    def _defined(self) -> Tensor:
        return self.values[~self.values.isnan().any(1)]


def contribution_histogram(
    parts: Sequence[Contributions], normalize: Normalize = None
) -> ContributionHistogram:
    """Put the contributions to each image's output side by side.

    Args:
        parts: One for each image, of `LinearInterpreter.contributions` with one `by`; usually of
            the top label.
        normalize: None: in units of the score (default; the paper does not name its own unit).
            "score": divided by the score, so that an image's bars add up to 1; undefined for a
            score of zero. "abs": divided by the sum of the absolute bars, so that those add up to
            1 and no image outweighs another; undefined where nothing contributes.

    Returns:
        The bars of all images, with mean and deviation.

    Raises:
        ValueError: No images, images whose layers differ, contributions that are not finite, or an
            unknown `normalize`.

    Source: Navarrete Michelini et al., ICCV 2019, figure 1 of the appendix.

    Example:
        >>> one = Contributions(0, 1.0, [("conv", 3.0)], 4.0, torch.ones(1), [])
        >>> other = Contributions(1, -1.0, [("conv", 2.0)], 1.0, torch.ones(1), [])
        >>> histogram = contribution_histogram([one, other])
        >>> histogram.layers, histogram.mean
        (('input', 'conv'), tensor([0.0000, 2.5000], dtype=torch.float64))
    """
    if normalize is not None and normalize not in ("score", "abs"):
        raise ValueError(f'`normalize` must be None, "score" or "abs", got {normalize!r}')
    if not parts:
        raise ValueError("`parts` is empty: give the contributions of at least one image")
    layers = [name for name, _ in parts[0].layers]
    for place, part in enumerate(parts):
        names = [name for name, _ in part.layers]
        if names != layers:
            raise ValueError(
                f"`parts` must have the same layers for all images; those of image {place} differ: "
                f"{_difference(layers, names)}"
            )
    bars = torch.tensor(
        [[part.input, *(value for _, value in part.layers)] for part in parts],
        dtype=torch.float64,
    )
    if not bool(torch.isfinite(bars).all()):
        raise ValueError("`parts` holds contributions that are not finite")
    if normalize is not None:
        scores = torch.tensor([part.total for part in parts], dtype=torch.float64)
        scales = scores[:, None] if normalize == "score" else bars.abs().sum(1, keepdim=True)
        bars = torch.where(scales == 0, torch.nan, bars / scales)
    return ContributionHistogram(("input", *layers), bars, normalize)


def _difference(expected: Sequence[str], found: Sequence[str]) -> str:
    if len(expected) != len(found):
        return f"{len(found)} against {len(expected)}"
    place = next(k for k, name in enumerate(expected) if found[k] != name)
    return f"{found[place]!r} against {expected[place]!r}"
