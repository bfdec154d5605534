"""Shared by all tests."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import multiprocessing

MakeBlobs = Callable[..., str]
OnTwo = Callable[[Callable[[int, int, str], None]], list[Any]]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of real data where FILTERSCOPE_DATA does not say where it is."""
    if os.environ.get("FILTERSCOPE_DATA"):
        return
    real = [item for item in items if item.get_closest_marker("data")]
    if real:
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]


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


@pytest.fixture
def on_two(tmp_path: Path) -> OnTwo:
    """Runs `process(rank, port, out)` on two processes; gives what each saved as ``out-rank``."""

    def run(process: Callable[[int, int, str], None]) -> list[Any]:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        out = tmp_path / "results"
        multiprocessing.spawn(process, args=(port, str(out)), nprocs=2)
        return [torch.load(f"{out}-{rank}") for rank in range(2)]

    return run


def pytest_report_header() -> list[str]:
    """Say how to get the browser without which the tests of the explorer's page are left out."""
    if os.environ.get("CHROMIUM") or shutil.which("chromium"):
        return []
    return [
        "tests of pages need Chromium and are left out: apt-get install chromium, or set CHROMIUM"
    ]
