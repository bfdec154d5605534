"""What the image and each layer contribute, over a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.linear.contributions import Contributions

Normalize = Literal["score", "abs"] | None


@dataclass(frozen=True, repr=False)
class ContributionHistogram(Brief):
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
        The bars of all images, with mean and deviation. A layer whose constants depend on the
        image may be absent from some of them; it contributes nothing to those.

    Raises:
        ValueError: No images, an image that has no layer in common with those before it,
            contributions that are not finite, or an unknown `normalize`.

    Source: Navarrete Michelini et al., ICCV 2019, figure 1 of the appendix.

    Examples:
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
    layers = _merged(parts)
    bars = torch.tensor(
        [[part.input, *(dict(part.layers).get(name, 0.0) for name in layers)] for part in parts],
        dtype=torch.float64,
    )
    if not bool(torch.isfinite(bars).all()):
        raise ValueError("`parts` holds contributions that are not finite")
    if normalize is not None:
        scores = torch.tensor([part.total for part in parts], dtype=torch.float64)
        scales = scores[:, None] if normalize == "score" else bars.abs().sum(1, keepdim=True)
        bars = torch.where(scales == 0, torch.nan, bars / scales)
    return ContributionHistogram(("input", *layers), bars, normalize)


def _merged(parts: Sequence[Contributions]) -> list[str]:
    """The layers of all images; one that others lack comes before the next that they share."""
    layers: list[str] = []
    for place, part in enumerate(parts):
        names = [name for name, _ in part.layers]
        if layers and names and set(layers).isdisjoint(names):
            raise ValueError(
                f"`parts` must be of one network and one `by`; image {place} has no layer in "
                f"common with those before it: {names[0]!r}... against {layers[0]!r}..."
            )
        end = len(layers)
        for name in reversed(names):
            if name in layers:
                end = layers.index(name)
            else:
                layers.insert(end, name)
    return layers
