"""Tests run against mutants, in forks of processes that have done what takes seconds.

Two kinds of fork. Nearly every mutant changes the code of one function: then the process has
collected all tests, the fork puts the changed code into the live function, and only the chosen
tests cost anything. What runs on import (constants, default values, decorators) needs a fork of a
process that has imported PyTorch but nothing that has mutants, which then finds the changed module
in place of the real one. Compiled kernels run as plain Python, or no change would reach them.
"""

from __future__ import annotations

import functools
import importlib
import importlib.abc
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

from forks import forked, limit_memory, verdict
from mutants import changed_function, mutated_source

WARM = [
    *("torch", "torch.nn.functional", "torch.func", "torch.fx", "torch.utils.checkpoint"),
    *("torch.distributed", "torchvision.models", "torchmetrics", "safetensors.torch", "numba"),
    *("scipy.sparse.linalg", "scipy.stats", "scipy.optimize", "scipy.cluster.hierarchy"),
    *("sklearn.cluster", "sklearn.decomposition", "sklearn.ensemble", "sklearn.metrics"),
    *("sklearn.feature_selection", "timm", "PIL.Image", "hypothesis.extra.numpy"),
]
UNCOMPILED = ("filterscope.metrics.functional._neighbors",)
SLACK = 10  # seconds of processor time beyond which, and
TIMES = 4  # times its tests' duration beyond which a mutant hangs
OPTIONS = [
    *("-o", "addopts=--import-mode=importlib", "-m", "not full and not data", "-p", "no:terminal"),
    *("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "--hypothesis-seed=0"),
]


@dataclass(frozen=True)
class Trace:
    """Which test executes which lines.

    Attributes:
        durations: Processor time of each test in seconds, by its name.
        lines: For each file, the tests by each line.
    """

    durations: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    def choose(self, file: Path, lines: Sequence[int], budget: float) -> list[str]:
        """Choose the tests that execute one of the lines, the module's own first.

        Its own are those in files named after it, or after a folder that it lies in.

        Args:
            file: The module.
            lines: Lines of it; none: any of the file, or its own, or any of the package. Where no
                test is seen to execute one, all of the module's own.
            budget: Seconds of processor time; the quickest are taken, at least one.
        """
        known = self.lines.get(str(file), {})
        wanted = map(str, lines) if lines else known
        stems = (file.stem.strip("_"), *[folder.name for folder in file.parents])
        files = tuple(f"/test_{stem}.py" for stem in stems)
        own = {test for test in self.durations if test.partition("::")[0].endswith(files)}
        tests = {test for line in wanted for test in known.get(line, [])}
        if not lines:  # seen by tests that run none of the file's lines as well
            tests = tests | own or set(self.durations)
        tests = tests or own
        ordered = sorted(tests, key=lambda test: (test not in own, self.durations[test]))
        chosen, total = ordered[:1], 0.0
        for test in ordered[1:]:
            total += self.durations[test]
            if total < budget:
                chosen.append(test)
        return chosen

    def limit(self, tests: Sequence[str]) -> int:
        """Seconds of processor time beyond which a mutant hangs."""
        return SLACK + TIMES * int(sum(self.durations[test] for test in tests))


def warm_up(folder: Path) -> None:
    """Import what the tests import, but nothing that has mutants.

    Args:
        folder: For what hypothesis keeps, so that examples of mutants are not found again.
    """
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    os.environ["NUMBA_CACHE_DIR"] = str(folder / "numba")  # no changed kernel is kept for others
    os.environ["OMP_NUM_THREADS"] = "1"
    core = [f"filterscope.core.{file.stem}" for file in Path("src/filterscope/core").glob("*.py")]
    for name in [*WARM, *(name for name in core if not name.endswith("__"))]:
        importlib.import_module(name)
    sys.modules["torch"].set_num_threads(1)


class Collected:
    """Tests that are collected once, and run in forks.

    Attributes:
        items: The tests, by their names.
    """

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        self.items = {item.nodeid: item for item in items}

    def trace(self, package: Path, file: Path) -> Trace:
        """Run every test undisturbed, and note which lines of the package each executes.

        Args:
            package: Folder of the source.
            file: Where the trace is kept; tests that it knows are not run again.
        """
        known = Trace(**json.loads(file.read_text())) if file.exists() else Trace({}, {})
        fresh = [name for name in self.items if name not in known.durations]
        if fresh:
            state, output = forked(lambda: self._traced(fresh, known, package, file), 3600)
            if state != 0:
                raise SystemExit(f"the tests of {package} could not be traced: {state} {output}")
        trace = Trace(**json.loads(file.read_text()))
        for test in self.items.keys() - trace.durations.keys():
            print(f"left out, since it fails without any change: {test}", flush=True)
        return trace

    def _traced(self, tests: Sequence[str], known: Trace, package: Path, file: Path) -> int:
        import coverage

        measured = coverage.Coverage(data_file=None, source=[str(package)], config_file=False)
        measured.start()
        durations = dict(known.durations)
        for name in tests:
            began = time.process_time()
            measured.switch_context(name)
            failed = self._run([name])
            measured.switch_context("")
            if not failed:
                durations[name] = round(time.process_time() - began, 3)
        measured.stop()
        data = measured.get_data()
        lines = {path: dict(by_line) for path, by_line in known.lines.items()}
        for path in data.measured_files():
            of_file = lines.setdefault(os.path.relpath(path), {})
            for line, names in data.contexts_by_lineno(path).items():
                good = [name for name in names if name in durations]
                of_file[str(line)] = sorted({*of_file.get(str(line), []), *good})
        file.write_text(json.dumps(asdict(Trace(durations, lines))))
        return 0

    def try_mutant(
        self, file: Path, number: int, trace: Trace, tests: Sequence[str]
    ) -> tuple[str, str] | None:
        """Run tests with the code of one function changed.

        Returns:
            As `try_module`; None if the mutant changes something else than one function's code.
        """
        code = changed_function(file.read_text(), number)
        function = code and _live_function(sys.modules[_name(file)], code.co_qualname)
        if not code or not function:
            return None

        def changed(note: Path) -> int:
            function.__code__ = code
            limit_memory()
            failed = self._run(tests)
            note.write_text(failed)
            return int(bool(failed))

        return verdict(changed, trace.limit(tests))

    def _run(self, tests: Sequence[str]) -> str:
        """Run tests; give the name of the first that fails, or nothing."""
        failed: list[str] = []

        class Watch:
            def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
                if report.failed:
                    failed.append(report.nodeid)

        chosen = [self.items[test] for test in tests]
        config = chosen[0].config
        watch = Watch()
        config.pluginmanager.register(watch)
        for item, following in zip(chosen, [*chosen[1:], None], strict=True):
            config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if failed:
                break
        config.pluginmanager.unregister(watch)
        return failed[0] if failed else ""


def _import_uncompiled() -> None:
    """Import the kernels as plain Python, which changed code reaches."""
    import numba

    numba.config.DISABLE_JIT = True
    for name in UNCOMPILED:
        importlib.import_module(name)
    numba.config.DISABLE_JIT = False


def with_collected(package: Path, tests: Sequence[str], use: Callable[[Collected], None]) -> None:
    """Collect tests in a process of its own, and use them there."""

    def collected() -> int:
        _import_uncompiled()
        return int(pytest.main([*OPTIONS, *tests], plugins=[Loop()]))

    class Loop:
        def pytest_runtestloop(self, session: pytest.Session) -> bool:
            for file in package.rglob("*.py"):
                importlib.import_module(_name(file))
            manager = session.config.pluginmanager.getplugin("capturemanager")
            with manager.global_and_fixture_disabled():
                use(Collected(session.items))
            return True

    state, _ = forked(collected, None)
    if state != 0:
        raise SystemExit(f"the tests of {package} could not be collected: {state}")


def try_module(
    file: Path, number: int | None, trace: Trace, tests: Sequence[str]
) -> tuple[str, str]:
    """Run tests against a changed module, imported anew.

    Args:
        file: The module.
        number: The mutant's; None: the module as it is.
        trace: Durations of the tests.
        tests: Names of the tests, in their order.

    Returns:
        "killed", "timeout" or "survived"; and the first test that failed, or the last words.
    """
    source = file.read_text()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / file.name
        place.write_text(source if number is None else mutated_source(source, number))

        def changed(note: Path) -> int:
            sys.meta_path.insert(0, _Exchange(file, place))
            _import_uncompiled()
            limit_memory()
            files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
            return int(pytest.main([*OPTIONS, "-x", *files], plugins=[_Chosen(tests, note)]))

        return verdict(changed, trace.limit(tests))


class _Chosen:
    """Keeps tests in their order, and notes the first that fails."""

    def __init__(self, tests: Sequence[str], note: Path) -> None:
        self.tests, self.note = tests, note

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        found = {item.nodeid: item for item in items}
        items[:] = [found[test] for test in self.tests if test in found]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.note.exists():
            self.note.write_text(report.nodeid)


class _Exchange(importlib.abc.MetaPathFinder):
    """Finds one module in another file."""

    def __init__(self, file: Path, place: Path) -> None:
        self.name, self.place = _name(file), place
        self.folder = [str(file.parent)] if file.stem == "__init__" else None

    def find_spec(self, name: str, path: object, target: object = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        return importlib.util.spec_from_file_location(
            name, self.place, submodule_search_locations=self.folder
        )


def _name(file: Path) -> str:
    return ".".join(file.with_suffix("").relative_to("src").parts).removesuffix(".__init__")


def _live_function(module: ModuleType, name: str) -> FunctionType | None:
    """Find the function of that qualified name, under properties and decorators."""
    found: object = module
    for part in name.split("."):
        found = getattr(found, "__dict__", {}).get(part)
    while not (isinstance(found, FunctionType) and found.__code__.co_qualname == name):
        match found:
            case property():
                found = found.fget
            case functools.cached_property():
                found = found.func
            case _ if hasattr(found, "py_func"):  # compiled: seen only if imported anew
                return None
            case _ if hasattr(found, "__wrapped__"):  # class methods have one as well
                found = found.__wrapped__
            case _:
                return None
    return found
