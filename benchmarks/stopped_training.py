"""Training in a process of its own, on a small disk of its own, and the faults that stop it."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Self

EPOCHS = 6
WORDS = (
    "train", "--method=gated", f"--epochs={EPOCHS}", "--warmup=1", "--period=2", "--limit=64",
    "--limit_test=20", "--batch_size=32", "--lambda2=0.01", "--device=cpu", "--evaluate=false",
)  # fmt: skip
DISK_BYTES = 2**24
NEEDED_BYTES = 7_000_000  # two checkpoints and the weights
PATIENCE = 300.0
# What a process may end with: by a signal, or by telling what was wrong.
EXIT_CODES = {
    "SIGKILL": (-9,),
    "SIGTERM": (-15, 143),  # by itself before it listens
    "SIGINT": (130,),
    "disk full": (2,),
    "read-only folder": (2,),
}

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["filterscope.cli.train", "filterscope.training.run", "jsonargparse", "sklearn.datasets"]
)


def run_words(words: list[str], log: str, limit: int | None) -> None:
    """Be `filterscope` with these words, in a process that has imported all it needs."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells' background jobs ignore it
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from filterscope.cli import main

    raise SystemExit(main(words))


class Training:
    """A process that trains into a folder, or goes on with the run that is there.

    Args:
        out: The run folder.
        limit: Largest size of a file in bytes.
    """

    def __init__(self, out: Path, limit: int | None = None) -> None:
        self.out = out
        self.log = out.parent.with_suffix(".log")
        self.log.unlink(missing_ok=True)
        out.parent.mkdir(exist_ok=True)
        begun = (out / "config.yaml").is_file()
        words = ["train", "--resume", "--evaluate=false"] if begun else list(WORDS)
        arguments = ([*words, f"--out={out}"], str(self.log), limit)
        self.process = _CONTEXT.Process(target=run_words, args=arguments, daemon=True)
        self.process.start()

    def wait(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        self.process.join(PATIENCE)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"training hangs: {self.text()}")
        return self.process.exitcode

    def pass_time(self, epochs: int, seconds: float, *, until_writing: bool) -> None:
        """Let it finish so many epochs, and go on for a while, and perhaps to its next write."""
        while self.process.is_alive() and self.told() < epochs:
            time.sleep(0.005)
        self.process.join(seconds)
        while until_writing and self.process.is_alive() and not self.is_writing():
            pass

    def is_writing(self) -> bool:
        """Whether a file is half-written."""
        try:
            return any(file.suffix == ".tmp" for file in self.out.iterdir())
        except FileNotFoundError:
            return False

    def text(self) -> str:
        """What it has said."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def told(self) -> int:
        """The last epoch that it has called finished, counted from 1; 0 before."""
        return max(map(int, re.findall(rf"\b(\d+)/{EPOCHS} ", self.text())), default=0)

    def problems(self, fault: str) -> list[str]:
        """What is wrong with the way it ended."""
        code, text = self.process.exitcode, self.text().strip()
        found = []
        if code not in EXIT_CODES[fault]:
            found.append(f"exit code {code}: {text[-300:]}")
        if any(sign in text for sign in ("Traceback", "terminate called", "Exception ignored")):
            found.append(f"a traceback: {text[-300:]}")
        if code == 2 and "error: " not in text.rpartition("\n")[2]:
            found.append(f"no reason in the last line: {text[-300:]}")
        return found


class Disk:
    """A small disk of its own where one may be mounted, else a folder.

    Args:
        path: Where it is mounted; made.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.run = path, path / "run"
        self.mounted = False

    def __enter__(self) -> Self:
        self.path.mkdir()
        size = f"size={DISK_BYTES}"
        self.mounted = os.geteuid() == 0 and _mount("-t", "tmpfs", "-o", size, "none", self.path)
        return self

    def __exit__(self, *error: object) -> None:
        self.mend()
        if self.mounted:
            subprocess.run(["umount", str(self.path)], check=True)

    def fill(self, free: int) -> None:
        """Leave so many bytes."""
        state = os.statvfs(self.path)
        left = max(0, state.f_bavail * state.f_frsize - free)
        with suppress(OSError), (self.path / "filler").open("wb", buffering=0) as file:
            file.write(bytes(left))  # training writes meanwhile, so the end may come before

    def make_read_only(self) -> None:
        """Refuse whatever is written from now on."""
        if not self.mounted and self.run.is_dir():
            self.run.chmod(0o555)
        # refused while a file is open for writing
        while self.mounted and not _mount("-o", "remount,ro", self.path):
            time.sleep(0.001)

    def mend(self) -> None:
        """Take the fault away."""
        if self.mounted:
            _mount("-o", "remount,rw", self.path)
        elif self.run.is_dir():
            self.run.chmod(0o755)
        (self.path / "filler").unlink(missing_ok=True)


def _mount(*words: str | Path) -> bool:
    return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode == 0


def _started(disk: Disk, generator: random.Random, seconds: float, writing: bool) -> Training:
    """Start or go on, and let some time pass."""
    done = finished_epochs(disk.run)
    training = Training(disk.run)
    # epochs rather than seconds, because others may share the machine
    epochs = generator.choice([0, *range(done + 1, EPOCHS + 1)])
    pause = generator.uniform(0, 1.2 * seconds / EPOCHS)
    training.pass_time(epochs, pause, until_writing=writing)
    return training


def _signal(
    name: str, disk: Disk, generator: random.Random, seconds: float, until_writing: bool
) -> tuple[Training, bool]:
    """Send a signal at some moment."""
    training = _started(disk, generator, seconds, until_writing)
    time.sleep(generator.uniform(0, 0.01) if until_writing else 0)
    writing = training.is_writing()
    if training.process.is_alive() and training.process.pid is not None:
        os.kill(training.process.pid, signal.Signals[name])
    return training, writing


def _full(
    disk: Disk, generator: random.Random, seconds: float, until_writing: bool
) -> tuple[Training, bool]:
    """Leave less than a run needs, from its start or from some moment on."""
    free = int(generator.uniform(0, NEEDED_BYTES))
    if not disk.mounted:  # files that may not grow are what is left without a disk of one's own
        return Training(disk.run, limit=free // 4), True
    if until_writing:
        disk.fill(free)
        return Training(disk.run), True
    training = _started(disk, generator, seconds, False)
    disk.fill(0)
    return training, True


def _read_only(
    disk: Disk, generator: random.Random, seconds: float, until_writing: bool
) -> tuple[Training, bool]:
    """Forbid to write from some moment on."""
    training = _started(disk, generator, seconds, False)
    disk.make_read_only()
    return training, False


Fault = Callable[[Disk, random.Random, float, bool], tuple[Training, bool]]

FAULTS: dict[str, Fault] = {
    "SIGKILL": partial(_signal, "SIGKILL"),
    "SIGTERM": partial(_signal, "SIGTERM"),
    "SIGINT": partial(_signal, "SIGINT"),
    "disk full": _full,
    "read-only folder": _read_only,
}


def finished_epochs(out: Path) -> int:
    """Number of epochs that a run's checkpoint holds; 0 without one."""
    from filterscope.runs.checkpoint import read_checkpoint

    file = out / "last.ckpt"
    return int(read_checkpoint(file)["epoch"]) if file.is_file() else 0
