"""Do the tests notice when the code is changed? Mutation testing of the methods' packages.

For each package: a seeded sample of its mutants (see `mutants.py`), each run against the tests
of the package that execute the changed lines. Processes are forked after the imports: a mutant
costs about what its tests cost, and no file of the package is touched. A mutant is killed if a
test fails, if it cannot be imported, or if it takes far longer than its tests did. Mutants that
change nothing that anybody can see are not taken out: they count as survivors.

Run: python benchmarks/mutation.py --out /tmp/mutation
One package, another sample: the same with --packages linear --seed 1
Repeat for the survivors alone, after tests were added: the same with --again
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from mutant_tests import Collected, Trace, try_module, warm_up, with_collected
from mutants import Mutant, mutants

SOURCE = Path("src/filterscope")
# tests that the mutants of a package have to pass
_MINUTES_UNCOMPILED = ("noise_reaches_the_specified_floor", "dead_filters_reach_the_floor_of_noise")
TESTS = {
    "gates": ["tests/gates", "tests/runs/test_pretrained.py"],
    "linear": ["tests/linear"],
    "metrics/functional": [
        "tests/metrics",
        "--ignore-glob=*_classes.py",  # those of the metric classes, which start processes
        *(
            f"--deselect=tests/metrics/test_mutual_information.py::test_{name}"
            for name in _MINUTES_UNCOMPILED
        ),
    ],
}


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant.

    Attributes:
        module: Its file, from the package's folder.
        number: The mutant's number.
        kind: What was changed.
        line: Where.
        change: Source before and after.
        result: "killed", "timeout" (which counts as killed), "survived" or "no test".
        test: The first test that failed, or the last words of a process that broke off.
        tests: Tests that were chosen.
        seconds: Duration.
    """

    module: str
    number: int
    kind: str
    line: int
    change: str
    result: str
    test: str
    tests: int
    seconds: float

    @property
    def killed(self) -> bool:
        """Whether the tests noticed."""
        return self.result in ("killed", "timeout")


def drawn(package: str, count: int, seed: int) -> list[tuple[Path, Mutant]]:
    """Draw mutants of a package and its subpackages, each with the same chance."""
    every = [
        (file, mutant)
        for file in sorted((SOURCE / package).rglob("*.py"))
        for mutant in mutants(file.read_text())
    ]
    print(f"{package}: {len(every)} mutants, {min(count, len(every))} drawn with seed {seed}")
    return random.Random(f"{package} {seed}").sample(every, min(count, len(every)))


class Known:
    """Outcomes of a package's mutants, kept in a file while they come."""

    def __init__(self, folder: Path, file: Path, again: bool) -> None:
        self.folder, self.file = folder, file
        before = file.read_text().splitlines() if file.exists() else []
        every = [Outcome(**json.loads(line)) for line in before]
        self.outcomes = {(one.module, one.number): one for one in every}
        if again:
            killed = {key: one for key, one in self.outcomes.items() if one.killed}
            self.outcomes = killed
            file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in killed.values()))

    def of(self, path: Path, mutant: Mutant) -> Outcome | None:
        """What became of the mutant, if it is known."""
        one = self.outcomes.get(self._key(path, mutant))
        if one and (one.line, one.change) != (mutant.line, mutant.change):
            raise SystemExit(f"{path} has changed: remove {self.file.parent} and start anew")
        return one

    def _key(self, path: Path, mutant: Mutant) -> tuple[str, int]:
        return path.relative_to(self.folder).as_posix(), mutant.number

    def keep(
        self, path: Path, mutant: Mutant, found: tuple[str, str], tests: int, began: float
    ) -> None:
        """Write down what became of a mutant."""
        seconds = round(time.perf_counter() - began, 1)
        key = self._key(path, mutant)
        one = Outcome(
            *key,
            mutant.kind,
            mutant.line,
            mutant.change,
            *found,
            tests,
            seconds,
        )
        self.outcomes[key] = one
        with self.file.open("a") as lines:
            lines.write(json.dumps(asdict(one)) + "\n")


def try_package(package: str, options: argparse.Namespace) -> list[Outcome]:
    """Try the sample of a package; what is known from before is not repeated."""
    stem = package.replace("/", "-")
    file = options.out / f"outcomes-{stem}-{options.seed}.jsonl"
    traced = options.out / f"trace-{stem}.json"
    known = Known(SOURCE / package, file, options.again)
    sample = drawn(package, options.count, options.seed)

    def quick(collected: Collected) -> None:
        trace = collected.trace(SOURCE / package, traced)
        for path, mutant in sample:
            if known.of(path, mutant):
                continue
            began = time.perf_counter()
            tests = trace.choose(path, mutant.lines, options.budget)
            if not tests:
                known.keep(path, mutant, ("no test", ""), 0, began)
            elif found := collected.try_mutant(path, mutant.number, trace, tests):
                known.keep(path, mutant, found, len(tests), began)

    if not all(known.of(path, mutant) for path, mutant in sample) or not traced.exists():
        with_collected(SOURCE / package, TESTS[package], quick)
    known = Known(SOURCE / package, file, again=False)
    trace = Trace(**json.loads(traced.read_text()))
    proved = set()
    for path, mutant in sample:
        if known.of(path, mutant):
            continue
        if path not in proved:
            prove(path, trace, options.budget)
            proved.add(path)
        began = time.perf_counter()
        tests = trace.choose(path, mutant.lines, options.budget)
        found = try_module(path, mutant.number, trace, tests)
        known.keep(path, mutant, found, len(tests), began)
    return [one for path, mutant in sample if (one := known.of(path, mutant))]


def prove(path: Path, trace: Trace, budget: float) -> None:
    """Check that the tests pass with the module as it is, imported as mutants are."""
    result, test = try_module(path, None, trace, trace.choose(path, (), budget))
    if result != "survived":
        raise SystemExit(f"{path} without a change: {result} by {test}")


def report(package: str, outcomes: list[Outcome]) -> None:
    """Print figures and survivors."""
    killed = sum(one.killed for one in outcomes)
    results = Counter(one.result for one in outcomes)
    print(f"{package}: {killed} of {len(outcomes)} killed ({killed / len(outcomes):.1%})", end=" ")
    print(", ".join(f"{count} {result}" for result, count in sorted(results.items())))
    for kind in sorted({one.kind for one in outcomes}):
        same = [one.killed for one in outcomes if one.kind == kind]
        print(f"   {kind:<10} {sum(same):>3} of {len(same):>3}")
    for one in sorted(outcomes, key=lambda one: (one.module, one.line)):
        if not one.killed:
            print(f"   {one.result} ({one.tests} tests): {one.module}:{one.line}  {one.change}")


def main() -> None:
    """Try the packages in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--count", type=int, default=100, help="mutants of each package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=12, help="seconds of tests for a mutant")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is known")
    parser.add_argument("--again", action="store_true", help="try the survivors again")
    options = parser.parse_args()
    options.out = options.out.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    os.chdir(Path(__file__).parent.parent)
    warm_up(options.out)
    for package in options.packages:
        began = time.perf_counter()
        report(package, try_package(package, options))
        print(f"   {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
