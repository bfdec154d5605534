"""How the processes of a run end: without their connection, or Gloo's threads may abort them."""

import atexit
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric
from torch import distributed

from filterscope.runs.processes import launch, make_fabric

OUT = "FILTERSCOPE_TEST_OUT"
ABSENT = "cuda" if torch.backends.mps.is_available() else "mps"


def write_state(rank: str) -> None:
    state = "connected" if distributed.is_initialized() else "parted"
    Path(os.environ[OUT], rank).write_text(state)


def ranks(fabric: Fabric) -> list[int]:
    return fabric.all_gather(fabric.global_rank).tolist()


def watched_ranks(fabric: Fabric) -> list[int]:
    assert distributed.is_initialized()
    atexit.register(write_state, str(fabric.global_rank))
    return ranks(fabric)


def launched_from_outside() -> None:
    # registered first, thus called last
    atexit.register(write_state, os.environ["RANK"])
    assert launch(make_fabric("cpu", 2), ranks, 2) == [0, 1]
    assert launch(make_fabric("cpu", 2), ranks, 2) == [0, 1]  # once more over the same connection


def test_started_processes_part_before_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OUT, str(tmp_path))
    assert launch(make_fabric("cpu", 2), watched_ranks, 2) == [0, 1]
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["parted", "parted"]


def test_processes_of_torchrun_part_before_they_end(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2",
        f"--master_port={free_port()}", __file__,
    ]  # fmt: skip
    variables = os.environ | {OUT: str(tmp_path), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=variables, timeout=280, check=True)
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["parted", "parted"]


@pytest.mark.parametrize(
    ("device", "devices", "told"),
    [
        ("gpu", 1, "`device` must be one of auto, cpu, cuda, mps, got 'gpu'"),
        ("cpu", 0, "`devices` must be at least 1, got 0"),
        (ABSENT, 1, f"`device` {ABSENT} is not to be had on this machine"),
    ],
)
def test_devices_that_are_not_there_are_refused(device: str, devices: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make_fabric(device, devices)


if __name__ == "__main__":
    launched_from_outside()
