"""What of a run goes to others: settings, history and numbers, and no place of this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from filterscope.core.files import write_json
from filterscope.runs.folder import RunFolder
from filterscope.runs.load import Run


def write_run_texts(run: Run, folder: str | Path) -> None:
    """Write everything of a run but its weights, for `load_run`.

    The checkpoint, the pages and the arrays stay: they hold the optimizer's state and pictures of
    the data. Of paths only the last name goes.

    Args:
        run: The run.
        folder: A new or empty one.

    Raises:
        FileExistsError: The folder holds something.
    """
    target = RunFolder(Path(folder))
    if target.path.exists() and (not target.path.is_dir() or any(target.path.iterdir())):
        raise FileExistsError(f"{folder} holds something already; name a new folder for the run")
    target.path.mkdir(parents=True, exist_ok=True)
    write_json(target.classes, run.described)
    write_json(target.environment, run.environment)
    if run.evaluation is not None:
        write_json(target.evaluation, without_places(run.evaluation))
    if run.history:
        target.write_metrics(run.history)
    target.write_config({**without_places(run.config), "data_root": None})


def without_places(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of each absolute path among texts its last name, in nested mappings, too.

    Examples:
        >>> without_places({"data": "folder:/home/me/photos", "weights": "/tmp/a.pt", "lr": 0.1})
        {'data': 'folder:photos', 'weights': 'a.pt', 'lr': 0.1}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found[name] = without_places(value)
        else:
            found[name] = _last_name(value) if isinstance(value, str) else value
    return found


def _last_name(text: str) -> str:
    if PureWindowsPath(text).is_absolute():
        return PureWindowsPath(text).name
    prefix, colon, path = text.partition(":")
    if not colon:
        prefix, path = "", text
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute() or path.startswith("~"):
            return f"{prefix}{colon}{kind(path).name}"
    return text
