"""A template whose width comes from annotated parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# Enough for steps of 2 % of the template's range; more landmarks are summed up in as many.
_QUANTILES = 101


@dataclass(frozen=True)
class FittedTemplate:
    """A template that falls as fast as the parts of real objects end; a `shape` for templates.

    Its value at distance d from the peak is 1 minus twice the share of landmarks whose half
    distance to the nearest other part is below d: +1 at the peak, 0 at the typical border to the
    next part, -1 beyond every border.

    Attributes:
        borders: Sorted half distances to the nearest other part, as shares of the image's side.
    """

    borders: tuple[float, ...]

    def __call__(self, rows: Tensor, columns: Tensor) -> Tensor:
        """Values at offsets from the peak, as shares of the map's side, of any shape."""
        distance = (rows.square() + columns.square()).sqrt()
        borders = torch.tensor(self.borders, device=distance.device, dtype=distance.dtype)
        below = torch.searchsorted(borders, distance.contiguous())
        return 1 - 2 * below.to(distance.dtype) / len(self.borders)


def fit_template(landmarks: Tensor, image_size: int | tuple[int, int]) -> FittedTemplate:
    """Fit a template to the distances between the annotated parts of a data set.

    Activation on a landmark belongs to its part; activation nearer to another landmark does not.
    So half the distance from each landmark to the nearest other part of its image is where its
    part ends, and the template is positive up to the median of these borders. No number is left
    to be chosen.

    Args:
        landmarks: Positions (x, y) in pixels of the network's input, (N, parts, 2); NaN where an
            image lacks a part.
        image_size: Side of the network's input in pixels, or (height, width).

    Returns:
        A function for the `shape` of `part_templates` and its kin; `space`, `beta` and `gamma`
        do not act on it.

    Raises:
        ValueError: Landmarks of another shape or outside the image, or no image with two parts.

    Source: ours; fitting templates to data is future work in Ong and Liu.

    Examples:
        >>> head_and_legs = torch.tensor([[[10.0, 10.0], [10.0, 90.0]]])
        >>> template = fit_template(head_and_legs, image_size=100)
        >>> template.borders[0]
        0.40
    """
    if landmarks.dim() != 3 or landmarks.shape[2] != 2:
        raise ValueError(f"`landmarks` must be (N, parts, 2), got {tuple(landmarks.shape)}")
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if height < 1 or width < 1:
        raise ValueError(f"`image_size` must be positive, got {image_size}")
    share = landmarks.double() / torch.tensor([width, height], device=landmarks.device)
    present = ~share.isnan().any(2)
    if bool(((share < 0) | (share > 1)).any(2)[present].any()):
        raise ValueError(
            f"`landmarks` must lie inside the image of {width} x {height} pixels; some do not"
        )
    distance = (share[:, :, None] - share[:, None]).square().sum(3).sqrt()
    own = torch.eye(landmarks.shape[1], dtype=torch.bool, device=landmarks.device)
    apart = present[:, :, None] & present[:, None] & ~own
    borders = distance.masked_fill(~apart, float("inf")).amin(2)[apart.any(2)] / 2
    if not len(borders):
        raise ValueError("`landmarks` hold no image with two parts, so no distance between parts")
    borders = borders.sort().values
    if len(borders) > _QUANTILES:
        evenly = torch.linspace(0, len(borders) - 1, _QUANTILES, dtype=torch.float64)
        borders = borders[evenly.round().long().to(borders.device)]
    return FittedTemplate(tuple(borders.tolist()))
