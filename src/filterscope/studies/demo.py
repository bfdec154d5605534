"""The demo: standard and gated networks on digits, side by side."""

from __future__ import annotations

from pathlib import Path

from filterscope.data import load_dataset
from filterscope.evaluation import evaluate_run
from filterscope.report import Comparison, compare_runs, write_report
from filterscope.runs import Run, load_run
from filterscope.runs.load import dataset_arguments
from filterscope.training import TrainSettings, preset, train

PRESET = "csg-digits"
METHODS = ("standard", "gated")


def run_demo(
    out: str | Path, *, seeds: int = 1, overwrite: bool = False, progress: bool = True
) -> tuple[Comparison, Path]:
    """Train standard and gated networks on scikit-learn's digits, measure and compare them.

    Both sides use the preset ``csg-digits`` and the same seeds, and so the same initial weights
    and the same order of images.

    Args:
        out: Folder for the runs and the report.
        seeds: Runs a side, with seeds 0, 1, ...
        overwrite: Replace the runs of an earlier demo.
        progress: Show the training on standard error.

    Returns:
        The comparison and the path of its report.

    Raises:
        ValueError: No seed.
        FileExistsError: `out` holds an earlier demo and `overwrite` is off.
    """
    if seeds < 1:
        raise ValueError(f"`seeds` must be at least 1, got {seeds}")
    out = Path(out)
    report = out / "report.html"
    if report.exists() and not overwrite:
        raise FileExistsError(
            f"{report} exists; replace it with --overwrite, or name another folder"
        )
    dataset = load_dataset(**dataset_arguments(TrainSettings(**preset(PRESET)).to_dict()))
    runs: list[Run] = []
    for seed in range(seeds):
        for method in METHODS:
            settings = TrainSettings(**{**preset(PRESET, method), "seed": seed})
            path = out / f"{method}-s{seed}"
            train(settings, path, overwrite=overwrite, progress=progress, dataset=dataset)
            evaluate_run(load_run(path), dataset=dataset).save(path)
            run = load_run(path)
            write_report(compare_runs([run]), path / "report.html")
            runs.append(run)
    comparison = compare_runs(runs)
    write_report(comparison, report)
    return comparison, report
