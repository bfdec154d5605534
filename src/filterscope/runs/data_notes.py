"""What a run was given to learn from, and what was left out."""

from __future__ import annotations

from typing import Any

from filterscope.core.files import write_json
from filterscope.data import ImageDataset
from filterscope.runs.folder import RunFolder


def write_data_notes(folder: RunFolder, dataset: ImageDataset) -> None:
    """Write ``data.json``: how many images there are, and each file that was left out, with why.

    Args:
        folder: The run's.
        dataset: The data that is trained or measured on.
    """
    write_json(folder.data, data_notes(dataset))


def data_notes(dataset: ImageDataset) -> dict[str, Any]:
    """Count the images of a data set, and list what was left out of it.

    Examples:
        >>> from filterscope.data import load_dataset
        >>> data_notes(load_dataset("digits"))["train"]
        1438
    """
    return {
        "data": dataset.name,
        "train": len(dataset.train),
        "test": len(dataset.test),
        "unreadable": [list(entry) for entry in dataset.unreadable],
        "ignored": [list(entry) for entry in dataset.ignored],
        "notes": [*dataset.left_out_notes, *dataset.mask_notes, *dataset.landmark_notes],
    }
