"""Running studies on runs that are trained or given."""

import dataclasses
from pathlib import Path

import pytest
from PIL import Image

from filterscope import load_run
from filterscope.runs import Run
from filterscope.studies import StudySettings, find_study, run_study, running
from filterscope.studies.study import Arrays, Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim
from filterscope.training import TrainSettings

THEIRS = 0.3


def compare(evidence: Evidence, _: StudySettings) -> Findings:
    """Say nothing about the networks: three seeds with a difference of 0.3 each."""
    entries = tuple(evidence.entry("accuracy", "accuracy", side) for side in evidence.sides)
    return Findings(entries, (Claim("more", tuple(0.3 for _ in evidence.seeds), THEIRS),))


STUDY = Study("csg-table1", "nowhere", ("standard", "gated"), "digits", compare)


@pytest.fixture(scope="module")
def trained(runs: Path, tiny: StudySettings) -> Path:
    """The folder of a standard and a gated run."""
    run_study(STUDY, tiny, runs=runs)
    return runs


def folders(trained: Path) -> list[Path]:
    return sorted(trained.iterdir())


def test_missing_runs_are_trained_and_kept(trained: Path, tiny: StudySettings) -> None:
    result = run_study(STUDY, tiny, runs=trained, command="as typed")
    assert [Path(path).parent for path in result.runs] == [trained] * 2
    assert sorted(result.runs) == [str(path) for path in folders(trained)]
    assert (result.data, result.preset, result.seeds) == ("digits", "smoke", (0,))
    assert result.num_samples == 30
    assert result.command == "as typed"
    assert "torch" in result.versions
    for entry, path in zip(result.findings.entries, result.runs, strict=True):
        assert entry.values == (load_run(path).evaluation["metrics"]["accuracy"],)


def test_given_runs_are_taken_and_nothing_is_trained(
    trained: Path, tmp_path: Path, tiny: StudySettings
) -> None:
    result = run_study(STUDY, tiny, runs=tmp_path / "runs", use=folders(trained))
    assert not (tmp_path / "runs").exists()
    assert result.preset == "given runs"
    assert [entry.side for entry in result.findings.entries] == ["standard", "gated"]
    fresh = run_study(STUDY, tiny, runs=trained)
    assert [e.values for e in result.findings.entries] == [e.values for e in fresh.findings.entries]


def test_given_runs_of_a_study_of_architectures_are_taken(
    trained: Path, tmp_path: Path, tiny: StudySettings
) -> None:
    result = run_study(find_study("csg-backbones"), tiny, runs=tmp_path, use=folders(trained))
    sides = {entry.side for entry in result.findings.entries}
    assert sides == {"resnet20, standard", "resnet20, gated"}


def test_given_runs_must_be_there_and_have_every_side(
    trained: Path, tmp_path: Path, tiny: StudySettings
) -> None:
    gated, standard = folders(trained)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        run_study(STUDY, tiny, runs=trained, use=[tmp_path / "absent"])
    with pytest.raises(ValueError, match=r"needs runs of the sides .*missing: gated"):
        run_study(STUDY, tiny, runs=trained, use=[standard])
    with pytest.raises(ValueError, match="missing: fixed"):
        run_study(find_study("csg-table1"), tiny, runs=trained, use=[gated, standard])
    with pytest.raises(ValueError, match="both standard with seed 0"):
        run_study(STUDY, tiny, runs=trained, use=[standard, standard, gated])


def test_missing_data_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    settings = StudySettings("smoke", data="cifar10", data_root=str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="cifar-10-batches-py"):
        run_study(STUDY, settings, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def untrained(trained: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrainSettings]:
    """Studies take one finished run for every run that they ask for; what they asked for."""
    run = load_run(folders(trained)[0])
    asked: list[TrainSettings] = []

    def get(_: object, settings: TrainSettings, **_options: bool) -> Run:
        asked.append(settings)
        return run

    monkeypatch.setattr(running.SharedRuns, "get", get)
    return asked


def number(settings: StudySettings, runs: Path, paper_data: str = "digits") -> str:
    study = dataclasses.replace(STUDY, paper_data=paper_data)
    (verdict,) = run_study(study, settings, runs=runs).verdicts
    return verdict.number


def test_published_numbers_are_judged_on_the_papers_data_and_settings_alone(
    untrained: list[TrainSettings], tmp_path: Path
) -> None:
    assert number(StudySettings("paper"), tmp_path) == "holds"
    assert number(StudySettings("paper", seeds=2), tmp_path) == "not testable here"
    assert number(StudySettings("quick"), tmp_path) == "not testable here"
    assert number(StudySettings("smoke", seeds=3), tmp_path) == "not testable here"
    assert number(StudySettings("paper", data="digits"), tmp_path, "cifar10") == "not testable here"


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 1}, {"limit": 60}, {"limit_test": 30}, {"batch_size": 20},
        {"model": "resnet32"}, {"image_size": 20},
    ],
)  # fmt: skip
def test_a_changed_setting_is_no_longer_the_papers(
    untrained: list[TrainSettings], tmp_path: Path, change: dict[str, object]
) -> None:
    assert number(StudySettings("paper", **change), tmp_path) == "not testable here"


def test_every_side_has_the_same_seeds_data_and_length(
    untrained: list[TrainSettings], tmp_path: Path
) -> None:
    study = find_study("csg-schemes")
    sides = dataclasses.replace(study, analyse=compare)
    result = run_study(sides, StudySettings("quick", seeds=2), runs=tmp_path)
    assert len(untrained) == 2 * len(study.sides)
    for name in ("data", "model", "epochs", "limit", "limit_test", "batch_size", "lr", "data_seed"):
        assert len({getattr(settings, name) for settings in untrained}) == 1, name
    assert [settings.seed for settings in untrained] == [0, 1] * len(study.sides)
    assert {entry.side for entry in result.findings.entries} == set(study.sides)


def test_a_study_of_architectures_trains_each_or_the_one_that_is_asked_for(
    untrained: list[TrainSettings], tmp_path: Path
) -> None:
    study = dataclasses.replace(find_study("csg-backbones"), analyse=compare)
    result = run_study(study, StudySettings("smoke"), runs=tmp_path)
    assert [settings.model for settings in untrained][::2] == list(study.models)
    assert result.findings.entries[0].side == "resnet20, standard"
    untrained.clear()
    run_study(study, StudySettings("smoke", model="resnet32"), runs=tmp_path)
    assert {settings.model for settings in untrained} == {"resnet32"}


def test_evidence_gives_nan_where_a_metric_does_not_apply(trained: Path) -> None:
    runs = {"standard": (load_run(folders(trained)[1]),), "gated": (load_run(folders(trained)[0]),)}
    evidence = Evidence(runs, (0,), runs["gated"][0].dataset(), "digits")
    assert evidence.sides == ("standard", "gated")
    assert evidence.metric("standard", "density") == pytest.approx([float("nan")], nan_ok=True)
    assert 0.1 <= evidence.metric("gated", "density")[0] <= 1
    accuracy = {side: evidence.metric(side, "accuracy")[0] for side in runs}
    difference = accuracy["gated"] - accuracy["standard"]
    assert evidence.difference("accuracy", "gated", "standard") == (difference,)
    assert evidence.entry("accuracy", "q", "gated", 0.5, "share") == Entry(
        "q", "gated", (accuracy["gated"],), 0.5, "share"
    )
    assert evidence.arrays("gated")[0]["gate"].shape == (10, 64)


def test_data_without_masks_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for j in range(4):
            picture = Image.effect_noise((8, 8), 10 + i + j)
            picture.save(tmp_path / "photos" / name / f"{j}.png")
    settings = StudySettings("smoke", data=f"folder:{tmp_path / 'photos'}")
    with pytest.raises(ValueError, match="csg-table2 needs object masks"):
        run_study(find_study("csg-table2"), settings, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_array_that_an_evaluation_lacks_is_told_by_name() -> None:
    arrays = Arrays("runs/a", {"mi": 1})
    assert arrays["mi"] == 1
    assert arrays.get("correlation") is None
    with pytest.raises(ValueError, match="runs/a has no 'correlation'"):
        arrays["correlation"]


def test_studies_of_classes_refuse_a_single_category(tiny: StudySettings, runs: Path) -> None:
    settings = dataclasses.replace(tiny, data="digit-parts")
    with pytest.raises(ValueError, match="csg-fig9 compares classes, and digit-parts has a single"):
        run_study(find_study("csg-fig9"), settings, runs=runs)
