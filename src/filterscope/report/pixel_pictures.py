"""Pixel maps as small transparent pictures that lie over an image, on light and dark paper."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from filterscope.report.overlay import picture_uri
from filterscope.report.theme import data_uri

FOR, AGAINST = "#1777d1", "#e4661b"
"""Colours of what speaks for a label and against it."""

LABEL_COLORS = (
    "#1777d1", "#e4661b", "#13a074", "#c04aa0", "#d6ae0b", "#7d5fd0",
    "#35b6d6", "#a85a2a", "#8fb31f", "#e0567a", "#5d7a99", "#b08fe0",
)  # fmt: skip
"""Colours of labels in a picture of votes."""

_LEVELS = 24
_SMALL = 96


def is_small(pixels: np.ndarray) -> bool:
    """Whether a picture (H, W, ...) is shown much larger than it is."""
    height, width = pixels.shape[:2]
    return bool(max(height, width) <= _SMALL)


def photo_uri(pixels: np.ndarray) -> str:
    """A picture (H, W, 3) uint8 as a data URI: JPEG, or PNG where it is small."""
    if is_small(pixels):
        return picture_uri(pixels)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=85, optimize=True)
    return data_uri(file.getvalue(), "image/jpeg")


def signed_scale(values: np.ndarray) -> float:
    """The size at which a signed map is at its strongest: that of its largest fiftieth.

    Examples:
        >>> signed_scale(np.array([[-2.0, 1.0]]))
        2.0
    """
    return float(np.quantile(np.abs(values), 0.98, method="higher"))


def signed_uri(values: np.ndarray) -> str:
    """A signed map, symmetric about 0: the larger, the less transparent.

    Args:
        values: (H, W); beyond `signed_scale` they are at their strongest.

    Returns:
        A data URI; `FOR` above 0, `AGAINST` below.
    """
    scale = signed_scale(values)
    strength = np.zeros_like(values) if scale == 0 else (values / scale).clip(-1, 1)
    levels = np.rint(strength * _LEVELS).astype(int) + _LEVELS
    colors = [AGAINST] * _LEVELS + [FOR] * (_LEVELS + 1)
    alphas = [round(255 * abs(level - _LEVELS) / _LEVELS) for level in range(2 * _LEVELS + 1)]
    return _indexed_uri(levels, colors, alphas)


def votes_uri(winners: np.ndarray, labels: Sequence[int], colors: Sequence[str]) -> str:
    """The labels that pixels vote for, one colour each.

    Args:
        winners: Label of each pixel, (H, W).
        labels: Those that are painted; pixels of others are transparent.
        colors: Of each of them.
    """
    positions = np.zeros(winners.shape, int)
    for position, label in enumerate(labels, start=1):
        positions[winners == label] = position
    return _indexed_uri(positions, ["#000000", *colors], [0, *[235] * len(labels)])


def _indexed_uri(positions: np.ndarray, colors: Sequence[str], alphas: Sequence[int]) -> str:
    picture = Image.fromarray(positions.astype(np.uint8), mode="P")
    picture.putpalette([int(c[k : k + 2], 16) for c in colors for k in (1, 3, 5)])
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True, transparency=bytes(alphas))
    return data_uri(file.getvalue(), "image/png")
