"""All rows of F, chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from filterscope.linear.discussion import CHUNK, check_classifier, checked_labels, unit_labels
from filterscope.linear.interpreter import LinearInterpreter


def iterate_rows(
    interpreter: LinearInterpreter, labels: Sequence[int] | None = None, chunk: int = CHUNK
) -> Iterator[tuple[list[int], Tensor]]:
    """Read the rows F_l of a classifier, a few labels at a time.

    Args:
        interpreter: Of a classifier: one image (1, C, H, W), output (1, L).
        labels: The labels, in the order in which they are wanted; None for all.
        chunk: How many rows are read and held at once.

    Yields:
        Labels, and their rows (labels, C, H, W).

    Raises:
        TypeError: No interpreter, or labels that are no integers.
        ValueError: A label out of range, several images, an output that is no row of scores.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> interpreter = LinearInterpreter(model, torch.rand(1, 3, 2, 2))
        >>> [(labels, tuple(rows.shape)) for labels, rows in iterate_rows(interpreter, chunk=3)]
        [([0, 1, 2], (3, 3, 2, 2)), ([3, 4], (2, 3, 2, 2))]
    """
    check_classifier(interpreter)
    check_chunk(chunk)
    wanted = checked_labels(labels, interpreter)
    interpreter._check_ready()
    return _rows(interpreter, wanted, chunk)


def _rows(
    interpreter: LinearInterpreter, labels: list[int], chunk: int
) -> Iterator[tuple[list[int], Tensor]]:
    for start in range(0, len(labels), chunk):
        some = labels[start : start + chunk]
        with torch.no_grad():
            yield some, interpreter._graph.adjoint(unit_labels(interpreter, some))[:, 0]


def check_chunk(chunk: int) -> None:
    """Refuse a chunk that is no positive integer."""
    if not isinstance(chunk, int) or isinstance(chunk, bool) or chunk < 1:
        raise ValueError(f"`chunk` must be a positive integer, got {chunk!r}")
