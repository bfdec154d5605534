"""One thread that computes; of each client's requests of a kind only the latest waits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from filterscope.explorer.errors import ExplorerError, Superseded

Lane = tuple[str, str]
"""A client and a kind of request."""

Compute = Callable[[Callable[[], bool]], Any]
"""Computes; its argument tells whether the result is no longer wanted."""


@dataclass(eq=False)
class Job:
    """A request that waits or is being computed.

    Attributes:
        lane: Whose it is.
        compute: What it does.
        future: Where its result goes.
    """

    lane: Lane
    compute: Compute
    future: Future[Any] = field(default_factory=Future)
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.future.set_running_or_notify_cancel()  # only this module ends it

    def give_up(self) -> None:
        """The result is no longer wanted; what is being computed ends after its operation."""
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._over.is_set()


class Worker:
    """Computes requests one after the other.

    A request replaces one of the same lane: where that waits, it takes its place in the line, so
    that a client that moves its pointer neither loses its turn nor gets ahead; where that is being
    computed, it is ended.

    Args:
        waiting: Most requests that wait at once; further ones are refused.

    Examples:
        >>> worker = Worker()
        >>> worker.submit(("client", "probe"), lambda is_over: 6 * 7).future.result()
        42
        >>> worker.close()
    """

    def __init__(self, waiting: int = 512) -> None:
        self._limit = waiting
        self._waiting: OrderedDict[Lane, Job] = OrderedDict()
        self._running: Job | None = None
        self._changed = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="filterscope-compute", daemon=True)
        self._thread.start()

    def submit(self, lane: Lane, compute: Compute) -> Job:
        """Put a request into its lane.

        Raises:
            ExplorerError: Too many wait, or the worker is closed.
        """
        job = Job(lane, compute)
        replaced = None
        with self._changed:
            if self._is_closed:
                raise ExplorerError(429, "closing", "the explorer is being closed")
            if lane not in self._waiting and len(self._waiting) >= self._limit:
                raise ExplorerError(
                    429, "busy", f"{self._limit} requests wait already; try again in a moment"
                )
            replaced = self._waiting.get(lane)
            self._waiting[lane] = job  # an old lane keeps its place in the line
            if self._running is not None and self._running.lane == lane:
                self._running.give_up()
            self._changed.notify()
        if replaced is not None:
            replaced.future.set_exception(Superseded())
        return job

    def forget(self, job: Job) -> None:
        """Drop a request whose client has gone."""
        with self._changed:
            was_waiting = self._waiting.get(job.lane) is job
            if was_waiting:
                del self._waiting[job.lane]
            job.give_up()
        if was_waiting:
            job.future.set_exception(Superseded())

    @property
    def num_waiting(self) -> int:
        """Requests that wait."""
        with self._changed:
            return len(self._waiting)

    def close(self) -> None:
        """End the thread after the operation it is at."""
        with self._changed:
            self._is_closed = True
            dropped = list(self._waiting.values())
            self._waiting.clear()
            if self._running is not None:
                self._running.give_up()
            self._changed.notify()
        for job in dropped:
            job.future.set_exception(Superseded())
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._is_closed:
                    self._changed.wait()
                if self._is_closed:
                    return
                _, job = self._waiting.popitem(last=False)
                self._running = job
            self._finish(job)
            with self._changed:
                self._running = None

    def _finish(self, job: Job) -> None:
        try:
            if job.is_over:
                raise Superseded
            result = job.compute(lambda: job.is_over)
            if job.is_over:
                raise Superseded
        except Exception as error:
            job.future.set_exception(error)
        except BaseException as error:  # a network that exits must not take the server with it
            told = f"the computation ended with {type(error).__name__}"
            job.future.set_exception(ExplorerError(422, "network", told))
        else:
            job.future.set_result(result)
