"""What a study is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite, nan
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from filterscope.studies.verdict import Claim

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from filterscope.data import ImageDataset
    from filterscope.report.theme import Theme
    from filterscope.runs import Run
    from filterscope.studies.settings import StudySettings


@dataclass(frozen=True)
class Entry:
    """A number of a study's table.

    Attributes:
        quantity: What was measured.
        side: On which networks.
        values: One a seed; NaN where it is not defined.
        published: The paper's number; None where it prints none, or none for this data.
        kind: "share" is shown in per cent, "count" with no more decimals than it has.
    """

    quantity: str
    side: str
    values: tuple[float, ...]
    published: float | None = None
    kind: str = "number"

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None with fewer than two, NaN where one has none."""
        if len(self.values) < 2:
            return None
        # of an undefined value, `stdev` raises
        return stdev(self.values) if all(map(isfinite, self.values)) else nan


@dataclass(frozen=True)
class Findings:
    """What a study computes from its runs.

    Attributes:
        entries: The table.
        claims: What the paper says of it.
        figures: By file name without its ending, what draws each in a theme.
        notes: What a reader should know, one sentence each.
    """

    entries: tuple[Entry, ...]
    claims: tuple[Claim, ...] = ()
    figures: Mapping[str, Callable[[Theme], Figure]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Arrays(dict[str, Any]):
    """The arrays of an evaluation by name; one that it lacks is told, not a `KeyError`."""

    def __init__(self, source: str, arrays: Mapping[str, Any]) -> None:
        super().__init__(arrays)
        self.source = source

    def __missing__(self, name: str) -> Any:
        raise ValueError(
            f"the evaluation of {self.source} has no {name!r}: it is not defined for this network "
            "(no convolution with these filters, no gate) or these test images (an empty class)"
        )


def measured_arrays(run: Run) -> Arrays:
    """What was measured of a run."""
    return Arrays(str(run.path), run.arrays or {})


def side_name(category: str | None, model: str | None, side: str) -> str:
    """Name a side of a study, by its category and architecture where the study has several."""
    return ", ".join(part for part in (category, model, side) if part is not None)


@dataclass(frozen=True)
class Evidence:
    """The evaluated runs that a study draws on.

    Attributes:
        runs: For each side, its runs by rising seed; all sides have the same seeds.
        seeds: Those seeds.
        loaded: What the networks were trained and tested on; None for a study without networks.
        data: Its name, as the paper's numbers are looked up.
        by_category: The data of each category, where networks learn one each against negatives.
    """

    runs: Mapping[str, tuple[Run, ...]]
    seeds: tuple[int, ...]
    loaded: ImageDataset | None
    data: str
    by_category: Mapping[str, ImageDataset] = field(default_factory=dict)

    @property
    def dataset(self) -> ImageDataset:
        """What the networks were trained and tested on.

        Raises:
            ValueError: The study has no networks.
        """
        if self.loaded is None:
            raise ValueError("a study without networks has no data")
        return self.loaded

    @property
    def sides(self) -> tuple[str, ...]:
        """Names of the sides."""
        return tuple(self.runs)

    def metric(self, side: str, key: str) -> tuple[float, ...]:
        """A number of the evaluation, one a seed; NaN where it does not apply."""
        values = [(run.evaluation or {})["metrics"].get(key) for run in self.runs[side]]
        return tuple(float("nan") if value is None else float(value) for value in values)

    def arrays(self, side: str) -> list[Arrays]:
        """The arrays of each run of a side."""
        return [measured_arrays(run) for run in self.runs[side]]

    def entry(
        self,
        key: str,
        quantity: str,
        side: str,
        published: float | None = None,
        kind: str = "number",
    ) -> Entry:
        """A number of the evaluation as an entry of the table."""
        return Entry(quantity, side, self.metric(side, key), published, kind)

    def difference(self, key: str, more: str, less: str) -> tuple[float, ...]:
        """How much larger a number is on one side than on the other, one a seed."""
        pairs = zip(self.metric(more, key), self.metric(less, key), strict=True)
        return tuple(a - b for a, b in pairs)


@dataclass(frozen=True)
class Study:
    """A published table or figure that can be run again.

    Attributes:
        name: As on the command line.
        source: Where it is published.
        sides: The networks that it needs, names of `filterscope.studies.recipes.SIDES`; none where
            the study is computed from formulas alone.
        paper_data: The paper's own data.
        analyse: Computes the findings.
        least_seeds: Seeds below which it shows nothing.
        models: Architectures, each with its own sides; empty for the recipe's one.
        small: Those of the presets quick and smoke (the first alone), where they are others.
        embedded: What is always there and serves where neither data nor the preset paper is asked.
        needs_masks: Whether the data must have object masks.
        by_category: Whether the data must have landmarks, and each of its categories is learned
            against negatives by networks of its own.
        pictures: Names of the pictures, in the place of data, at which a study without sides reads
            networks that are there: by default, and in the preset paper. A seed stands for others.
        measured: Whether the runs are evaluated before.
        published: Architectures whose official weights are the paper's networks. With them the
            preset paper trains nothing, and a seed stands for other test images.
        shorter: What the study changes in the recipe where it is not the paper's.
        longer: What it changes in the preset paper.
    """

    name: str
    source: str
    sides: tuple[str, ...]
    paper_data: str
    analyse: Callable[[Evidence, StudySettings], Findings]
    least_seeds: int = 1
    models: tuple[str, ...] = ()
    small: tuple[str, ...] = ()
    embedded: str = "digits"
    needs_masks: bool = False
    by_category: bool = False
    pictures: tuple[str, str] | None = None
    measured: bool = True
    published: tuple[str, ...] = ()
    shorter: Mapping[str, Any] = field(default_factory=dict)
    longer: Mapping[str, Any] = field(default_factory=dict)
