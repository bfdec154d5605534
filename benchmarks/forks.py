"""Functions called in forks, for a limited time."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

WAITING = 20  # times as long by the clock: for one that waits, not computes
MEMORY = 12 << 30  # bytes that a fork may add to what its parent has


def forked(function: Callable[[], int], limit: int | None) -> tuple[int | None, str]:
    """Call in a fork.

    Args:
        function: Gives the exit status.
        limit: Seconds of processor time; None: as long as it takes, and its output goes to the
            parent's.

    Returns:
        The exit status, the negative signal that ended it, or None if it waited for too long; and
        what it printed.
    """
    with tempfile.TemporaryFile("w+") as output:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run_child(function, limit, output.fileno())
        state = _awaited(child, None if limit is None else WAITING * limit)
        output.seek(0)
        return state, output.read()


def _run_child(function: Callable[[], int], limit: int | None, output: int) -> None:
    code = 70
    try:
        if limit is not None:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            os.dup2(output, 1)
            os.dup2(output, 2)
        code = function()
    except BaseException as error:
        print(repr(error))
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        os._exit(code)


def _awaited(child: int, seconds: float | None) -> int | None:
    if seconds is None:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def verdict(function: Callable[[Path], int], limit: int) -> tuple[str, str]:
    """Run tests in a fork, and tell what they say of a mutant.

    Args:
        function: Runs the tests; gives 0 if all pass, and writes the name of the first that fails
            to the file that it is given.
        limit: Seconds of processor time.

    Returns:
        "killed", "timeout" or "survived"; and the first test that failed, or the last words.
    """
    with tempfile.TemporaryDirectory() as folder:
        note = Path(folder) / "failed"
        state, output = forked(lambda: function(note), limit)
        words = note.read_text() if note.exists() else output[-200:]
    if state in (None, -signal.SIGXCPU):
        return "timeout", words
    return ("survived", "") if state == 0 else ("killed", words)


def limit_memory() -> None:
    """Keep a mutant from taking the machine's memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
