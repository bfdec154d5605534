"""Results that are a JSON file of numbers and an npz file of arrays beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.core.files import atomic_write, read_json, write_json
from filterscope.runs.folder import RunFolder


def write_result(
    numbers: Path,
    arrays: Path,
    schema: int,
    content: Mapping[str, Any],
    values: Mapping[str, np.ndarray],
) -> None:
    """Write a result; the numbers last, so that they never tell of arrays that are not there.

    Args:
        numbers: The JSON file.
        arrays: The npz file.
        schema: Version of the layout.
        content: Plain values by name.
        values: Arrays by name.
    """
    with atomic_write(arrays) as target:
        np.savez_compressed(target, allow_pickle=False, **values)
    write_json(numbers, {"schema": schema, **content})


def read_result(
    numbers: Path, arrays: Path, schema: int, verb: str
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `write_result` wrote.

    Args:
        numbers: The JSON file.
        arrays: The npz file.
        schema: The newest version that is understood.
        verb: Of the command that writes them, for the message.

    Returns:
        Plain values and arrays.

    Raises:
        FileNotFoundError: One of the files is not there.
        ValueError: A damaged file, or one of a newer version.
    """
    folder = numbers.parent
    if not numbers.is_file() or not arrays.is_file():
        raise FileNotFoundError(
            f"{folder} has no {numbers.name} with {arrays.name}; run `filterscope {verb} {folder}`"
        )
    content: dict[str, Any] = read_json(numbers)
    if content.get("schema", 0) > schema:
        raise ValueError(f"{numbers} has schema {content['schema']}; this reads up to {schema}")
    return content, dict(RunFolder(folder).read_arrays(arrays) or {})
