"""The loop: what a run writes, resumes to the bit, and refuses."""

import dataclasses
import functools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from filterscope import load_run
from filterscope.training import TrainingDivergedError, TrainSettings, loop, train

TINY = TrainSettings(
    method="gated",
    epochs=4,
    warmup=1,
    period=2,
    gated_epochs=1,
    limit=96,
    limit_test=40,
    batch_size=32,
    lambda2=1e-2,
)


def set_up(**changes: object) -> TrainSettings:
    return dataclasses.replace(TINY, **changes)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = load_file(folder / "model.safetensors")
    for name in ("gate.safetensors", "parts.safetensors"):
        if (folder / name).exists():
            found |= load_file(folder / name)
    return found


def same_bits(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def rows_without_time(folder: Path) -> list[dict[str, object]]:
    return [{k: v for k, v in r.items() if k != "seconds"} for r in load_run(folder).history]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    write = loop.write_checkpoint

    def stop(file: Path, network: object, optimizers: object, settings: object, rows: list) -> None:
        write(file, network, optimizers, settings, rows)
        if len(rows) == epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_checkpoint", stop)


def test_a_run_folder_holds_what_it_should(tmp_path: Path) -> None:
    folder = train(TINY, tmp_path / "run")
    assert {path.name for path in folder.iterdir()} == {
        "classes.json", "config.yaml", "data.json", "environment.json", "gate.safetensors",
        "last.ckpt", "metrics.csv", "model.safetensors",
    }  # fmt: skip
    run = load_run(folder)
    assert run.config == TINY.to_dict()
    assert [row["phase"] for row in run.history] == ["standard", "gated", "standard", "gated"]
    for row in run.history:
        assert row["gap"] == pytest.approx(row["test_gated_accuracy"] - row["test_accuracy"])
        assert 0.1 - 1e-7 <= row["density"] <= 1
        moved = row["phase"] == "gated"
        assert (row["repaired"] is not None) == (row["gate_lr"] is not None) == moved
    assert run.environment["seed"] == 0
    assert not run.model.training


def test_two_runs_of_one_command_give_the_same_bits(tmp_path: Path) -> None:
    assert same_bits(train(TINY, tmp_path / "a"), train(TINY, tmp_path / "b"))
    assert rows_without_time(tmp_path / "a") == rows_without_time(tmp_path / "b")
    assert not same_bits(tmp_path / "a", train(set_up(seed=1), tmp_path / "c"))


def test_standard_and_gated_runs_start_from_the_same_network(tmp_path: Path) -> None:
    gated = train(set_up(epochs=1), tmp_path / "gated")
    standard = train(set_up(epochs=1, method="standard"), tmp_path / "standard")
    ours, theirs = load_file(gated / "model.safetensors"), load_file(standard / "model.safetensors")
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert torch.equal(weights(gated)["matrix"], torch.ones(10, 64))


@pytest.mark.parametrize("scheme", ["alternate", "joint"])
@pytest.mark.parametrize("epochs", [1, 2])
def test_a_resumed_run_equals_the_uninterrupted_one_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, epochs: int
) -> None:
    settings = set_up(scheme=scheme)
    whole = train(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, epochs)
        with pytest.raises(KeyboardInterrupt):
            train(settings, tmp_path / "cut")
    assert len(load_run(tmp_path / "cut").history) in (epochs - 1, epochs)
    torch.rand(7)  # the global generator's state must not matter
    cut = train(settings, tmp_path / "cut", resume=True)
    assert same_bits(whole, cut)
    assert rows_without_time(whole) == rows_without_time(cut)


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    folder = train(TINY, tmp_path / "run")
    before = weights(folder)
    train(TINY, folder, resume=True)
    assert all(torch.equal(before[key], value) for key, value in weights(folder).items())


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gated", "gated-parts"])
def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path, method: str) -> None:
    settings = set_up(epochs=6, method=method, learn_beta=True, mu="centroid")
    whole = train(settings, tmp_path / "whole")
    cut = tmp_path / "cut"
    words = [
        f"--method={method}",
        "--learn_beta",
        "--mu=centroid",
        "--epochs=6",
        "--warmup=1",
        "--period=2",
        "--gated_epochs=1",
    ]
    words += ["--limit=96", "--limit_test=40", "--batch_size=32", "--lambda2=1e-2"]
    command = [sys.executable, "-c", "from filterscope.cli import main; raise SystemExit(main())"]
    command += ["train", *words, f"--out={cut}", "--evaluate=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    while not (cut / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(random.uniform(0, 1.0))
    process.send_signal(signal.SIGKILL)
    process.wait()
    train(settings, cut, resume=True)
    assert same_bits(whole, cut)
    assert rows_without_time(whole) == rows_without_time(cut)


def test_ctrl_c_leaves_a_run_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        train(TINY, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.gate is not None
    assert not list((tmp_path / "run").glob(".*"))


def test_an_existing_run_is_neither_overwritten_nor_mixed_up(tmp_path: Path) -> None:
    folder = train(set_up(epochs=1), tmp_path / "run")
    with pytest.raises(FileExistsError, match=r"--resume.*--overwrite"):
        train(set_up(epochs=1), folder)
    with pytest.raises(ValueError, match="epochs was 1, now 2"):
        train(set_up(epochs=2), folder, resume=True)
    (folder / "notes.txt").write_text("mine")
    train(set_up(epochs=1, method="standard"), folder, overwrite=True)
    assert (folder / "notes.txt").exists()
    assert not (folder / "gate.safetensors").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("precious")
    with pytest.raises(FileExistsError, match="no run's"):
        train(TINY, other, overwrite=True)
    with pytest.raises(FileNotFoundError, match="no run folder"):
        train(TINY, tmp_path / "absent", resume=True)


def test_a_diverging_loss_stops_and_keeps_the_last_good_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = loop.step_loss
    steps = []

    def explode(*arguments: object) -> object:
        steps.append(1)
        loss = compute(*arguments)
        bad = loss.task * float("nan")
        return dataclasses.replace(loss, total=bad, task=bad) if len(steps) == 5 else loss

    monkeypatch.setattr(loop, "step_loss", explode)
    with pytest.raises(TrainingDivergedError, match="epoch 1, by step 2 of 3"):
        train(TINY, tmp_path / "run")
    assert len(load_run(tmp_path / "run").history) == 1


def test_a_damaged_checkpoint_is_told(tmp_path: Path) -> None:
    folder = train(set_up(epochs=1), tmp_path / "run")
    checkpoint = folder / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not readable as a checkpoint"):
        train(set_up(epochs=1), folder, resume=True)


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    small = train(set_up(epochs=1), tmp_path / "small")
    large = train(set_up(epochs=1, model="resnet32"), tmp_path / "large")
    (small / "last.ckpt").write_bytes((large / "last.ckpt").read_bytes())
    with pytest.raises(ValueError, match="model was 'resnet32', now 'resnet20'"):
        train(set_up(epochs=1), small, resume=True)
    with pytest.raises(ValueError, match="do not fit CifarResNet"):
        (small / "model.safetensors").write_bytes((large / "model.safetensors").read_bytes())
        load_run(small)


def test_frozen_parts_stay_and_fine_tuning_starts_from_given_weights(tmp_path: Path) -> None:
    first = train(set_up(epochs=1, method="standard"), tmp_path / "first")
    tuned = train(
        set_up(epochs=1, weights=str(first / "model.safetensors"), freeze=("conv1", "layer1")),
        tmp_path / "tuned",
    )
    before, after = weights(first), weights(tuned)
    assert torch.equal(before["conv1.weight"], after["conv1.weight"])
    assert torch.equal(before["layer1.0.conv1.weight"], after["layer1.0.conv1.weight"])
    assert not torch.equal(before["layer3.0.conv1.weight"], after["layer3.0.conv1.weight"])


def test_freeze_bn_keeps_the_statistics_of_frozen_norms(tmp_path: Path) -> None:
    frozen = set_up(epochs=1, freeze=("bn1",), freeze_bn=True)
    kept = weights(train(frozen, tmp_path / "kept"))
    moved = weights(train(set_up(epochs=1, freeze=("bn1",)), tmp_path / "moved"))
    assert torch.equal(kept["bn1.running_mean"], torch.zeros(16))
    assert not torch.equal(moved["bn1.running_mean"], torch.zeros(16))


def test_standard_epochs_leave_the_gate_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    write = loop.write_checkpoint

    def watch(file: Path, network: object, *rest: object) -> None:
        seen.append(network.gate.matrix.detach().clone())
        write(file, network, *rest)

    monkeypatch.setattr(loop, "write_checkpoint", watch)
    train(TINY, tmp_path / "run")
    assert torch.equal(seen[1], seen[2])  # epoch 2 is standard
    assert not torch.equal(seen[2], seen[3])


def test_a_fixed_gate_is_never_moved(tmp_path: Path) -> None:
    folder = train(set_up(epochs=2, fixed_gate=(6, 4)), tmp_path / "run")
    gate = weights(folder)["matrix"]
    assert float(gate.mean()) == pytest.approx(0.15625)
    assert not load_run(folder).gate.learnable


def test_mixed_precision_keeps_the_gate_in_float32(tmp_path: Path) -> None:
    folder = train(set_up(precision="bf16-mixed", scheme="joint"), tmp_path / "run")
    tensors = weights(folder)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32, torch.int64}
    gate = tensors["matrix"]
    assert bool((gate.amax(0) == 1).all())
    assert float(gate.mean()) < 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("method", "backend"),
    [
        ("gated-parts", "aot_eager"),
        # compiling its kernels takes minutes on a machine that has not yet done it
        pytest.param("gated", "inductor", marks=pytest.mark.full),
        pytest.param("gated-parts", "inductor", marks=pytest.mark.full),
    ],
)
def test_a_compiled_network_trains_and_its_weights_load_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, backend: str
) -> None:
    compile_in_place = functools.partialmethod(nn.Module.compile, backend=backend)
    monkeypatch.setattr(nn.Module, "compile", compile_in_place)
    settings = set_up(epochs=1, scheme="joint", warmup=0, limit=64, method=method)
    folder = train(dataclasses.replace(settings, compile=True), tmp_path / "run")
    plain = train(settings, tmp_path / "plain")
    ours, theirs = weights(folder), weights(plain)
    assert ours.keys() == theirs.keys()
    torch.testing.assert_close(ours["conv1.weight"], theirs["conv1.weight"], atol=0.05, rtol=0)
    assert load_run(folder).gate is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"density_bound": 0.05}, r"\[1 / num_classes, 1\]"),
        ({"model": "resnet21"}, "near: .*resnet20"),
        ({"layer": "layer5"}, "near: .*layer3"),
        ({"data": "digit"}, "near: digits"),
        ({"freeze": ("layer9",)}, "near: .*layer"),
        ({"gated_freeze": ("layer9",), "gated_lr": 0.1}, "gated_freeze"),
        ({"fixed_gate": (1, 1)}, "makes 11 filters"),
        ({"freeze": ("conv1", "bn1", "layer1", "layer2", "layer3", "linear")}, "no parameter"),
    ],
)
def test_bad_settings_are_named(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(set_up(**changes), tmp_path / "run")
