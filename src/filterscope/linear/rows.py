"""All rows of F, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from torch import Tensor

from filterscope.linear.cut import BUDGET, Cut, affordable, check_budget, find_cut
from filterscope.linear.discussion import check_classifier, checked_labels, unit_labels
from filterscope.linear.graph import Graph
from filterscope.linear.interpreter import LinearInterpreter
from filterscope.linear.pixels import CHUNK
from filterscope.linear.spread import find_places

# mixing a few labels at a time would read all the features' rows as often
_MIXED = 64


def iterate_rows(
    interpreter: LinearInterpreter,
    labels: Sequence[int] | None = None,
    chunk: int = CHUNK,
    *,
    budget: int = BUDGET,
) -> Iterator[tuple[list[int], Tensor]]:
    """Read the rows F_l of a classifier, a few labels at a time.

    Where a few features feed all labels, as before the last layer of a ResNet-18, F = W G: the
    features' rows G are read once, kept, and mixed into each label's.

    Args:
        interpreter: Of a classifier: one image (1, C, H, W), output (1, L).
        labels: The labels, in the order in which they are wanted; None for all.
        chunk: How many rows are read and given at once; through the features, about 64 are held.
        budget: Bytes that the features' rows may take, 1 GiB by default; where they need more,
            each label's row is read by itself. 0 to do without them.

    Yields:
        Labels, and their rows (labels, C, H, W).

    Raises:
        TypeError: No interpreter, or labels that are no integers.
        ValueError: A label out of range, several images, an output that is no row of scores.

    Examples:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> interpreter = LinearInterpreter(model, torch.rand(1, 3, 2, 2))
        >>> [(labels, tuple(rows.shape)) for labels, rows in iterate_rows(interpreter, chunk=3)]
        [([0, 1, 2], (3, 3, 2, 2)), ([3, 4], (2, 3, 2, 2))]
    """
    check_classifier(interpreter)
    check_chunk(chunk)
    check_budget(budget)
    wanted = checked_labels(labels, interpreter)
    interpreter._check_ready()
    return _rows(interpreter, wanted, chunk, budget)


def _rows(
    interpreter: LinearInterpreter, labels: list[int], chunk: int, budget: int
) -> Iterator[tuple[list[int], Tensor]]:
    program, images = interpreter._program, interpreter.images
    cut = None
    if budget and len(labels) > CHUNK:
        found = find_cut(program, interpreter.output, labels, find_places(program, images))
        cut = affordable(found, images[0].numel(), images, budget)
    read = interpreter._graph.adjoint if cut is None else _rows_through(cut, images)
    group = chunk if cut is None else chunk * -(-_MIXED // chunk)
    for first in range(0, len(labels), group):
        several = labels[first : first + group]
        rows = read(unit_labels(interpreter, several)).view(-1, *images.shape[1:])
        for start in range(0, len(several), chunk):
            yield several[start : start + chunk], rows[start : start + chunk]


def _rows_through(cut: Cut, images: Tensor) -> Callable[[Tensor], Tensor]:
    """Read the rows of the active features; give a function that mixes them."""
    trunk = Graph(cut.trunk, images)
    rows = images.new_empty(len(cut.active), images[0].numel())
    for some, units in cut.units(images, CHUNK):
        rows[some] = trunk.adjoint(units).flatten(1)
    head = Graph(cut.head, images.new_zeros(cut.shape))
    return lambda probes: cut.coefficients(head.adjoint(probes)) @ rows


def check_chunk(chunk: int) -> None:
    """Refuse a chunk that is no positive integer."""
    if not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1:
        raise ValueError(f"`chunk` must be a positive integer, got {chunk!r}")
