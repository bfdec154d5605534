"""The verbs as torchrun starts them: two processes, one run folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TRAIN = [
    "train", "--method=gated", "--epochs=2", "--warmup=1", "--period=2", "--limit=64",
    "--limit_test=11", "--batch_size=32",
]  # fmt: skip


def torchrun(port: int, *words: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2",
        f"--master_port={port}", "-m", "filterscope", *words, "--device=cpu", "--devices=2",
    ]  # fmt: skip
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=variables, timeout=280, check=False
    )


@pytest.mark.slow
def test_two_processes_train_and_evaluate_one_run(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    out = str(tmp_path / "run")
    trained = torchrun(free_port(), *TRAIN, "--out", out)
    assert trained.returncode == 0, trained.stderr[-3000:]
    assert trained.stdout.count("report: ") == 1  # the first process alone prints
    assert trained.stderr.count("layer 'layer3' of resnet20") == 1
    assert json.loads((tmp_path / "run/environment.json").read_text())["processes"] == 2
    first = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert first["settings"]["num_samples"] == 11
