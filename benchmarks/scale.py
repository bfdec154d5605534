"""One, two and four processes: the same training, the same evaluation.

Trains a gated network without batch norm (ConvNeXt atto, 3.4 million weights) by `filterscope
train` in 1, 2 and 4 processes (gloo, CPU) with the variables that torchrun sets, and compares
weights and gate of every process with the first's, and the first's with those of one process
alone. Then measures one run by `filterscope evaluate --devices N` and compares every number and
every array.

Run: python benchmarks/scale.py
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import socket
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, multiprocessing

from filterscope.cli import main as filterscope
from filterscope.training import loop
from timing import describe

COUNTS = (1, 2, 4)
TRAIN = [
    "train", "--model", "timm:convnext_atto", "--image_size", "32", "--method", "gated",
    "--lambda2", "0.01", "--limit", "96", "--limit_test", "41", "--batch_size", "32",
    "--epochs", "3", "--warmup", "1", "--period", "2", "--lr", "0.05", "--device", "cpu",
    "--evaluate=false",
]  # fmt: skip


def train_one(rank: int, count: int, port: int, folder: str) -> None:
    """Train as process `rank` of `count`, and write this process's parameters."""
    if count > 1:
        variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        variables |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
        os.environ |= {name: str(value) for name, value in variables.items()}
    torch.set_num_threads(1)
    run = loop.Loop.run

    def run_and_write(self: loop.Loop, reporter: Any) -> None:
        run(self, reporter)
        torch.save(self.network.module.state_dict(), f"{folder}/{count}-rank{rank}.pt")

    loop.Loop.run = run_and_write  # a process of its own: nothing is put back
    quietly([*TRAIN, "--devices", str(count), "--out", f"{folder}/{count}"])


def quietly(words: list[str]) -> None:
    """Run a verb; what it prints is shown where it fails."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        code = filterscope(words)
    if code:
        raise SystemExit(printed.getvalue()[-1000:])


def together(function: Any, count: int, *words: Any) -> float:
    """Run a function in several processes; give their CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    multiprocessing.start_processes(function, words, nprocs=count, start_method="spawn")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def gap(one: dict[str, Tensor], other: dict[str, Tensor], gates: bool) -> float:
    """Largest difference of two sets of parameters, of the gate's or of all others."""
    names = [name for name in one if ("gate" in name) == gates]
    assert names and one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in names)


def training(folder: Path) -> None:
    print("| processes | weights across processes | gates across | weights against one "
          "process | gate against one | CPU s |\n|---|---|---|---|---|---|")  # fmt: skip
    alone: dict[str, Tensor] = {}
    for count in COUNTS:
        seconds = together(train_one, count, count, free_port(), str(folder))
        states = [torch.load(folder / f"{count}-rank{rank}.pt") for rank in range(count)]
        alone = alone or states[0]
        across = [max(gap(states[0], state, gates) for state in states) for gates in (False, True)]
        against = [gap(alone, states[0], gates) for gates in (False, True)]
        cells = " | ".join(f"{value:.1e}" for value in (*across, *against))
        print(f"| {count} | {cells} | {seconds:.0f} |", flush=True)


def evaluate_one(_: int, run: str, count: int) -> None:
    torch.set_num_threads(1)
    quietly(["evaluate", run, "--device=cpu", f"--devices={count}", "--batch_size=8"])


def numbers(run: Path) -> dict[str, np.ndarray]:
    """Every number and array of an evaluation, by name."""
    metrics = json.loads((run / "evaluation.json").read_text())["metrics"]
    with np.load(run / "arrays.npz") as arrays:
        found = {f"arrays.{name}": np.asarray(array) for name, array in arrays.items()}
    return found | {name: np.asarray(value, dtype=float) for name, value in metrics.items()}


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> Iterator[float]:
    """Largest difference of each; infinite where only one has it or one of the two is NaN."""
    if one.keys() != other.keys():
        yield float("inf")
    for name in one.keys() & other.keys():
        a, b = one[name].astype(float), other[name].astype(float)
        if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
            yield float("inf")
        elif a.size:
            yield float(np.nan_to_num(np.abs(a - b)).max())


def evaluation(run: Path) -> None:
    print("\n| processes | numbers | arrays | equal to the bit | largest difference "
          "| CPU s |\n|---|---|---|---|---|---|")  # fmt: skip
    alone: dict[str, np.ndarray] = {}
    for count in COUNTS:
        seconds = together(evaluate_one, 1, str(run), count)
        found = numbers(run)
        alone = alone or found
        gaps = list(differences(alone, found))
        arrays = sum(name.startswith("arrays.") for name in found)
        print(f"| {count} | {len(found) - arrays} | {arrays} | {gaps.count(0.0)} of {len(gaps)} "
              f"| {max(gaps):.1e} | {seconds:.0f} |", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    print(describe("filterscope", "torch", "lightning", "timm"), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        training(Path(folder))
        evaluation(Path(folder) / "1")


if __name__ == "__main__":
    main()
