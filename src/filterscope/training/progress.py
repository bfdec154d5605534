"""What a training run shows while it runs."""

from __future__ import annotations

from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from filterscope.runs.folder import Row


class Reporter(Protocol):
    """What the loop tells while it runs."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def note(self, text: str) -> None:
        """Tell something once."""

    def epoch_started(self, epoch: int, phase: str, steps: int) -> None:
        """Tell that an epoch begins."""

    def step(self) -> None:
        """Tell that a step is done."""

    def epoch_finished(self, row: Row) -> None:
        """Tell what an epoch gave."""


class Silent:
    """A reporter that shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """End."""

    def note(self, text: str) -> None:
        """Ignore."""

    def epoch_started(self, epoch: int, phase: str, steps: int) -> None:
        """Ignore."""

    def step(self) -> None:
        """Ignore."""

    def epoch_finished(self, row: Row) -> None:
        """Ignore."""


class ConsoleReporter:
    """A progress bar on a terminal, and one line an epoch anywhere.

    Args:
        name: What is trained, in a word.
        epochs: Length of the run.
        console: Where to; standard error by default, so that results can be piped.
    """

    def __init__(self, name: str, epochs: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.epochs = epochs
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("step {task.completed}/{task.total}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task(name, total=None)
        self.name = name

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Take the bar off the screen."""
        self.progress.stop()

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(f"[dim]{self.name}[/dim]  {text}", highlight=False, soft_wrap=True)

    def epoch_started(self, epoch: int, phase: str, steps: int) -> None:
        """Start the bar of an epoch."""
        label = f"{self.name}  epoch {epoch + 1}/{self.epochs} {phase}"
        self.progress.reset(self.task, total=steps, description=label)

    def step(self) -> None:
        """Move the bar."""
        self.progress.advance(self.task)

    def epoch_finished(self, row: Row) -> None:
        """Print the epoch's numbers."""
        parts = [
            f"{row['epoch'] + 1:>3}/{self.epochs} {row['phase']:<8}",
            f"loss {row['train_loss']:.3f}",
            f"test {row['test_accuracy']:.3f}",
        ]
        if row["filter_loss"] is not None:
            parts.append(f"filter loss {row['filter_loss']:.3g}")
        if row["test_gated_accuracy"] is not None:
            parts.append(f"gated path {row['test_gated_accuracy']:.3f}")
            parts.append(f"density {row['density']:.3f}")
        if row["repaired"]:
            parts.append(f"[yellow]{row['repaired']} gate columns repaired[/yellow]")
        parts.append(f"{row['seconds']:.1f} s")
        self.note("  ".join(parts))
