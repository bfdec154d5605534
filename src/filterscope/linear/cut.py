"""The feature cut: rows of F through the few features that everything flows through."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.linear.graph import Graph
from filterscope.linear.program import Program
from filterscope.linear.spread import Place

BUDGET = 2**30


@dataclass(frozen=True)
class Cut:
    """A frozen network in two parts, F = W G, with a vector of features between them.

    Attributes:
        trunk: G, from the image to the features.
        head: W, from the features to the scores.
        shape: Shape of the features.
        active: Flat positions of the features that the scores depend on, (A,).
    """

    trunk: Program
    head: Program
    shape: tuple[int, ...]
    active: Tensor

    def units(self, like: Tensor, chunk: int) -> Iterator[tuple[slice, Tensor]]:
        """A one in the place of each active feature, a chunk at a time.

        Args:
            like: Precision and device.
            chunk: How many at once.

        Yields:
            Which of the active features, and (P, *shape).
        """
        for start in range(0, len(self.active), chunk):
            places = self.active[start : start + chunk]
            units = like.new_zeros(len(places), math.prod(self.shape))
            units[range(len(places)), places] = 1
            yield slice(start, start + len(places)), units.view(-1, *self.shape)

    def coefficients(self, pulled: Tensor) -> Tensor:
        """What was pulled back to the features, (P, *shape), on the active ones, (P, A).

        Raises:
            RuntimeError: Another feature has a part in it.
        """
        flat = pulled.flatten(1)
        chosen = flat[:, self.active]
        if int(flat.count_nonzero()) != int(chosen.count_nonzero()):
            raise RuntimeError(
                "the scores depend on features that random probes did not find; `budget=0` reads "
                "the rows without the cut"
            )
        return chosen


def find_cut(
    program: Program, output: Tensor, labels: Sequence[int], places: Mapping[int, Place]
) -> Cut | None:
    """Find the exact cut with the fewest features, if they are fewer than the labels.

    A value can be cut at where no later step reads an earlier one. The candidates are the vectors
    near the output; a network is not cut at a map, behind which most of its work may lie. Features
    that the scores do not depend on, such as the units that a ReLU switched off, do not count:
    they are those at which two random mixtures of the scores have no gradient.

    Args:
        program: The frozen network.
        output: Its scores, (1, L).
        labels: The labels whose rows are wanted.
        places: Shapes of the values.

    Returns:
        The cut; None where there is none with fewer active features than labels.
    """
    generator = torch.Generator().manual_seed(0)
    mixtures = torch.randn(2, 1, len(labels), generator=generator, dtype=torch.float64)
    pulled = output.new_zeros(2, *output.shape)
    pulled[..., list(labels)] = mixtures.to(output)
    best: Cut | None = None
    end, target = len(program.steps), program.target
    for position, value in _vectors(program, places):
        shape = places[value].shape
        segment = Program(program.steps[position + 1 : end], value, target)
        pulled = Graph(segment, output.new_zeros(shape)).adjoint(pulled)
        active = (pulled.flatten(1) != 0).any(0).nonzero()[:, 0]
        if len(active) < (len(labels) if best is None else len(best.active)):
            best = Cut(
                trunk=Program(program.steps[: position + 1], program.source, value),
                head=Program(program.steps[position + 1 :], value, program.target),
                shape=shape,
                active=active,
            )
        end, target = position + 1, value
    return best


def _vectors(program: Program, places: Mapping[int, Place]) -> list[tuple[int, int]]:
    """Position and number of the vectors that everything flows through, the last first."""
    found = []
    alive = {program.target}
    for position in reversed(range(len(program.steps))):
        step = program.steps[position]
        if len(alive) == 1 and program.target not in alive:
            (value,) = alive
            shape = places[value].shape
            if math.prod(shape) != max(shape, default=0):
                break
            found.append((position, value))
        alive = (alive - set(step.outputs)) | set(step.inputs)
    return found


def affordable(cut: Cut | None, numbers: int, like: Tensor, budget: int) -> Cut | None:
    """The cut, if a table with so many numbers for each active feature fits the budget, in bytes.

    Args:
        cut: The cut.
        numbers: Numbers that are kept for each active feature.
        like: Their precision.
        budget: Bytes.
    """
    if cut is None or len(cut.active) * numbers * like.element_size() > budget:
        return None
    return cut


def check_budget(budget: int) -> None:
    """Refuse a budget that is no number of bytes."""
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 0:
        raise ValueError(f"`budget` must be a number of bytes, got {budget!r}")
