"""CIFAR-10 and CIFAR-100 in their official layouts, read without trusting the pickles."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}

LAYOUTS: dict[str, dict[str, Any]] = {
    "cifar10": {
        "folder": "cifar-10-batches-py",
        "train": [f"data_batch_{i}" for i in range(1, 6)],
        "test": ["test_batch"],
        "labels": "labels",
        "meta": ("batches.meta", "label_names"),
        "binary": "cifar-10-batches-bin",
        "binary_meta": "batches.meta.txt",
        "torchvision": "CIFAR10",
        "page": "https://www.cs.toronto.edu/~kriz/cifar.html",
    },
    "cifar100": {
        "folder": "cifar-100-python",
        "train": ["train"],
        "test": ["test"],
        "labels": "fine_labels",
        "meta": ("meta", "fine_label_names"),
        "binary": "cifar-100-binary",
        "binary_meta": "fine_label_names.txt",
        "torchvision": "CIFAR100",
        "page": "https://www.cs.toronto.edu/~kriz/cifar.html",
    },
}

Parts = dict[str, tuple[Tensor, Tensor]]


def read_cifar(name: str, root: Path, *, download: bool) -> tuple[Parts, tuple[str, ...]]:
    """Read a CIFAR data set.

    Args:
        name: "cifar10" or "cifar100" (fine labels).
        root: Folder that holds ``cifar-10-batches-py`` or ``cifar-10-batches-bin`` (for CIFAR-100
            ``cifar-100-python`` or ``cifar-100-binary``).
        download: Fetch the archive from its official page when it is missing.

    Returns:
        For "train" and "test" pixels (N, 3, 32, 32) uint8 and labels (N,); and the class names.

    Raises:
        FileNotFoundError: The data set is not there; with the expected layout and the source.
        ValueError: A damaged file, or one that holds more than arrays.
    """
    layout = LAYOUTS[name]
    folders = [root / layout["folder"], root / name / layout["folder"]]
    binaries = [root / layout["binary"], root / name / layout["binary"]]
    found = next((folder for folder in (*folders, *binaries) if folder.is_dir()), None)
    if found is None and download:
        _download(layout, root)
        found = folders[0]
    if found is None:
        raise FileNotFoundError(
            f"{name} is not in {root}: expected {layout['folder']}/ or {layout['binary']}/ as in "
            f"the archive from {layout['page']}; --download fetches it"
        )
    if found in binaries:
        return _read_binary(name, found)
    parts = {split: _read_pickles(found, layout, split) for split in ("train", "test")}
    meta_file, key = layout["meta"]
    names = _unpickle(found / meta_file).get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{found / meta_file} holds no class names ({key})")
    return _checked(parts, found, len(names)), tuple(names)


def _download(layout: dict[str, Any], root: Path) -> None:
    import torchvision.datasets
    from torchvision.datasets.utils import download_and_extract_archive

    kind = getattr(torchvision.datasets, layout["torchvision"])
    download_and_extract_archive(kind.url, str(root), filename=kind.filename, md5=kind.tgz_md5)


def _read_pickles(folder: Path, layout: dict[str, Any], split: str) -> tuple[Tensor, Tensor]:
    images, labels = [], []
    for part in layout[split]:
        values = _unpickle(folder / part)
        try:
            images.append(np.asarray(values["data"], np.uint8).reshape(-1, 3, 32, 32))
            labels.append(np.asarray(values[layout["labels"]], np.int64))
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"{folder / part} is no CIFAR batch: {error}") from error
        if labels[-1].shape != images[-1].shape[:1]:
            raise ValueError(
                f"{folder / part} holds {len(images[-1])} images and labels of shape "
                f"{labels[-1].shape}"
            )
    return torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(labels))


def _read_binary(name: str, folder: Path) -> tuple[Parts, tuple[str, ...]]:
    layout = LAYOUTS[name]
    label_bytes = 1 if name == "cifar10" else 2  # CIFAR-100 has the coarse label first
    parts: Parts = {}
    for split in ("train", "test"):
        rows = []
        for part in layout[split]:
            file = folder / f"{part}.bin"
            if not file.is_file():
                raise FileNotFoundError(f"{file} is missing")
            raw = np.fromfile(file, dtype=np.uint8)
            if not raw.size or raw.size % (label_bytes + 3072):
                raise ValueError(f"{file} is truncated: {raw.size} bytes are no whole images")
            rows.append(raw.reshape(-1, label_bytes + 3072))
        values = np.concatenate(rows)
        pixels = values[:, label_bytes:].reshape(-1, 3, 32, 32)
        labels = values[:, label_bytes - 1].astype(np.int64)
        parts[split] = (torch.from_numpy(pixels.copy()), torch.from_numpy(labels))
    meta = folder / layout["binary_meta"]
    if not meta.is_file():
        raise FileNotFoundError(f"{meta} is missing")
    names = meta.read_text(encoding="utf-8").split()
    return _checked(parts, folder, len(names)), tuple(names)


def _checked(parts: Parts, folder: Path, num_classes: int) -> Parts:
    for split, (_, labels) in parts.items():
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise ValueError(
                f"{folder}: the {split} labels run from {labels.min()} to {labels.max()}, but "
                f"there are {num_classes} class names"
            )
    return parts


def _unpickle(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing")
    try:
        values = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"{file} is not readable as a CIFAR batch: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{file} is no CIFAR batch: it holds a {type(values).__name__}")
    return values


class _ArraysOnly(pickle.Unpickler):
    """Builds arrays and plain values; anything else that a pickle could name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Look up what the pickle names."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no CIFAR file needs")
        return super().find_class(module, name)
