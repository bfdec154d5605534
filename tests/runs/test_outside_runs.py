"""Runs and checkpoints from outside: read as they were written, or a ValueError with the name."""

import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from tests.damage import damaged

from filterscope import load_run
from filterscope.cli import main
from filterscope.runs import RunFolder, load_network
from filterscope.runs.checkpoint import read_checkpoint
from filterscope.training import TrainSettings, train

SETTINGS = TrainSettings(
    method="gated", epochs=2, limit=40, limit_test=20, batch_size=20, image_size=8
)
FILES = ("last.ckpt", "model.safetensors", "gate.safetensors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(SETTINGS, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage; without weights of its own it is read from its checkpoint."""
    return shutil.copytree(whole, tmp_path / "run")


@pytest.fixture
def unfinished(run: Path) -> Path:
    for name in ("model.safetensors", "gate.safetensors"):
        (run / name).unlink()
    return run


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a verb that must end with one line; that line."""
    assert main(list(words)) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def equal(one: Any, other: Any) -> bool:
    """Whether two checkpoints hold the same."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def test_a_checkpoint_cut_at_any_of_fifty_places_is_refused(whole: Path, tmp_path: Path) -> None:
    content, file = (whole / "last.ckpt").read_bytes(), tmp_path / "last.ckpt"
    for end in np.linspace(0, len(content) - 1, 50).astype(int):
        file.write_bytes(content[:end])
        with pytest.raises(ValueError, match=r"last\.ckpt is not readable as a checkpoint") as got:
            read_checkpoint(file)
        assert "\n" not in str(got.value)


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_seen(whole: Path, tmp_path: Path) -> None:
    content, file = (whole / "last.ckpt").read_bytes(), tmp_path / "last.ckpt"
    good = read_checkpoint(whole / "last.ckpt")
    harmless = 0
    for place in np.random.default_rng(0).integers(0, len(content), 60):
        flipped = bytearray(content)
        flipped[place] ^= 4
        file.write_bytes(flipped)
        try:
            assert equal(read_checkpoint(file), good), place  # padding, dates and the like
            harmless += 1
        except ValueError as error:
            assert str(file) in str(error)
    assert harmless < 10


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_checkpoint_is_refused_or_the_same(
    whole: Path, tmp_path: Path, data: st.DataObject
) -> None:
    small = {k: v for k, v in read_checkpoint(whole / "last.ckpt").items() if k != "optimizers"}
    small |= {"optimizers": {}, "model": {"a": torch.arange(3.0)}}
    content = io.BytesIO()
    torch.save(small, content)
    file = tmp_path / "last.ckpt"
    file.write_bytes(data.draw(damaged(content.getvalue())))
    try:
        assert equal(read_checkpoint(file), small)
    except ValueError as error:
        assert str(file) in str(error)


class Runs:
    """What a malicious pickle holds: a call."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


def foreign(run: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(3)}}, run / "last.ckpt")


def malicious(run: Path) -> None:
    state = torch.load(run / "last.ckpt")
    torch.save(state | {"model": Runs(run.parent / "it-ran")}, run / "last.ckpt")


def pickled(run: Path) -> None:
    (run / "last.ckpt").write_bytes(pickle.dumps(Runs(run.parent / "it-ran")))


def swapped(run: Path) -> None:
    other = TrainSettings(epochs=1, limit=40, limit_test=20, batch_size=20, model="resnet32")
    train(other, run.parent / "other")
    shutil.copy(run.parent / "other" / "last.ckpt", run / "last.ckpt")


def without_rows(run: Path) -> None:
    state = torch.load(run / "last.ckpt")
    torch.save(state | {"rows": []}, run / "last.ckpt")


def without_optimizers(run: Path) -> None:
    state = torch.load(run / "last.ckpt")
    torch.save(state | {"optimizers": {}}, run / "last.ckpt")


def cut(run: Path) -> None:
    (run / "last.ckpt").write_bytes((run / "last.ckpt").read_bytes()[:5000])


SPOILT: dict[Callable[[Path], None], str] = {
    foreign: "not a checkpoint of filterscope: it has no epoch",
    malicious: "not readable as a checkpoint: Weights only load failed",
    pickled: "not readable as a checkpoint",
    swapped: "",
    without_rows: "its history has 0 rows for 2 epochs",
    cut: "not readable as a checkpoint",
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_checkpoint_is_refused_by_every_verb(
    unfinished: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
) -> None:
    spoil(unfinished)
    capsys.readouterr()
    line = told(capsys, "train", "--resume", f"--out={unfinished}", "--evaluate=false")
    assert (SPOILT[spoil] or "model was 'resnet32', now 'resnet20'") in line
    line = told(capsys, "evaluate", str(unfinished))
    assert (SPOILT[spoil] or "do not fit CifarResNet") in line
    assert str(unfinished) in line
    with pytest.raises(ValueError, match=str(unfinished)):
        load_run(unfinished)
    with pytest.raises(ValueError, match=str(unfinished)):
        load_network(run=unfinished)
    assert not (unfinished.parent / "it-ran").exists()


def test_a_checkpoint_without_its_optimizers_is_not_resumed(unfinished: Path) -> None:
    without_optimizers(unfinished)
    with pytest.raises(ValueError, match=r"last\.ckpt does not fit: the state of optimizer"):
        train(SETTINGS, unfinished, resume=True)


@pytest.mark.parametrize("name", ["model.safetensors", "gate.safetensors"])
def test_spoilt_weights_of_a_finished_run_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = run / name
    content = file.read_bytes()
    other = run.parent / "other.safetensors"
    save_file({"a": torch.ones(3)}, other)
    for spoilt in (b"", content[:100], content[: len(content) // 2], other.read_bytes()):
        file.write_bytes(spoilt)
        assert str(run) in told(capsys, "evaluate", str(run))
    save_file({"matrix": torch.ones(3, 2, 1)}, file)
    assert str(run) in told(capsys, "evaluate", str(run))


def weights_words(folder: Path, file: Path) -> list[list[str]]:
    """Every verb that takes ``--weights``."""
    image = folder / "image.png"
    return [
        ["train", "--epochs=1", f"--weights={file}", f"--out={folder / 'new'}"],
        ["interpret", str(image), "--model=resnet18", f"--weights={file}"],
        ["explore", "--model=resnet18", f"--weights={file}", f"--image={image}"],
        ["explore", "--model=espcn", f"--weights={file}", f"--image={image}"],
        ["export-filters", str(folder / "page"), "--model=espcn", f"--weights={file}"],
    ]


@pytest.mark.parametrize("verb", range(5))
@pytest.mark.parametrize("kind", ["cut", "foreign", "malicious"])
def test_spoilt_weights_are_refused_by_every_verb_that_takes_them(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, verb: int
) -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(tmp_path / "image.png")
    file = tmp_path / ("w.safetensors" if kind == "cut" else "w.pt")
    if kind == "cut":
        file.write_bytes((whole / "model.safetensors").read_bytes()[:999])
    else:
        torch.save({"a": Runs(tmp_path / "it-ran") if kind == "malicious" else 3}, file)
    words = weights_words(tmp_path, file)[verb]
    assert str(file) in told(capsys, *words)
    assert not (tmp_path / "it-ran").exists()
    assert not (tmp_path / "new").exists()


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10**12), st.floats(), st.text(max_size=8),
    st.lists(st.integers(0, 3), max_size=3), st.dictionaries(st.text(max_size=3), st.none()),
)  # fmt: skip


@settings(
    max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.sampled_from(["config.yaml", "classes.json"]), st.data())
def test_settings_and_descriptions_of_other_kinds_are_refused_by_name(
    whole: Path, tmp_path: Path, which: str, data: st.DataObject
) -> None:
    run = tmp_path / "changed"
    if not run.exists():
        shutil.copytree(whole, run)
    content = (whole / which).read_text()
    values = yaml.safe_load(content)
    name = data.draw(st.sampled_from(sorted(values)))
    if data.draw(st.booleans()):
        del values[name]
    else:
        values[name] = data.draw(VALUES)
    (run / which).write_text(json.dumps(values) if which.endswith("json") else yaml.dump(values))
    try:
        load_run(run)
    except ValueError as error:
        assert str(run) in str(error)
    finally:
        (run / which).write_text(content)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.yaml", "a: &a [*a]", "references"),
        ("config.yaml", "!!python/object/apply:os.abort []", "could not determine a constructor"),
        ("classes.json", "[1, 2]", "must hold values by name"),
        ("metrics.csv", "a,b\n1\n", "a row is shorter or longer"),
        ("metrics.csv", 'a,b\n"1', "not readable as a CSV file"),
        ("environment.json", "3", "must hold values by name"),
    ],
)
def test_damaged_texts_are_named(run: Path, name: str, content: str, reason: str) -> None:
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=reason) as caught:
        load_run(run)
    assert str(run / name) in str(caught.value)


def test_half_written_files_of_a_killed_run_are_no_hindrance(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / ".config.yaml.ab12.tmp").write_text("data: dig")
    folder.check_free()
    folder.create()
    assert not any(folder.path.iterdir())
    (folder.path / ".notes.tmp").write_text("mine")
    with pytest.raises(FileExistsError, match="no run's"):
        folder.check_free(overwrite=True)


def test_resuming_completes_a_history_that_a_kill_cut_short(run: Path, whole: Path) -> None:
    lines = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(lines[:-1]))
    (run / ".last.ckpt.ab12.tmp").write_bytes(b"half")
    train(SETTINGS, run, resume=True)
    assert (run / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert sorted(p.name for p in run.iterdir()) == sorted(p.name for p in whole.iterdir())
