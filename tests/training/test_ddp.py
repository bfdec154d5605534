"""Two and four processes on CPU (gloo) train the same network as one."""

import csv
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from filterscope import load_run
from filterscope.evaluation import evaluate_run
from filterscope.training import TrainSettings, train

SETTINGS = TrainSettings(
    method="gated", epochs=3, warmup=1, period=2, gated_epochs=1, limit=96, limit_test=41,
    batch_size=32, lambda2=1e-2, device="cpu",
)  # fmt: skip


TrainTogether = Callable[..., list[dict[str, Tensor]]]


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "count"), [("alternate", 2), ("joint", 2), ("alternate", 4)])
def test_parameters_and_gates_are_equal_on_all_ranks(
    tmp_path: Path, train_together: TrainTogether, scheme: str, count: int
) -> None:
    settings = dataclasses.replace(SETTINGS, devices=count, scheme=scheme)
    first, *others = train_together(settings, tmp_path / "run", own_network=False)
    assert len(others) == count - 1
    for other in others:
        assert first.keys() == other.keys()
        for name in first:
            assert torch.equal(first[name], other[name]), name
    assert float(first["gate.matrix"].mean()) < 1


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "count"), [("alternate", 2), ("joint", 2), ("alternate", 4)])
def test_several_processes_give_the_weights_of_one_with_the_same_global_batch(
    tmp_path: Path, train_together: TrainTogether, scheme: str, count: int
) -> None:
    one = dataclasses.replace(SETTINGS, scheme=scheme, lr=0.05)
    (single,) = train_together(one, tmp_path / "one", own_network=True)
    several = dataclasses.replace(one, devices=count)
    shared, *_ = train_together(several, tmp_path / "several", own_network=True)
    for name in single:
        torch.testing.assert_close(shared[name], single[name], atol=1e-6, rtol=0)
    rows = [list(csv.DictReader((tmp_path / n / "metrics.csv").open())) for n in ("one", "several")]
    for ours, theirs in zip(*rows, strict=True):
        assert ours["test_accuracy"] == theirs["test_accuracy"]
        assert float(ours["train_loss"]) == pytest.approx(float(theirs["train_loss"]), abs=1e-5)


@pytest.mark.slow
def test_one_command_starts_its_own_processes(tmp_path: Path) -> None:
    folder = train(dataclasses.replace(SETTINGS, devices=2, epochs=2), tmp_path / "run")
    run = load_run(folder)
    assert [row["phase"] for row in run.history] == ["standard", "gated"]
    assert run.environment["processes"] == 2


PARTS = TrainSettings(
    method="gated-parts", scheme="joint", model="resnet20", image_size=24, repeat=False, epochs=2,
    warmup=0, batch_size=8, lr=0.02, learn_beta=True, mu="centroid", filter_loss="official",
    device="cpu", workers=0,
)  # fmt: skip


@pytest.mark.slow
def test_templates_learn_the_same_on_all_ranks(
    tmp_path: Path, train_together: TrainTogether, blobs: Callable[..., str]
) -> None:
    settings = dataclasses.replace(PARTS, data=blobs("bird", "cow", "dog"), devices=2)
    first, second = train_together(settings, tmp_path / "run", own_network=False)
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert int(first["model.templates.0.batches"]) == 2 * 3
    assert load_run(tmp_path / "run").parts is not None


@pytest.mark.slow
def test_masked_networks_of_one_and_two_processes_agree(
    tmp_path: Path, train_together: TrainTogether, blobs: Callable[..., str]
) -> None:
    # the filter losses are of each process's own images, so they are left out of the comparison:
    # the task's gradients through the masks, the statistics and the slopes are those of one
    one = dataclasses.replace(
        PARTS, data=blobs("bird", "cow", "dog"), method="parts", filter_weight=0.0
    )
    (single,) = train_together(one, tmp_path / "one", own_network=True)
    two = dataclasses.replace(one, devices=2)
    shared, _ = train_together(two, tmp_path / "two", own_network=True)
    assert single.keys() == shared.keys()
    for name in single:
        torch.testing.assert_close(shared[name], single[name], atol=1e-5, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("few_gradient_maps")
@pytest.mark.parametrize("kind", ["gated", "gated-parts"])
def test_every_metric_of_one_checkpoint_is_equal_for_one_two_and_four_processes(
    tmp_path: Path, blobs: Callable[..., str], kind: str
) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=2, limit_test=21)
    if kind == "gated-parts":
        settings = dataclasses.replace(PARTS, data=blobs("bird", "cow", "dog"))
    run = load_run(train(settings, tmp_path / "run"))
    one = evaluate_run(run, device="cpu", batch_size=8)
    # masks of digits, landmarks of parts: with the gate, all that evaluation knows
    expected = {"gap", "cam_iou"} if kind == "gated" else {"gap", "instability"}
    assert expected <= one.metrics.keys()
    for count in (2, 4):
        several = evaluate_run(run, device="cpu", devices=count, batch_size=8)
        assert several.settings == one.settings
        np.testing.assert_equal(several.metrics, one.metrics)  # to the bit; NaN equals NaN
        np.testing.assert_equal(several.arrays, one.arrays)
