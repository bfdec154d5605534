"""Histories for TensorBoard, read back by TensorBoard itself."""

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from filterscope.runs import load_run
from filterscope.runs.identity import settings_digest
from filterscope.training import TrainSettings, train
from filterscope.training.loop import Loop


def settings(epochs: int = 2, *, tensorboard: bool = True) -> TrainSettings:
    return TrainSettings(
        method="gated", scheme="joint", warmup=1, epochs=epochs, limit=40, limit_test=20,
        batch_size=20, tensorboard=tensorboard,
    )  # fmt: skip


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    board = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        tag: [(event.step, event.value) for event in board.Scalars(tag)]
        for tag in board.Tags()["scalars"]
    }


def expected(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What metrics.csv says, in the float32 of event files."""
    rows = load_run(folder).history
    names = [name for name in rows[-1] if name not in ("epoch", "phase")]
    return {
        name: [(row["epoch"], pytest.approx(row[name])) for row in rows if row[name] is not None]
        for name in names
        if any(row[name] is not None for row in rows)
    }


@pytest.mark.slow
def test_a_cut_run_has_each_epoch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, test = tmp_path / "run", Loop._test

    def fail_in_the_second_epoch(loop: Loop) -> object:
        if loop.rows:
            raise KeyboardInterrupt
        return test(loop)

    monkeypatch.setattr(Loop, "_test", fail_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        train(settings(), folder)
    assert [step for step, _ in events(folder)["train_loss"]] == [0]
    monkeypatch.undo()
    train(settings(), folder, resume=True)
    assert events(folder) == expected(folder)
    assert [step for step, _ in events(folder)["penalty"]] == [1]
    train(settings(tensorboard=False), folder, overwrite=True)
    assert not any((folder / "tensorboard").iterdir())


def test_it_changes_nothing_else(tmp_path: Path) -> None:
    digests = {settings_digest(settings(tensorboard=on).to_dict()) for on in (True, False)}
    assert len(digests) == 1
    folder = train(settings(1, tensorboard=False), tmp_path / "run")
    assert not (folder / "tensorboard").exists()
    train(settings(1), folder, resume=True)  # a finished run gets its events afterwards
    assert events(folder) == expected(folder)


def test_without_tensorboard_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install filterscope\[tensorboard\]"):
        train(settings(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
