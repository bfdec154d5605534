"""Running a study: train or take runs, analyse, judge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filterscope.data import ImageDataset
from filterscope.runs import Run, load_run
from filterscope.runs.environment import describe_environment
from filterscope.studies.published import published_evidence
from filterscope.studies.recipes import study_data, study_seeds, training_settings
from filterscope.studies.result import StudyResult
from filterscope.studies.settings import StudySettings
from filterscope.studies.shared_runs import SharedRuns, grouped_by_side, measured
from filterscope.studies.study import Evidence, Study, side_name
from filterscope.studies.verdict import judge
from filterscope.training import TrainSettings


def run_study(
    study: Study,
    settings: StudySettings,
    *,
    runs: str | Path,
    use: Sequence[str | Path] = (),
    command: str = "",
    progress: bool = False,
) -> StudyResult:
    """Run a study.

    Args:
        study: Of `find_study`.
        settings: Of the study.
        runs: Folder of the runs that studies share; missing ones are trained there.
        use: Run folders to take instead; nothing is trained then.
        command: The command line, for the record.
        progress: Show the training on standard error.

    Returns:
        The result; `StudyResult.save` writes it.

    Raises:
        FileNotFoundError: Data or a run folder that is not there.
        ValueError: Given runs that lack a side of the study or do not fit together; runs or data
            for a study that is computed from formulas.
    """
    if not study.sides:
        evidence = _nothing(study, settings, use)
    elif use:
        evidence = _given(study, [load_run(path) for path in use], settings)
    elif study.published and settings.preset == "paper":
        evidence = published_evidence(study, settings)
    else:
        evidence = _trained(study, settings, SharedRuns(runs, progress=progress))
    findings = study.analyse(evidence, settings)
    papers_setting = (
        not study.by_category  # the published networks start from weights, these do not
        and settings.preset == "paper"
        and not use
        and not settings.overridden
        and evidence.data == study.paper_data
    )
    chosen = [run for group in evidence.runs.values() for run in group]
    return StudyResult(
        study=study,
        findings=findings,
        verdicts=tuple(judge(c, papers_setting=papers_setting) for c in findings.claims),
        command=command,
        data=evidence.data,
        preset="given runs" if use else settings.preset,
        seeds=evidence.seeds,
        num_samples=_num_samples(evidence),
        runs=tuple(str(run.path) for run in chosen),
        versions=describe_environment("cpu")["versions"],
    )


def _num_samples(evidence: Evidence) -> int:
    """Test images; of all categories, where each has networks of its own."""
    if evidence.by_category:
        return sum(len(data.test) for data in evidence.by_category.values())
    return 0 if evidence.loaded is None else len(evidence.loaded.test)


def _nothing(study: Study, settings: StudySettings, use: Sequence[str | Path]) -> Evidence:
    """What a study without networks draws on."""
    if study.pictures is not None:
        return _pictures(study, study.pictures, settings, use)
    if use or settings.data is not None:
        raise ValueError(f"{study.name} is computed from formulas; leave out --use and --data")
    return Evidence({}, (), None, "no data")


def _pictures(
    study: Study, names: tuple[str, str], settings: StudySettings, use: Sequence[str | Path]
) -> Evidence:
    """What a study draws on that reads published networks at pictures."""
    if use:
        raise ValueError(f"{study.name} reads networks that give pictures; leave out --use")
    data = settings.data or names[settings.preset == "paper"]
    if data not in names:
        raise ValueError(f"`data` of {study.name} must be {' or '.join(names)}, got {data!r}")
    return Evidence({}, study_seeds(settings, study.least_seeds), None, data)


def _trained(study: Study, settings: StudySettings, shared: SharedRuns) -> Evidence:
    data = study_data(settings, study.paper_data, study.embedded)
    seeds = study_seeds(settings, study.least_seeds)
    plain = _made(study, settings, "standard", 0, data=data, num_classes=1)
    dataset = shared.dataset(plain)
    _check_data(study, dataset)
    single = {data: dataset}
    if study.by_category:
        single = _categories(study, dataset, lambda name: shared.dataset(replace(plain, data=name)))
    found: dict[str, tuple[Run, ...]] = {}
    for name, part in single.items():
        for model in _models(study, settings):
            for side in study.sides:
                made = [
                    _made(
                        study, settings, side, seed, data=name,
                        num_classes=len(part.classes), model=model,
                    )
                    for seed in seeds
                ]  # fmt: skip
                key = side_name(part.categories[0] if study.by_category else None, model, side)
                found[key] = tuple(shared.get(each, measure=study.measured) for each in made)
    return Evidence(found, seeds, dataset, data, _by_category(study, single.values()))


def _made(
    study: Study, settings: StudySettings, side: str, seed: int, **rest: Any
) -> TrainSettings:
    return training_settings(
        settings, side, seed, shorter=study.shorter, longer=study.longer, **rest
    )


def _models(study: Study, settings: StudySettings) -> tuple[str | None, ...]:
    """Architectures of a study; one None stands for the recipe's own."""
    if settings.model is not None:
        return (settings.model if study.models else None,)
    if study.small and settings.preset != "paper":
        return study.small[:1] if settings.preset == "smoke" else study.small
    return study.models or (None,)


def _categories(
    study: Study, dataset: ImageDataset, load: Callable[[str], ImageDataset]
) -> dict[str, ImageDataset]:
    """The data of each category alone, against negatives, by its name."""
    _check_landmarks(study, dataset)
    if len(dataset.categories) == 1:
        return {dataset.name: dataset}
    names = [f"{dataset.name.rstrip('/')}/{category}" for category in dataset.categories]
    try:
        return {name: load(name) for name in names}
    except FileNotFoundError as error:
        raise ValueError(
            f"{study.name} learns each category of {dataset.name} against negatives and looks for "
            f"it in a folder of its own ({error}); take one category, --data {names[0]}, or a "
            "folder of category folders"
        ) from error


def _check_landmarks(study: Study, dataset: ImageDataset) -> None:
    if dataset.test.landmarks is None:
        raise ValueError(
            f"{study.name} needs landmarks of parts, which {dataset.name} has not; take --data "
            "part-folder:PATH or digit-parts"
        )


def _check_single(study: Study, dataset: ImageDataset) -> None:
    """Refuse given runs that have not learned one category against negatives."""
    _check_landmarks(study, dataset)
    if len(dataset.categories) != 1:
        raise ValueError(
            f"{study.name} needs runs of one category against negatives, those of {dataset.name} "
            f"tell {', '.join(dataset.categories)} apart"
        )


def _by_category(study: Study, datasets: Iterable[ImageDataset]) -> dict[str, ImageDataset]:
    """The data of each category by the category's name."""
    return {each.categories[0]: each for each in datasets} if study.by_category else {}


def _check_data(study: Study, dataset: ImageDataset) -> None:
    """Refuse data that the study cannot use, before an hour of training."""
    if dataset.negative is not None and not study.by_category:
        raise ValueError(
            f"{study.name} compares classes, and {dataset.name} has a single category against "
            "negatives; take data with several classes"
        )
    if study.needs_masks and not dataset.test.has_masks:
        raise ValueError(
            f"{study.name} needs object masks, which {dataset.name} has not; take --data digits, "
            "voc-animals or masked-folder:PATH"
        )


def _given(study: Study, runs: Sequence[Run], settings: StudySettings) -> Evidence:
    groups = grouped_by_side(runs)
    missing = [side for side in study.sides if side not in groups]
    if missing:
        raise ValueError(
            f"{study.name} needs runs of the sides {', '.join(study.sides)}; missing: "
            f"{', '.join(missing)}"
        )
    dataset = runs[0].dataset()
    _check_data(study, dataset)
    model = str(runs[0].config["model"]) if study.models else None
    if study.by_category:
        _check_single(study, dataset)
    category = dataset.categories[0] if study.by_category else None
    found = {side_name(category, model, side): groups[side] for side in study.sides}
    if study.measured:
        found = {
            name: tuple(measured(run, dataset, device=settings.device) for run in group)
            for name, group in found.items()
        }
    seeds = tuple(int(run.config["seed"]) for run in groups[study.sides[0]])
    by_category = _by_category(study, [dataset])
    return Evidence(found, seeds, dataset, str(runs[0].config["data"]), by_category)
