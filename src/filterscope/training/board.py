"""The history of a run for TensorBoard, beside ``metrics.csv``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Self

from filterscope.runs.folder import Row, RunFolder
from filterscope.training.progress import Reporter


class BoardReporter:
    """Hands on what the loop tells, and writes each epoch's numbers as TensorBoard scalars.

    The scalars have the names of the columns of ``metrics.csv``, their step is the epoch. The
    folder's event files are written anew from the history at the start, so that a resumed run has
    each epoch once.

    Args:
        inner: Who else is told.
        folder: The run folder; its ``tensorboard`` is written to.
        rows: The epochs that are finished already.

    Raises:
        ModuleNotFoundError: tensorboard is missing.
    """

    def __init__(self, inner: Reporter, folder: RunFolder, rows: Sequence[Row]) -> None:
        self.inner, self.folder, self.rows = inner, folder, list(rows)
        self.writer: Any = None

    def __enter__(self) -> Self:
        self.folder.remove_events()
        self.writer = board_module().SummaryWriter(str(self.folder.tensorboard))
        for row in self.rows:
            self._write(row)
        self.inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the files, also where the run ends early."""
        try:
            self.writer.close()
        finally:
            self.inner.__exit__(*error)

    def note(self, text: str) -> None:
        """Hand on."""
        self.inner.note(text)

    def epoch_started(self, epoch: int, phase: str, steps: int) -> None:
        """Hand on."""
        self.inner.epoch_started(epoch, phase, steps)

    def step(self) -> None:
        """Hand on."""
        self.inner.step()

    def epoch_finished(self, row: Row) -> None:
        """Write the epoch's numbers, then hand on."""
        self._write(row)
        self.inner.epoch_finished(row)

    def _write(self, row: Row) -> None:
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float):
                self.writer.add_scalar(name, value, row["epoch"])
        self.writer.flush()


def board_module() -> ModuleType:
    """Import PyTorch's writer of event files.

    Raises:
        ModuleNotFoundError: tensorboard is missing.
    """
    try:
        return importlib.import_module("torch.utils.tensorboard")
    except ImportError as error:
        raise ModuleNotFoundError(
            "`tensorboard` needs TensorBoard: pip install filterscope[tensorboard]"
        ) from error
