"""The most class-specific filters and the images that fire them."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from filterscope.data import Split

FILTERS = 12
IMAGES = 8
THUMBNAIL = 64
"""Largest side of a thumbnail, in pixels."""


def top_filter_images(
    mi: Tensor, features: Tensor, labels: Tensor, split: Split
) -> dict[str, np.ndarray]:
    """Pick the filters with the largest MI entry, and for each the images that fire it most.

    Args:
        mi: (C, K).
        features: (N, K).
        labels: (N,).
        split: The images.

    Returns:
        Arrays: ``top_filters`` (F,), ``top_filter_classes`` (F,), ``top_filter_mi`` (F,),
        ``top_images`` (F, M) places in the split, ``top_labels`` (F, M), ``top_activations``
        (F, M), and ``top_thumbnails`` (F, M, h, w, 3) uint8.
    """
    strength, classes = mi.max(dim=0)
    filters = torch.argsort(strength, descending=True, stable=True)[:FILTERS]
    order = torch.argsort(features[:, filters], dim=0, descending=True, stable=True)
    places = order[:IMAGES].T
    thumbnails = np.stack(
        [np.stack([_thumbnail(split.raw(i)) for i in row]) for row in places.tolist()]
    )
    return {
        "top_filters": filters.numpy(),
        "top_filter_classes": classes[filters].numpy(),
        "top_filter_mi": strength[filters].numpy(),
        "top_images": places.numpy(),
        "top_labels": labels[places].numpy(),
        "top_activations": features[places, filters[:, None]].numpy(),
        "top_thumbnails": thumbnails,
    }


def _thumbnail(pixels: Tensor) -> np.ndarray:
    picture = pixels.permute(1, 2, 0).numpy()
    if max(picture.shape[:2]) > THUMBNAIL:
        image = Image.fromarray(picture)
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        picture = np.asarray(image)
    return np.ascontiguousarray(picture)
