"""How near a picture comes to the one that was meant, in decibels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def peak_signal_noise_ratio(
    picture: Tensor, reference: Tensor, *, border: int = 0, peak: float = 255.0
) -> float:
    """Peak signal to noise ratio of a picture: 10 log10(peak^2 / mean squared error).

    Super-resolution is usually compared on luminance alone, with as many border pixels left out
    as the scale; take `filterscope.models.luminance` of both pictures for that. Figures of
    different luminances (full range as here, or MATLAB's 16 to 235) are not comparable.

    Args:
        picture: (..., H, W). Not limited to 0 to `peak`.
        reference: In the shape of `picture`.
        border: Pixels left out at each side.
        peak: The largest value of a pixel (255).

    Returns:
        Decibels, over all pixels together; infinite for equal pictures.

    Raises:
        ValueError: Shapes that differ or leave no pixel, non-finite values, or a negative border
            or peak.

    Examples:
        >>> reference = torch.zeros(1, 8, 8)
        >>> round(peak_signal_noise_ratio(reference + 1, reference), 2)
        48.13
    """
    if picture.shape != reference.shape or picture.dim() < 2:
        raise ValueError(
            "`picture` and `reference` must have one shape (..., H, W), got "
            f"{tuple(picture.shape)} and {tuple(reference.shape)}"
        )
    if border < 0 or not peak > 0:
        raise ValueError(f"`border` must be at least 0 and `peak` above 0, got {border}, {peak}")
    height, width = picture.shape[-2:]
    if min(height, width) <= 2 * border or not picture.numel():
        raise ValueError(f"`border` of {border} leaves nothing of {tuple(picture.shape)}")
    inner = (..., slice(border, height - border), slice(border, width - border))
    # as numbers of double precision, since differences of integers would wrap around
    difference = picture[inner].detach().double() - reference[inner].detach().double()
    if not bool(torch.isfinite(difference).all()):
        raise ValueError("`picture` or `reference` holds non-finite values")
    error = float(difference.square().mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
