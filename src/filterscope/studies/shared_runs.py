"""Trained and measured runs that studies share: what is there is not trained again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from filterscope.data import ImageDataset, load_dataset
from filterscope.evaluation import Evaluation, evaluate_run
from filterscope.report import compare_runs, write_report
from filterscope.runs import Run, load_run
from filterscope.runs.folder import RunFolder
from filterscope.runs.identity import run_name, settings_digest
from filterscope.runs.load import dataset_arguments
from filterscope.training import TrainSettings, train
from filterscope.training.schedule import filter_weight

# All sides of a study are measured on one test set, which none of them was trained on.
_SHARED = ("data", "model", "image_size", "limit_test", "test_fraction", "data_seed")


class SharedRuns:
    """A folder of runs, each named after what it trains.

    A finished run is taken as it is, an interrupted one is gone on with, a missing one is trained.

    Args:
        folder: Where the runs are.
        progress: Show the training on standard error.
    """

    def __init__(self, folder: str | Path, *, progress: bool = False) -> None:
        self.folder = Path(folder)
        self.progress = progress
        self._datasets: dict[str, ImageDataset] = {}

    def dataset(self, settings: TrainSettings) -> ImageDataset:
        """The data of a run, loaded once."""
        arguments = dataset_arguments(settings.to_dict())
        key = repr(arguments)
        if key not in self._datasets:
            self._datasets[key] = load_dataset(**arguments)
        return self._datasets[key]

    def path(self, settings: TrainSettings) -> Path:
        """The folder of a run."""
        config = settings.to_dict()
        name = f"{run_name(config)}-{settings_digest(config)}-s{settings.seed}"
        return self.folder / name

    def get(self, settings: TrainSettings, *, measure: bool = True) -> Run:
        """Find or train a run, and measure it.

        Args:
            settings: Of the run.
            measure: Whether its evaluation is wanted.

        Returns:
            The run.
        """
        path, dataset = self.path(settings), self.dataset(settings)
        files = RunFolder(path)
        if not files.weights.is_file():
            resume = files.checkpoint.is_file()
            train(
                settings,
                path,
                resume=resume,
                overwrite=not resume,
                progress=self.progress,
                dataset=dataset,
            )
        run = load_run(path)
        if not measure:
            return run
        return measured(run, dataset, devices=settings.devices, device=settings.device)


def measured(
    run: Run, dataset: ImageDataset | None = None, *, device: str = "auto", devices: int = 1
) -> Run:
    """Measure a run, unless this version has measured it already.

    Args:
        run: Of `load_run`.
        dataset: Its data, when it is loaded already.
        device: auto, cpu, cuda or mps.
        devices: Processes.
    """
    if Evaluation.is_current(run.path):
        return run
    evaluate_run(run, dataset=dataset, device=device, devices=devices).save(run.path)
    run = load_run(run.path)
    write_report(compare_runs([run]), run.path / "report.html")
    return run


def grouped_by_side(runs: Sequence[Run]) -> dict[str, tuple[Run, ...]]:
    """Sort given runs into sides: "standard", "gated", "fixed", or by their part templates.

    Runs with the templates of one name ("L1", "L2", "uniform L1", "uniform L2, index space") are
    told apart by what the plain one among them has not: no filter loss, more of it, or another
    unit that the templates are centred on.

    Args:
        runs: Of `load_run`.

    Returns:
        For each side that occurs, its runs by rising seed.

    Raises:
        ValueError: Two runs of one side with the same seed, sides of different seeds, seeds of one
            side that were trained differently, or runs of different data or architecture.
    """
    for name in _SHARED:
        found = {str(run.config[name]) for run in runs}
        if len(found) > 1:
            raise ValueError(f"the runs differ in `{name}`: {', '.join(sorted(found))}")
    groups: dict[str, dict[int, Run]] = {}
    plain = _plain_templates(runs)
    for run in runs:
        side = _side(run, plain)
        seed = int(run.config["seed"])
        other = groups.setdefault(side, {}).setdefault(seed, run)
        if other is not run:
            raise ValueError(f"{other.path} and {run.path} are both {side} with seed {seed}")
    for side, group in groups.items():
        if len({settings_digest(run.config) for run in group.values()}) > 1:
            told = ", ".join(str(run.path) for run in group.values())
            raise ValueError(f"the runs of the side {side} are different experiments: {told}")
    seeds = {side: tuple(sorted(group)) for side, group in groups.items()}
    if len(set(seeds.values())) > 1:
        told = "; ".join(f"{side}: {', '.join(map(str, found))}" for side, found in seeds.items())
        raise ValueError(f"the sides must have the same seeds, got {told}")
    return {
        side: tuple(group[seed] for seed in sorted(group)) for side, group in sorted(groups.items())
    }


_TEMPLATES = {"l1": "L1", "l2": "L2", "uniform_l1": "uniform L1", "uniform_l2": "uniform L2"}


def _side(run: Run, plain: Mapping[str, tuple[bool, bool, float]]) -> str:
    """Name the side of a run among others whose plain templates are known."""
    method = str(run.config["method"])
    if method == "gated" and run.config["fixed_gate"]:
        return "fixed"
    if method != "parts":
        return method
    name = _template_name(run)
    (alone, largest, weight), (_, plain_largest, plain_weight) = _template_kind(run), plain[name]
    if alone:
        name += ", mask alone"
    elif weight != plain_weight:
        name += f", filter loss x {weight / plain_weight:g}"
    return f"{name}, at the largest unit" if largest and not plain_largest else name


def _plain_templates(runs: Sequence[Run]) -> dict[str, tuple[bool, bool, float]]:
    """Of the runs with templates of one name, the kind with a filter loss, centroids, and least."""
    kinds: dict[str, list[tuple[bool, bool, float]]] = {}
    for run in runs:
        if run.config["method"] == "parts":
            kinds.setdefault(_template_name(run), []).append(_template_kind(run))
    return {name: min(found) for name, found in kinds.items()}


def _template_name(run: Run) -> str:
    """Shape of a run's templates; only the uniform ones differ much between the two spaces."""
    name = _TEMPLATES[run.config["template"]]
    indexed = name.startswith("uniform") and run.config["space"] == "index"
    return f"{name}, index space" if indexed else name


def _template_kind(run: Run) -> tuple[bool, bool, float]:
    """Whether there is no filter loss, whether mu is the largest unit, and the loss's weight."""
    weight = filter_weight(0, TrainSettings.from_dict(run.config))
    return weight == 0, run.config["mu"] == "argmax", weight
