"""One computation at a time; of each client's requests of a kind only the latest waits."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from filterscope.explorer.errors import ExplorerError, Superseded
from filterscope.explorer.worker import Worker

IsOver = Callable[[], bool]


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(waiting=60)
    yield made
    made.close()


class Gate:
    """Keeps the worker busy until it is opened."""

    def __init__(self, worker: Worker) -> None:
        self.entered, self.open = threading.Event(), threading.Event()
        self.job = worker.submit(("gate", "probe"), self._wait)
        assert self.entered.wait(10)

    def _wait(self, is_over: IsOver) -> str:
        self.entered.set()
        while not self.open.wait(0.002):
            if is_over():
                raise Superseded
        return "through"


def test_the_latest_of_a_lane_wins(worker: Worker) -> None:
    gate, done = Gate(worker), list[int]()
    jobs = [worker.submit(("a", "probe"), lambda _, k=k: done.append(k)) for k in range(100)]
    other = worker.submit(("a", "open"), lambda _: "other kind")
    assert worker.num_waiting == 2
    gate.open.set()
    assert jobs[-1].future.result(10) is None
    assert other.future.result(10) == "other kind"
    assert done == [99]
    for job in jobs[:-1]:
        assert isinstance(job.future.exception(10), Superseded)


def test_what_is_computed_is_ended_by_a_later_request(worker: Worker) -> None:
    gate = Gate(worker)
    later = worker.submit(("gate", "probe"), lambda _: "later")
    assert isinstance(gate.job.future.exception(10), Superseded)
    assert later.future.result(10) == "later"


def test_moving_on_neither_loses_nor_wins_a_turn(worker: Worker) -> None:
    gate, order = Gate(worker), list[str]()
    for client in "abab":
        last = worker.submit((client, "probe"), lambda _, client=client: order.append(client))
    gate.open.set()
    last.future.result(10)
    assert order == ["a", "b"]


def test_a_result_that_came_too_late_is_not_given(worker: Worker) -> None:
    gate = Gate(worker)
    gate.job.give_up()
    gate.open.set()
    assert isinstance(gate.job.future.exception(10), Superseded)


def test_errors_do_not_end_the_thread(worker: Worker) -> None:
    def fail(_: IsOver) -> None:
        raise SystemExit("a network that leaves")

    failed = worker.submit(("a", "probe"), fail)
    assert "ended with SystemExit" in str(failed.future.exception(10))
    assert worker.submit(("a", "probe"), lambda _: 1).future.result(10) == 1


def test_a_client_that_left_is_forgotten(worker: Worker) -> None:
    gate, done = Gate(worker), list[str]()
    gone = worker.submit(("a", "probe"), lambda _: done.append("a"))
    worker.forget(gone)
    worker.forget(gate.job)
    assert worker.submit(("b", "probe"), lambda _: "b").future.result(10) == "b"
    assert isinstance(gate.job.future.exception(10), Superseded)
    assert isinstance(gone.future.exception(10), Superseded)
    assert not done


def test_the_line_is_bounded(worker: Worker) -> None:
    gate = Gate(worker)
    for k in range(60):
        worker.submit((f"client {k}", "probe"), lambda _: None)
    with pytest.raises(ExplorerError, match="60 requests wait") as caught:
        worker.submit(("one more", "probe"), lambda _: None)
    assert caught.value.status == 429
    worker.submit(("client 3", "probe"), lambda _: None)  # in place of its own
    gate.open.set()


def test_closing_ends_everything() -> None:
    worker = Worker()
    gate = Gate(worker)
    waiting = worker.submit(("a", "probe"), lambda _: 1)
    began = time.monotonic()
    worker.close()
    assert time.monotonic() - began < 5
    for job in (gate.job, waiting):
        assert isinstance(job.future.exception(10), Superseded)
    with pytest.raises(ExplorerError, match="closed"):
        worker.submit(("a", "probe"), lambda _: 1)


def test_a_cancelled_wait_does_no_harm(worker: Worker) -> None:
    """A web server cancels the future that it waits for."""
    gate = Gate(worker)
    job: Any = worker.submit(("a", "probe"), lambda _: 5)
    assert not job.future.cancel()
    gate.open.set()
    assert job.future.result(10) == 5
