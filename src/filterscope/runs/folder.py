"""Names and plain files of a run folder."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from filterscope.core.files import (
    is_leftover,
    read_json,
    refuse_unwritable,
    remove_leftovers,
    write_text,
)
from filterscope.core.yaml_files import read_yaml
from filterscope.runs.array_file import ArrayFile

Row = dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one training run; knows its files' names, reads and writes the texts.

    Args:
        path: The folder.

    Examples:
        >>> RunFolder(Path("runs/gated")).config.name
        'config.yaml'
    """

    path: Path

    @property
    def config(self) -> Path:
        """Every setting, resolved; a valid ``--config``."""
        return self.path / "config.yaml"

    @property
    def metrics(self) -> Path:
        """One row an epoch, both paths."""
        return self.path / "metrics.csv"

    @property
    def checkpoint(self) -> Path:
        """Everything that is needed to resume."""
        return self.path / "last.ckpt"

    @property
    def weights(self) -> Path:
        """The classifier's weights, with its own keys."""
        return self.path / "model.safetensors"

    @property
    def gate(self) -> Path:
        """The gate's matrix."""
        return self.path / "gate.safetensors"

    @property
    def parts(self) -> Path:
        """What the part templates learned."""
        return self.path / "parts.safetensors"

    @property
    def classes(self) -> Path:
        """What the network answers with: class names, layer and preprocessing."""
        return self.path / "classes.json"

    @property
    def environment(self) -> Path:
        """Versions, seed, git commit, device, threads."""
        return self.path / "environment.json"

    @property
    def data(self) -> Path:
        """How many images there were, and which files were left out."""
        return self.path / "data.json"

    @property
    def evaluation(self) -> Path:
        """Every metric, with its settings and sample counts."""
        return self.path / "evaluation.json"

    @property
    def arrays(self) -> Path:
        """Gate, MI and confusion matrices and what else is large."""
        return self.path / "arrays.npz"

    @property
    def report(self) -> Path:
        """The page about this run."""
        return self.path / "report.html"

    @property
    def attack(self) -> Path:
        """What attacks reached, with their settings."""
        return self.path / "attack.json"

    @property
    def attack_arrays(self) -> Path:
        """The attacked images and the answers to them."""
        return self.path / "attack.npz"

    @property
    def attack_page(self) -> Path:
        """The page about attacks."""
        return self.path / "attack.html"

    @property
    def detection(self) -> Path:
        """How well adversarial samples are detected, with the settings."""
        return self.path / "detection.json"

    @property
    def detection_arrays(self) -> Path:
        """Errors, ROC curves, cosines."""
        return self.path / "detection.npz"

    @property
    def detection_page(self) -> Path:
        """The page about detection."""
        return self.path / "detection.html"

    @property
    def tensorboard(self) -> Path:
        """A folder of event files for TensorBoard, where they were asked for."""
        return self.path / "tensorboard"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that a run may write, beside those for TensorBoard."""
        return (
            self.config,
            self.metrics,
            self.checkpoint,
            self.weights,
            self.gate,
            self.parts,
            self.classes,
            self.environment,
            self.data,
            self.evaluation,
            self.arrays,
            self.report,
            self.attack,
            self.attack_arrays,
            self.attack_page,
            self.detection,
            self.detection_arrays,
            self.detection_page,
        )

    def check_free(self, *, overwrite: bool = False) -> None:
        """Look whether a new run may be written here, without touching anything.

        Args:
            overwrite: An earlier run may be replaced.

        Raises:
            FileExistsError: The folder holds a run and `overwrite` is off, or it holds files that
                are no run's.
            OSError: The folder could not be made or written to.
        """
        if self.path.exists() and not self.path.is_dir():
            raise FileExistsError(f"{self.path} is a file; name a folder for the run")
        held = self.path.iterdir() if self.path.exists() else ()
        present = not all(is_leftover(file) for file in held)  # a run killed as it began
        if present and not self.config.exists():
            raise FileExistsError(f"{self.path} holds files that are no run's; name another folder")
        if present and not overwrite:
            raise FileExistsError(
                f"{self.path} holds a run; continue it with --resume, replace it with --overwrite, "
                "or name another folder"
            )
        refuse_unwritable(self.path)

    def create(self, *, overwrite: bool = False) -> None:
        """Make the folder for a new run.

        Args:
            overwrite: Delete an earlier run's files in it; files that no run writes stay.

        Raises:
            FileExistsError, OSError: As `check_free`.
        """
        self.check_free(overwrite=overwrite)
        # the settings go last: a folder with settings is a run's, whatever else is missing
        for file in reversed(self.files):
            file.unlink(missing_ok=True)
        self.remove_events()
        self.path.mkdir(parents=True, exist_ok=True)
        self.remove_leftovers()

    def remove_leftovers(self) -> None:
        """Delete what a killed run had half written; no other process may be writing here."""
        for file in self.files:
            remove_leftovers(file)

    def remove_events(self) -> None:
        """Delete the event files for TensorBoard; what else lies in their folder stays."""
        for file in self.tensorboard.glob("events.out.tfevents.*"):
            file.unlink(missing_ok=True)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write the settings."""
        write_text(self.config, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        """Read the settings.

        Raises:
            FileNotFoundError: The folder is no run folder.
            ValueError: The file is damaged.
        """
        if not self.config.is_file():
            raise FileNotFoundError(
                f"{self.path} is no run folder: it has no config.yaml (make one with "
                "`filterscope train --out FOLDER`)"
            )
        config = read_yaml(self.config)
        if not isinstance(config, dict):
            raise ValueError(
                f"{self.config} must hold settings by name, got {type(config).__name__}"
            )
        return config

    def write_metrics(self, rows: Sequence[Row]) -> None:
        """Write the history, one row an epoch."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else ["epoch"])
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.metrics, text.getvalue())

    def read_metrics(self) -> list[Row]:
        """Read the history; numbers as int or float, empty cells as None.

        Raises:
            ValueError: The file is damaged.
        """
        if not self.metrics.is_file():
            return []
        try:
            with self.metrics.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, strict=True))
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{self.metrics} is not readable as a CSV file: {error}") from error
        if any(None in row or None in row.values() for row in rows):
            raise ValueError(f"{self.metrics} is damaged: a row is shorter or longer than its head")
        return [{key: _number(cell) for key, cell in row.items()} for row in rows]

    def read_json(self, file: Path) -> dict[str, Any] | None:
        """Read one of the folder's JSON files, None where it was not written yet.

        Raises:
            ValueError: The file is damaged or holds no values by name.
        """
        if not file.is_file():
            return None
        value = read_json(file)
        if not isinstance(value, dict):
            raise ValueError(f"{file} must hold values by name, got {type(value).__name__}")
        return value

    def read_arrays(self, file: Path | None = None) -> ArrayFile | None:
        """Open arrays, None where there are none yet.

        Args:
            file: One of the folder's; None: that of the evaluation.

        Raises:
            ValueError: The file is damaged; for a single array, when that one is asked for.
        """
        file = file or self.arrays
        return ArrayFile(file) if file.is_file() else None


def _number(cell: str | None) -> Any:
    if cell is None or cell == "":
        return None
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell
