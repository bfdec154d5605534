"""Shared by all tests."""

import contextlib
import os
import random
import shutil
import socket
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from PIL import Image
from torch import multiprocessing

MakeBlobs = Callable[..., str]
Together = Callable[..., None]
OnTwo = Callable[[Callable[[int, int, str], None]], list[Any]]
MOST_WORKERS = 4
GIGABYTES_EACH = 3  # a worker's own 1.5, and the processes that its tests start

# how long an example takes says more about the machine than about the code
hypothesis.settings.register_profile("anew", deadline=None)
# the same examples wherever the tests run, or a change could be blamed for what it did not do
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.load_profile("same")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many as there are cores, as far as they find memory."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return max(1, min(MOST_WORKERS, cores, int(memory / GIGABYTES_EACH)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each worker, and each process that it starts, keep to one thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of real data where FILTERSCOPE_DATA does not say where it is.

    Modules with many slow tests come first, so that no worker ends with a long one alone.
    """
    if not os.environ.get("FILTERSCOPE_DATA"):
        real = {item for item in items if item.get_closest_marker("data")}
        if real:
            config.hook.pytest_deselected(items=list(real))
            items[:] = [item for item in items if item not in real]
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> MakeBlobs:
    """Makes a part-folder of tiny images; gives its name as a data set.

    Each category is a spot of its colour on noise, its landmark the spot's centre; negatives are
    noise alone.
    """

    def make(*categories: str, count: int = 10, side: int = 24) -> str:
        root = tmp_path_factory.mktemp("blobs")
        rng = np.random.default_rng(0)
        for channel, category in enumerate(
            [*categories, *(["neg"] if len(categories) == 1 else [])]
        ):
            folder = root / category
            (folder / "images").mkdir(parents=True)
            rows = ["image,part,x,y"]
            for i in range(count):
                pixels = rng.integers(0, 120, (side, side, 3)).astype(np.uint8)
                if category != "neg":
                    row, column = rng.integers(4, side - 4, 2)
                    pixels[row - 3 : row + 3, column - 3 : column + 3, channel % 3] = 255
                    rows.append(f"{i:02d}.png,spot,{column},{row}")
                Image.fromarray(pixels).save(folder / "images" / f"{i:02d}.png")
            if category != "neg":
                (folder / "landmarks.csv").write_text("\n".join(rows))
        return f"part-folder:{root}"

    return make


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port, outside of those that the system gives to connections in the meantime."""

    def find() -> int:
        while True:
            port = random.SystemRandom().randrange(10_000, 30_000)
            with socket.socket() as server, contextlib.suppress(OSError):
                server.bind(("127.0.0.1", port))
                return port

    return find


@pytest.fixture(scope="session")
def together() -> Together:
    """Runs `function(rank, *arguments)` in `count` processes at once and waits for them.

    They are forks of a process that imports once what takes seconds.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["filterscope.evaluation.measure", "filterscope.training.run"])

    def run(function: Callable[..., None], *arguments: Any, count: int = 2) -> None:
        multiprocessing.start_processes(
            function, arguments, nprocs=count, daemon=True, start_method="forkserver"
        )

    return run


@pytest.fixture
def on_two(tmp_path: Path, together: Together, free_port: Callable[[], int]) -> OnTwo:
    """Runs `process(rank, port, out)` on two processes; gives what each saved as ``out-rank``."""

    def run(process: Callable[[int, int, str], None]) -> list[Any]:
        out = tmp_path / "results"
        together(process, free_port(), str(out))
        return [torch.load(f"{out}-{rank}") for rank in range(2)]

    return run


@pytest.fixture
def few_gradient_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight gradient maps an image: each is a backward pass, most of an evaluation's time."""
    for number in ("GRADIENT_FILTERS", "EVERY_FILTER"):
        monkeypatch.setattr(f"filterscope.evaluation.localization.{number}", 8)


def pytest_report_header() -> list[str]:
    """Say how to get the browser without which the tests of the explorer's page are left out."""
    if os.environ.get("CHROMIUM") or shutil.which("chromium"):
        return []
    return [
        "tests of pages need Chromium and are left out: apt-get install chromium, or set CHROMIUM"
    ]
