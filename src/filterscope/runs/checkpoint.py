"""The checkpoint of a run, read without trust."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_STATES = ("model", "gate", "parts")


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint of ours without unpickling anything but tensors and plain values.

    Every byte is checked against the sums that PyTorch writes into the file and does not look at:
    a flipped bit in a weight would be a silent number.

    Args:
        file: What `filterscope.training.checkpoint.write_checkpoint` wrote.

    Returns:
        Number of finished epochs ("epoch"), tensors by name of "model", "gate" and "parts" (None
        where the run has none), the state of each of the "optimizers", "rows", one an epoch, and
        "settings".

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, foreign, or holds more than plain values.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} does not exist")
    try:
        _refuse_damage(file)
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged file
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"{file} is not readable as a checkpoint: {first}") from error
    odd = _odd_entry(checkpoint)
    if odd is not None:
        raise ValueError(f"{file} is not a checkpoint of filterscope: {odd}")
    return dict(checkpoint)


def _refuse_damage(file: Path) -> None:
    """Raise where an entry of the archive does not have the sum that it was written with."""
    with zipfile.ZipFile(file) as archive:
        packed = [entry for entry in archive.infolist() if entry.compress_type]
        if packed:  # never by PyTorch; it could unpack to any size
            raise ValueError(f"its entry {packed[0].filename} is compressed")
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"its entry {damaged} is damaged")


def _odd_entry(checkpoint: Any) -> str | None:
    """Say what a checkpoint lacks, None where it has everything."""
    if not isinstance(checkpoint, dict):
        return f"it holds a {type(checkpoint).__name__}"
    checkpoint.setdefault("parts", None)  # runs made before part templates
    kinds = {"epoch": int, "model": Mapping, "optimizers": Mapping, "rows": list}
    for name, kind in {**kinds, "settings": Mapping}.items():
        if not isinstance(checkpoint.get(name), kind):
            return f"it has no {name}"
    for name in _STATES:
        state = checkpoint.get(name)
        if state is not None and not _is_state(state):
            return f"its {name} is no state dict"
    rows = checkpoint["rows"]
    if len(rows) != checkpoint["epoch"] or not all(isinstance(row, dict) for row in rows):
        return f"its history has {len(rows)} rows for {checkpoint['epoch']} epochs"
    return None


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )
