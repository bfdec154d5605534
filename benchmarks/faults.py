"""Training that is stopped again and again: does the resumed run equal the undisturbed one?

Each run trains a small gated network by `filterscope train`, is stopped several times at random
moments, and is taken up by `--resume` each time, until it is finished. Its weights and its history
must then equal those of the undisturbed run to the bit; no epoch that it had told of may be lost,
nothing half-written may lie about, and each ending must have been told in a line.

Run: python benchmarks/faults.py --kills 200
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from stopped_training import EPOCHS, FAULTS, Disk, Training, finished_epochs

STOPS_A_RUN = 4


@dataclass
class Outcome:
    """What became of the runs that one kind of fault struck.

    Attributes:
        stops: Times that a run was stopped.
        writing: Of these, the times when a file was half-written.
        runs: Runs, each stopped several times.
        survived: Of these, the ones that ended equal to the undisturbed run.
        problems: What went otherwise, in words.
    """

    stops: int = 0
    writing: int = 0
    runs: int = 0
    survived: int = 0
    problems: list[str] = field(default_factory=list)


def strike(fault: str, stops: int, seed: int, whole: Path, seconds: float) -> Outcome:
    """Train runs, and stop them `stops` times in all by one kind of fault.

    Args:
        fault: One of `FAULTS`.
        stops: How often in all.
        seed: Of the moments.
        whole: The undisturbed run.
        seconds: How long that took.
    """
    generator = random.Random(f"{fault} {seed}")
    outcome = Outcome()
    while outcome.stops < stops:
        with tempfile.TemporaryDirectory() as folder, Disk(Path(folder) / "disk") as disk:
            known = len(outcome.problems)
            wanted = min(stops, outcome.stops + STOPS_A_RUN)
            while outcome.stops < wanted:
                _stop_once(fault, disk, generator, seconds, outcome)
            last = Training(disk.run)
            if last.wait() == 0:
                outcome.problems += differences(disk.run, whole)
            else:
                outcome.problems.append(f"not resumed: {last.text()[-300:]}")
            outcome.runs += 1
            outcome.survived += len(outcome.problems) == known
    return outcome


def _stop_once(
    fault: str, disk: Disk, generator: random.Random, seconds: float, outcome: Outcome
) -> None:
    """Go on with a run, stop it, and look at what is left."""
    before = finished_epochs(disk.run)
    # every second time a file is being written, which by chance alone would be rare
    training, writing = FAULTS[fault](disk, generator, seconds, outcome.stops % 2 == 1)
    code = training.wait()
    disk.mend()
    if code == 0:  # it was done before the fault came
        shutil.rmtree(disk.run)
        return
    outcome.stops += 1
    outcome.writing += writing
    outcome.problems += training.problems(fault)
    told, kept = max(before, training.told()), finished_epochs(disk.run)
    if kept < told:
        outcome.problems.append(f"{told} epochs were told of, {kept} are kept")


def differences(run: Path, whole: Path) -> list[str]:
    """What tells a run from the undisturbed one, in words."""
    from safetensors.torch import load_file

    from filterscope.runs import RunFolder

    files = [sorted(file.name for file in folder.iterdir()) for folder in (run, whole)]
    if files[0] != files[1]:
        return [f"the folder holds {', '.join(files[0])}"]
    found = []
    for name in ("model.safetensors", "gate.safetensors"):
        ours, theirs = load_file(run / name), load_file(whole / name)
        if ours.keys() != theirs.keys() or any(not ours[k].equal(theirs[k]) for k in ours):
            found.append(f"{name} differs")
    histories = [
        [{**row, "seconds": 0} for row in RunFolder(folder).read_metrics()]
        for folder in (run, whole)
    ]
    if histories[0] != histories[1]:
        found.append(f"metrics.csv differs: {len(histories[0])} rows of {len(histories[1])}")
    return found


def undisturbed(out: Path) -> float:
    """Train without faults; the seconds it takes when everything is imported."""
    Training(out).wait()
    shutil.rmtree(out)
    start = time.perf_counter()
    training = Training(out)
    if training.wait() != 0 or training.told() != EPOCHS:
        raise SystemExit(training.text())
    return time.perf_counter() - start


def main() -> None:
    from timing import describe

    parser = argparse.ArgumentParser(description="Stop training, resume it, compare.")
    parser.add_argument("--kills", type=int, default=200, help="stops in all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # the processes that train inherit it
    print(describe("filterscope", "torch", "lightning"), f"- seed {arguments.seed}")
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "disk" / "run"
        seconds = undisturbed(whole)
        print(f"undisturbed: {finished_epochs(whole)} epochs in {seconds:.1f} s")
        print(f"{'fault':<18}{'stops':>6}{'writing':>9}{'runs':>6}{'survived':>10}{'problems':>10}")
        for number, fault in enumerate(arguments.faults):
            stops = len(range(number, arguments.kills, len(arguments.faults)))
            o = strike(fault, stops, arguments.seed, whole, seconds)
            numbers = f"{o.stops:>6}{o.writing:>9}{o.runs:>6}{o.survived:>10}{len(o.problems):>10}"
            print(f"{fault:<18}{numbers}", flush=True)
            problems += [f"{fault}: {problem}" for problem in o.problems]
            print("\n".join(o.problems[:10]), end="\n" * bool(o.problems), flush=True)
    raise SystemExit(bool(problems))


if __name__ == "__main__":
    main()
