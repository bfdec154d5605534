"""Settings of a study, in one place: flags, types and help come from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from filterscope.core.choices import refuse_other_numbers, refuse_other_words


@dataclass(frozen=True)
class StudySettings:
    """Settings of a study.

    Args:
        preset: paper takes the paper's settings and data; quick is under an hour on two cores;
            smoke is under two minutes and shows only that everything runs.
        data: Data set, as in `filterscope train --data`. Default: the paper's for paper,
            for the others digits, or digit-parts where landmarks are needed.
        data_root: Folder that holds the named data sets. Default: $FILTERSCOPE_DATA, else ./data.
        seeds: Networks a side. Default: 3, and 1 for smoke.
        model: Architecture. Default: the paper's for this data.
        image_size: Side of the network's input in pixels. Default: the data set's.
        epochs: Passes over the training images. Default: the preset's.
        limit: Use at most this many training images. Default: the preset's.
        limit_test: Use at most this many test images. Default: the preset's.
        batch_size: Images in a step. Default: the preset's.
        precision: Lightning Fabric's name.
        device: auto, cpu, cuda or mps.
        devices: Processes, one a device.
        workers: Processes that load images that do not fit in memory.
        download: Fetch a missing data set from its official source.

    Raises:
        ValueError: A word that is no choice, or a number below 1.
    """

    preset: Literal["paper", "quick", "smoke"] = "quick"
    data: str | None = None
    data_root: str | None = None
    seeds: int | None = None
    model: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    limit: int | None = None
    limit_test: int | None = None
    batch_size: int | None = None
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    workers: int = 2
    download: bool = False

    @property
    def overridden(self) -> tuple[str, ...]:
        """Settings that were asked for in the place of the preset's, all but data and seeds."""
        names = ("model", "image_size", "epochs", "limit", "limit_test", "batch_size")
        return tuple(name for name in names if getattr(self, name) is not None)

    def __post_init__(self) -> None:
        refuse_other_words(self)
        refuse_other_numbers(self)
        for name in ("seeds", "image_size", "epochs", "limit", "limit_test", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1, got {value}")
