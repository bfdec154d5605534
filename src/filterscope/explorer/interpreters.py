"""Networks at pictures, frozen once and kept while they fit into the memory allowed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.pictures import Picture
from filterscope.explorer.subjects import Subject
from filterscope.explorer.watch import Tally, Watch, network_tensors
from filterscope.linear import LinearInterpreter

SMALL_INPUT = 3 * 256 * 256
"""Numbers in an input up to which a second thread costs more than it gives."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A network frozen at a picture.

    Attributes:
        subject: The network.
        pixels: What it looks at, uint8 (3, H, W).
        interpreter: y = F x + r there.
        tally: The memory that all this takes.
    """

    subject: Subject
    pixels: Tensor
    interpreter: LinearInterpreter
    tally: Tally

    @property
    def bytes(self) -> int:
        """Memory in use, without the network's weights."""
        return self.tally.bytes + self.pixels.nbytes


class Interpreters:
    """A cache of readings, bounded in bytes; those not used for longest go first.

    All of it belongs to the thread that computes.

    Args:
        limit: Bytes that may be kept between requests. One reading that takes more is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept: OrderedDict[tuple[str, str], Reading] = OrderedDict()
        self._threads = torch.get_num_threads()

    @contextmanager
    def reading(
        self, subject: Subject, picture: Picture, is_over: Callable[[], bool]
    ) -> Iterator[Reading]:
        """A network frozen at a picture, to compute with; what it leaves behind is weighed.

        Raises:
            ExplorerError: The network cannot be read there; the message says why.
            Superseded: `is_over` said that nobody waits any more.
        """
        key = (subject.id, picture.id)
        try:
            kept = self._kept.get(key)
            pixels = subject.pixels(picture.pixels) if kept is None else kept.pixels
            _use_threads(1 if pixels.numel() <= SMALL_INPUT else self._threads)
            if kept is None:
                tally = Tally(network_tensors(subject.model))
                with Watch(is_over, tally):
                    interpreter = LinearInterpreter(subject.model, subject.prepare(pixels))
                self._kept[key] = Reading(subject, pixels, interpreter, tally)
            self._kept.move_to_end(key)
            found = self._kept[key]
            with Watch(is_over, found.tally):
                yield found
        except ExplorerError:
            raise
        except Exception as error:  # networks raise anything
            self._kept.pop(key, None)
            raise unreadable(subject, error) from error
        finally:
            self._shrink()

    @property
    def bytes(self) -> int:
        """Memory in use."""
        return sum(reading.bytes for reading in self._kept.values())

    def __len__(self) -> int:
        return len(self._kept)

    def _shrink(self) -> None:
        sizes = {key: reading.bytes for key, reading in self._kept.items()}
        for key in list(self._kept):
            if sum(sizes.values()) <= self._limit:
                return
            del self._kept[key], sizes[key]


def unreadable(subject: Subject, error: Exception) -> ExplorerError:
    """Say in one line why a network could not be read at a picture."""
    told = " ".join(str(error).split())[:400] or type(error).__name__
    return ExplorerError(422, "network", f"{subject.name} could not be read here: {told}")


def _use_threads(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
