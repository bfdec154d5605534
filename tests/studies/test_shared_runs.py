"""Runs that studies share: trained once, gone on with, measured again where needed."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from filterscope import load_run
from filterscope.core.files import write_json
from filterscope.evaluation import Evaluation
from filterscope.runs import Run
from filterscope.studies import StudySettings, shared_runs
from filterscope.studies.recipes import training_settings
from filterscope.studies.shared_runs import SharedRuns, grouped_by_side, measured
from filterscope.training import TrainSettings, loop, train


def settings_of(tiny: StudySettings, side: str = "standard", seed: int = 0) -> TrainSettings:
    return training_settings(tiny, side, seed, data="digits", num_classes=10)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Grows by one with each training; True where a run is resumed."""
    calls: list[bool] = []

    def watch(*arguments: object, resume: bool = False, **named: object) -> Path:
        calls.append(resume)
        return train(*arguments, resume=resume, **named)

    monkeypatch.setattr(shared_runs, "train", watch)
    return calls


@pytest.fixture(scope="module")
def whole(runs: Path, tiny: StudySettings) -> Run:
    """A standard run, trained and measured."""
    return SharedRuns(runs).get(settings_of(tiny))


def test_a_run_is_trained_measured_and_reported_once(
    whole: Run, runs: Path, tiny: StudySettings, trained: list[bool]
) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in whole.path.iterdir()}
    assert {"evaluation.json", "arrays.npz", "report.html", "model.safetensors"} <= before.keys()
    again = SharedRuns(runs).get(settings_of(tiny))
    assert again.path == whole.path
    assert again.evaluation == whole.evaluation
    assert before == {path.name: path.stat().st_mtime_ns for path in whole.path.iterdir()}
    assert trained == []


def test_the_folder_tells_what_it_holds(whole: Run) -> None:
    assert whole.path.name.startswith("digits-resnet20-standard-")
    assert whole.path.name.endswith("-s0")
    assert whole.config["epochs"] == 1


def test_a_changed_setting_gives_another_folder(runs: Path, tiny: StudySettings) -> None:
    shared, settings = SharedRuns(runs), settings_of(tiny, "gated")
    paths = {shared.path(settings)}
    changes = (
        {"seed": 1}, {"epochs": 2}, {"limit": 50}, {"lr": 0.2}, {"lambda1": 0.5},
        {"model": "resnet32"}, {"method": "standard"}, {"gated_freeze": ()}, {"layer": "layer2"},
        {"data": "folder:digits"}, {"limit_test": 20}, {"precision": "bf16-mixed"},
    )  # fmt: skip
    for change in changes:
        path = shared.path(dataclasses.replace(settings, **change))
        assert path not in paths, change
        assert path.parent == runs
        paths.add(path)


def test_where_and_how_it_is_computed_gives_the_same_folder(
    runs: Path, tiny: StudySettings
) -> None:
    shared, settings = SharedRuns(runs), settings_of(tiny, "gated")
    for change in ({"device": "cuda"}, {"workers": 5}, {"data_root": "x"}, {"download": True}):
        assert shared.path(dataclasses.replace(settings, **change)) == shared.path(settings)
    standard = dataclasses.replace(settings, method="standard")
    other = dataclasses.replace(standard, lambda1=7.0, warmup=0, scheme="alternate")
    assert shared.path(standard) == shared.path(other), "no gate, no difference"


def test_names_with_slashes_stay_inside_the_folder(tmp_path: Path, tiny: StudySettings) -> None:
    settings = dataclasses.replace(
        settings_of(tiny), data="folder:/somewhere/my pictures/", model="timm:a/b"
    )
    path = SharedRuns(tmp_path).path(settings)
    assert path.parent == tmp_path
    assert path.name.startswith("my pictures-timm-a-b-standard-")


def test_data_is_loaded_once(runs: Path, tiny: StudySettings) -> None:
    shared = SharedRuns(runs)
    one = shared.dataset(settings_of(tiny))
    assert shared.dataset(settings_of(tiny, "gated", seed=3)) is one
    fewer = dataclasses.replace(settings_of(tiny), limit_test=20)
    assert len(shared.dataset(fewer).test) == 20


def test_an_interrupted_run_is_gone_on_with(
    tmp_path: Path, tiny: StudySettings, trained: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(dataclasses.replace(tiny, epochs=2), "gated")
    shared = SharedRuns(tmp_path)
    write = loop.write_checkpoint

    def stop(*arguments: object) -> None:
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            shared.get(settings)
    assert not (shared.path(settings) / "model.safetensors").exists()
    run = shared.get(settings)
    assert trained == [False, True]
    assert [row["epoch"] for row in run.history] == [0, 1]
    assert run.evaluation is not None


def test_a_run_that_stopped_before_its_first_epoch_is_begun_again(
    whole: Run, tmp_path: Path, tiny: StudySettings, trained: list[bool]
) -> None:
    shared = SharedRuns(tmp_path)
    path = shared.path(settings_of(tiny))
    path.mkdir()
    shutil.copy(whole.path / "config.yaml", path)
    run = shared.get(settings_of(tiny))
    assert trained == [False]
    assert run.evaluation is not None


def test_files_that_are_no_runs_are_left_alone(tmp_path: Path, tiny: StudySettings) -> None:
    shared = SharedRuns(tmp_path)
    path = shared.path(settings_of(tiny))
    path.mkdir()
    (path / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="no run's"):
        shared.get(settings_of(tiny))
    assert (path / "thesis.tex").read_text() == "precious"


def test_a_run_of_an_older_evaluation_is_measured_again(
    whole: Run, tmp_path: Path, trained: list[bool]
) -> None:
    old = load_run(shutil.copytree(whole.path, tmp_path / "old"))
    content = {**json.loads((old.path / "evaluation.json").read_text()), "schema": 1}
    write_json(old.path / "evaluation.json", {**content, "metrics": {"accuracy": 0.0}})
    assert not Evaluation.is_current(old.path)
    new = measured(load_run(old.path), device="cpu")
    assert Evaluation.is_current(old.path)
    assert new.evaluation["metrics"].keys() == whole.evaluation["metrics"].keys()
    assert new.evaluation["metrics"]["accuracy"] == whole.evaluation["metrics"]["accuracy"]
    for name, array in (whole.arrays or {}).items():
        np.testing.assert_allclose(new.arrays[name], array, atol=1e-5, err_msg=name)
    (old.path / "arrays.npz").unlink()
    assert measured(load_run(old.path), device="cpu").arrays is not None
    assert trained == []


def copies(run: Run, *changes: dict[str, object]) -> list[Run]:
    """The same run under other settings; nothing is read from its folder."""
    return [
        dataclasses.replace(run, path=run.path / str(i), config={**run.config, **change})
        for i, change in enumerate(changes)
    ]


def test_given_runs_are_sorted_into_sides_by_rising_seed(whole: Run) -> None:
    gated = {"method": "gated"}
    runs = copies(
        whole,
        {"seed": 5}, {**gated, "seed": 1}, {**gated, "seed": 5, "fixed_gate": [6, 4]},
        {"seed": 1}, {**gated, "seed": 5}, {**gated, "seed": 1, "fixed_gate": [6, 4]},
    )  # fmt: skip
    groups = grouped_by_side(runs)
    assert set(groups) == {"standard", "gated", "fixed"}
    assert groups["standard"] == (runs[3], runs[0])
    assert groups["gated"] == (runs[1], runs[4])
    assert groups["fixed"] == (runs[5], runs[2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (({}, {}), "0 and .*1 are both standard with seed 0"),
        (({}, {"seed": 1}, {"method": "gated"}), "same seeds, got standard: 0, 1; gated: 0"),
        (({}, {"method": "gated", "data": "cifar10"}), "differ in `data`: cifar10, digits"),
        (({}, {"method": "gated", "model": "resnet32"}), "differ in `model`: resnet20, resnet32"),
        (({}, {"method": "gated", "data_seed": 3}), "differ in `data_seed`: 0, 3"),
        (({}, {"method": "gated", "limit_test": 20}), "differ in `limit_test`: 20, 30"),
        (({}, {"method": "gated", "image_size": 20}), "differ in `image_size`"),
        (({}, {"seed": 1, "epochs": 9}), "standard are different experiments"),
    ],
)
def test_runs_that_do_not_fit_together_are_refused(
    whole: Run, changes: tuple[dict[str, object], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        grouped_by_side(copies(whole, *changes))
