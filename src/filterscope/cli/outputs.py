"""The files and folders that verbs write, looked at before any work is done for them."""

from __future__ import annotations

from pathlib import Path

from filterscope.core.files import refuse_unwritable


def free_file(path: str, *, overwrite: bool) -> Path:
    """Look whether a file may be written.

    Args:
        path: As given with ``--out``.
        overwrite: A file that is there may be replaced.

    Raises:
        FileExistsError: It is there, and `overwrite` is off, or a folder is there.
        OSError: Its folder cannot be written to.
    """
    out = Path(path)
    if out.is_dir():
        raise FileExistsError(f"{out} is a folder; name a file in it")
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} exists; replace it with --overwrite, or name another file")
    refuse_unwritable(out.parent)
    return out
