"""Folders of the Hugging Face Hub: fetched when they are named, published when that is asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

HUB = "hub:"
"""What a name on the Hub begins with; anything else is a folder of this machine."""

FILES = (
    "config.json", "model.safetensors", "gate.safetensors", "parts.safetensors",
    "config.yaml", "classes.json", "metrics.csv", "environment.json", "evaluation.json",
)  # fmt: skip
"""The files of a saved network or run; no others are fetched or published."""

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def local_folder(source: str | Path, revision: str | None = None) -> Path:
    """Give the folder that a name stands for, fetched where it is one of the Hub's.

    Args:
        source: A folder, or ``"hub:owner/name"``. What was fetched before comes from the cache of
            huggingface_hub, where nothing has changed on the Hub.
        revision: Commit, branch or tag on the Hub; None is its main branch. A commit is the only
            one that stays what it is.

    Returns:
        The folder. Of the Hub's files only `FILES` are fetched: no code, no pickles.

    Raises:
        FileNotFoundError: A folder that does not exist.
        ValueError: A name on the Hub that is none, or a revision of a folder.
        ConnectionError: The Hub did not give it.
        ModuleNotFoundError: huggingface_hub is missing.

    Examples:
        >>> import tempfile
        >>> local_folder(tempfile.gettempdir()).is_dir()
        True
    """
    text = str(source)
    if not text.startswith(HUB):
        return _existing(Path(source), revision)
    name = _checked_name(text.removeprefix(HUB))
    hub = _client()
    try:
        return Path(hub.snapshot_download(name, revision=revision, allow_patterns=list(FILES)))
    except Exception as error:  # the client raises many kinds
        raise ConnectionError(f"{text} could not be fetched: {_first_line(error)}") from error


def publish_folder(
    folder: str | Path, name: str, *, private: bool = True, message: str, card: str
) -> str:
    """Put the files of a folder on the Hub, in one commit.

    Args:
        folder: What ``save_pretrained`` wrote; of its files only `FILES` go.
        name: ``owner/name``; made if absent.
        private: Whether a repository that is made here is for its owner alone.
        message: Of the commit.
        card: The page of the repository, written only where it has none.

    Returns:
        The commit's address.

    Raises:
        ValueError: A name that is none.
        ConnectionError: The Hub did not take it.
        ModuleNotFoundError: huggingface_hub is missing.
    """
    name, hub = _checked_name(name), _client()
    added = [
        hub.CommitOperationAdd(file, str(Path(folder) / file))
        for file in FILES
        if (Path(folder) / file).is_file()
    ]
    try:
        api = hub.HfApi()
        api.create_repo(name, private=private, exist_ok=True)
        if not api.file_exists(name, "README.md"):
            added.append(hub.CommitOperationAdd("README.md", card.encode()))
        return str(api.create_commit(name, added, commit_message=message).commit_url)
    except Exception as error:
        raise ConnectionError(f"{name} could not be published: {_first_line(error)}") from error


def _existing(folder: Path, revision: str | None) -> Path:
    if revision is not None:
        raise ValueError(f"`revision` is for names on the Hub ({HUB}owner/name), got {folder}")
    if folder.is_dir():
        return folder
    hint = f"; on the Hub it would be {HUB}{folder}" if _NAME.fullmatch(str(folder)) else ""
    raise FileNotFoundError(f"{folder} does not exist{hint}")


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"a name on the Hub must be owner/name, got {name!r}")
    return name


def _client() -> Any:
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the Hugging Face Hub needs huggingface_hub: pip install filterscope[hub]"
        ) from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__} {lines[0] if lines else ''}".strip()
