"""Maps laid over images."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
from PIL import Image

from filterscope.report.theme import data_uri


def overlay(image: np.ndarray, values: np.ndarray, *, signed: bool = False) -> np.ndarray:
    """Lay a map over a grey image: dark where it is small, bright where it is large.

    Args:
        image: (H, W, 3) uint8.
        values: (H, W).
        signed: The map's smallest value is dark; else 0 is.

    Returns:
        (H, W, 3) uint8.
    """
    low, high = float(values.min()) if signed else 0.0, float(values.max())
    strength = (values - low) / (high - low) if high > low else np.zeros_like(values)
    grey = image.mean(axis=2, keepdims=True)
    heat = 255 * mpl.colormaps["inferno"](strength.clip(0, 1))[..., :3]
    return np.asarray((0.45 * grey + 0.55 * heat).round().astype(np.uint8))


def picture_uri(pixels: np.ndarray) -> str:
    """Pixels (H, W, 3) uint8 as a PNG's data URI."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return data_uri(file.getvalue(), "image/png")
