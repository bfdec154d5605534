"""Whether a run's images are still divided as they were when it was trained."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from filterscope.data import ImageDataset, Split

DIVISION = "division"
"""Where ``classes.json`` holds what `division` gives."""


def division(dataset: ImageDataset) -> dict[str, str]:
    """Digests of the names and labels of the training and of the test images.

    Images that are held out are drawn among all that there are: one more or less in the folder
    draws others, among them such as a network was trained on.

    Examples:
        >>> from filterscope.data import load_dataset
        >>> division(load_dataset("digits")) == division(load_dataset("digits", seed=1))
        False
    """
    return {"train": _digest(dataset.train), "test": _digest(dataset.test)}


def changed_images(described: Mapping[str, Any], dataset: ImageDataset) -> tuple[str, ...]:
    """Say on which sides, "train" and "test", a run's images are others than at its training.

    Args:
        described: What ``classes.json`` of the run holds; runs made before it held digests are
            taken for unchanged.
        dataset: The run's data as it is now.
    """
    then = described.get(DIVISION)
    now = division(dataset)
    return tuple(side for side in now if isinstance(then, dict) and then.get(side) != now[side])


def _digest(split: Split) -> str:
    found = hashlib.sha256()
    for label, name in zip(split.labels.tolist(), split.names, strict=True):
        found.update(f"{label} {name}\n".encode(errors="surrogateescape"))
    return found.hexdigest()[:16]
