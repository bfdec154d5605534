"""Memory that does not grow: over epochs, over interpreters, over positions in an explorer.

Each runs in a process of its own; printed is that process's resident memory on the way (now, not
its largest), after warming up and at the end, and what it grew by in between.

Run: python benchmarks/steady_memory.py
"""

from __future__ import annotations

import gc
import os
import random
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from filterscope.explorer import Session
from filterscope.explorer.pictures import drawn_picture
from filterscope.explorer.settings import Limits
from filterscope.explorer.subjects import image_subject
from filterscope.explorer.views import probe_pictures
from filterscope.linear import LinearInterpreter
from filterscope.models import create_model
from filterscope.models.image_networks import create_image_network
from filterscope.runs.folder import RunFolder
from filterscope.training import TrainSettings, train
from timing import describe

MOST_GROWTH_MB = 20
EPOCHS, WARM_EPOCHS = 20, 5
INTERPRETERS, WARM_INTERPRETERS = 50, 10
POSITIONS, WARM_POSITIONS = 200, 50


def resident_mb() -> float:
    """Resident memory of this process now, with what waits for the garbage collector gone."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def epochs() -> dict[int, float]:
    """Resident memory after each epoch of a gated training that writes its checkpoints."""
    seen: dict[int, float] = {}
    write = RunFolder.write_metrics

    def write_and_look(self: RunFolder, rows: list[dict[str, object]]) -> None:
        write(self, rows)
        seen[len(rows)] = resident_mb()

    RunFolder.write_metrics = write_and_look  # a process of its own: nothing is put back
    settings = TrainSettings(
        method="gated", epochs=EPOCHS, warmup=2, limit=128, limit_test=64, batch_size=32,
        device="cpu",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        train(settings, Path(folder) / "run")
    return seen


def interpreters() -> dict[int, float]:
    """Resident memory after each interpreter of a ResNet-18 with a row and all contributions."""
    torch.manual_seed(0)
    model, seen = create_model("resnet18", 1000).eval(), {}
    for i in range(1, INTERPRETERS + 1):
        interpreter = LinearInterpreter(model, torch.rand(1, 3, 96, 96))
        interpreter.row(i)
        _ = interpreter.contributions(i).total
        del interpreter
        seen[i] = resident_mb()
    return seen


def positions() -> dict[int, float]:
    """Resident memory after each position at which a session gave a row and a column."""
    network = create_image_network("espcn", random_weights=True, scale=3)
    subject = image_subject(network, Limits())
    session = Session([subject], {"drawn": drawn_picture(64)})
    image, seen = next(iter(session.pictures)).id, {}
    chosen = random.Random(0)
    for i in range(1, POSITIONS + 1):
        place = chosen.randrange(64), chosen.randrange(64)
        view = partial(probe_pictures, side="input", position=place)
        session.submit("client", "probe", subject.id, image, view).future.result()
        seen[i] = resident_mb()
    session.close()
    return seen


BENCHES: dict[str, tuple[Callable[[], dict[int, float]], int]] = {
    "epochs": (epochs, WARM_EPOCHS),
    "interpreters": (interpreters, WARM_INTERPRETERS),
    "positions": (positions, WARM_POSITIONS),
}


def show(name: str) -> None:
    """Run one of them and print its line."""
    torch.set_num_threads(1)
    bench, warm = BENCHES[name]
    seen = bench()
    last = max(seen)
    growth = seen[last] - seen[warm]
    verdict = "flat" if growth <= MOST_GROWTH_MB else "GROWS"
    print(f"| {name} | {seen[warm]:.0f} MB after {warm} | {seen[last]:.0f} MB after {last} "
          f"| {growth:+.1f} MB | {verdict} |", flush=True)  # fmt: skip


def main() -> None:
    print(describe("filterscope", "torch"), end="\n\n")
    print("| | warm | at the end | growth | |\n|---|---|---|---|---|", flush=True)
    for name in BENCHES:
        process = get_context("spawn").Process(target=show, args=(name,))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{name}: exit code {process.exitcode}")


if __name__ == "__main__":
    main()
