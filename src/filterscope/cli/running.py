"""Running a verb: bad input ends in one line, never in a traceback."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from filterscope.cli.verbs import SHARED, verb_module
from filterscope.core.names import unknown_name
from filterscope.runs.launched import is_first_process, num_processes

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM, as shells count them."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as clusters send it when the time is over."""


def run_verb(verb: str, words: list[str], verbs: list[str]) -> int:
    """Import the verb's module, run it, and turn errors into one line and an exit code."""
    if verb not in verbs:
        return _fail("filterscope", unknown_name("verb", verb, verbs, "filterscope --help"))
    if verb not in SHARED and num_processes() > 1:  # each would write the same files
        return _alone(verb)
    with warnings.catch_warnings():
        if "FILTERSCOPE_TRACEBACK" not in os.environ:
            warnings.simplefilter("ignore")
            warnings.filterwarnings("always", module="filterscope")
            warnings.showwarning = _notes()
        try:
            with terminated_in_order():
                code: int | None = importlib.import_module(verb_module(verb)).run(words)
            return code or 0
        except KeyboardInterrupt as stop:
            print("\nstopped", file=sys.stderr)
            return exit_code(stop)
        except (ValueError, TypeError, OSError, ImportError) as error:
            if "FILTERSCOPE_TRACEBACK" in os.environ:
                raise
            return _fail(f"filterscope {verb}", error)


def exit_code(stop: KeyboardInterrupt) -> int:
    """The exit code of a verb that was stopped; ends the processes that a SIGTERM left alone."""
    if not isinstance(stop, Terminated):
        return INTERRUPTED
    for process in multiprocessing.active_children():  # Ctrl-C reaches them, SIGTERM does not
        process.terminate()
    return TERMINATED


@contextmanager
def terminated_in_order() -> Iterator[None]:
    """Let SIGTERM end what runs inside as Ctrl-C does, by an exception, and put it back after."""
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    owner = os.getpid()

    def end(number: int, frame: object) -> None:
        if os.getpid() == owner:
            raise Terminated
        signal.signal(number, signal.SIG_DFL)  # a process that loads images has nothing to tidy
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _notes() -> Callable[..., None]:
    """A function that prints a warning of ours as a line, each text once."""
    told: set[str] = set()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in told:  # each figure misses the same letters of a class's name
            told.add(str(message))
            print(f"note: {message}", file=sys.stderr)

    return note


def _alone(verb: str) -> int:
    """Refuse to run a verb several times at once, in the words of the first process alone."""
    if not is_first_process():
        return 2
    way_out = "start it once, without torchrun or srun"
    if verb == "study":
        way_out += "; --devices shares its training"
    started = f"{num_processes()} were started"
    return _fail(f"filterscope {verb}", ValueError(f"runs in one process, {started}: {way_out}"))


def _fail(program: str, error: BaseException) -> int:
    """Print one line about an error; FILTERSCOPE_TRACEBACK=1 shows the whole of it."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    print(f"{program}: error: {' '.join(text.split())}", file=sys.stderr)
    return 2
