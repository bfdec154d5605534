"""The cache of frozen networks: weighed, bounded, ended between operations."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import nn

from filterscope.explorer import Session
from filterscope.explorer.errors import ExplorerError, Superseded
from filterscope.explorer.interpreters import Interpreters, Reading
from filterscope.explorer.watch import Tally, Watch
from filterscope.linear import LinearInterpreter


def never() -> bool:
    return False


def after(count: int) -> Callable[[], bool]:
    """Says so from the given question on."""
    asked = iter(range(10**9))
    return lambda: next(asked) >= count


def use(cache: Interpreters, session: Session, network: str, picture: int = 0) -> Reading:
    chosen = list(session.pictures)[picture]
    with cache.reading(session.subjects[network], chosen, never) as reading:
        reading.interpreter.row(0)
    return reading


def test_a_network_is_frozen_once_for_each_picture(session: Session) -> None:
    cache = Interpreters(2**30)
    first = use(cache, session, "espcn")
    assert use(cache, session, "espcn") is first
    assert use(cache, session, "espcn", 1) is not first
    assert len(cache) == 2


def test_memory_is_weighed_and_bounded(session: Session) -> None:
    free = Interpreters(2**30)
    sizes = [use(free, session, name).bytes for name in ("espcn", "bicubic", "resnet20")]
    # the activations that autograd keeps and the frozen state: more than one map of 64 filters
    assert sizes[0] > 64 * 16 * 16 * 4
    assert free.bytes == sum(reading.bytes for reading in free._kept.values()) == sum(sizes)
    bounded = Interpreters(sizes[0] + sizes[2] - 1)
    for name in ("espcn", "bicubic", "resnet20", "espcn"):
        use(bounded, session, name)
        assert bounded.bytes <= sizes[0] + sizes[2] - 1
    assert "espcn" in {network for network, _ in bounded._kept}


def test_what_is_larger_than_the_bound_is_not_kept(session: Session) -> None:
    cache = Interpreters(1000)
    use(cache, session, "espcn")
    assert len(cache) == 0
    assert cache.bytes == 0


@pytest.mark.parametrize("count", [0, 3, 20, 60])
def test_a_reading_that_was_ended_leaves_no_harm(session: Session, count: int) -> None:
    cache, picture = Interpreters(2**30), next(iter(session.pictures))
    subject = session.subjects["espcn"]
    with (
        pytest.raises(Superseded),
        cache.reading(subject, picture, after(count)) as reading,
    ):
        for _ in range(100):
            reading.interpreter.row((0, 5, 5))
    with cache.reading(subject, picture, never) as reading:
        row = reading.interpreter.row((0, 5, 5))
    fresh = LinearInterpreter(subject.model, subject.prepare(subject.pixels(picture.pixels)))
    torch.testing.assert_close(row, fresh.row((0, 5, 5)))


def test_backward_passes_are_ended_too() -> None:
    layers = [nn.Conv2d(1, 1, 3, padding=1) for _ in range(20)]
    interpreter = LinearInterpreter(nn.Sequential(*layers), torch.rand(1, 1, 8, 8))
    asked = after(5)
    with pytest.raises(Superseded), Watch(asked, Tally()):
        interpreter.row(0)
    assert asked()
    assert interpreter.row(0).shape == (1, 8, 8)


def test_a_slow_network_ends_soon(session: Session) -> None:
    cache, picture = Interpreters(2**30), next(iter(session.pictures))
    began = time.monotonic()
    with (
        pytest.raises(Superseded),
        cache.reading(session.subjects["slow"], picture, lambda: time.monotonic() > began + 0.1),
    ):
        pass
    assert time.monotonic() - began < 60  # it takes minutes


def test_a_network_that_raises_is_told_and_not_kept(session: Session) -> None:
    cache, picture = Interpreters(2**30), next(iter(session.pictures))
    with (
        pytest.raises(ExplorerError, match="raises could not be read here: the network broke"),
        cache.reading(session.subjects["raises"], picture, never),
    ):
        pass
    assert len(cache) == 0


def test_small_pictures_take_one_thread(session: Session) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        cache, picture = Interpreters(2**30), next(iter(session.pictures))
        with cache.reading(session.subjects["espcn"], picture, never):
            assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_a_tally_forgets_what_is_gone() -> None:
    weights = torch.ones(1000)
    tally = Tally([weights])
    with Watch(never, tally):
        kept = [torch.ones(10) * 2, weights.view(10, 100)]
        kept.append(torch.ones(50) + 1)
        assert tally.bytes == 240
        kept.pop()
    assert tally.bytes == 40
