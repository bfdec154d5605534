"""The sides that no other side beats in both location instability and error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filterscope.report.comparison import Comparison, Side

MARK = "*"


def pareto_set(points: Sequence[Sequence[float]]) -> tuple[int, ...]:
    """Find the points that no other point beats: smaller is better in each coordinate.

    A point is beaten by one that is nowhere larger and somewhere smaller; of equal points, none
    beats the other. A point with NaN is neither in the set nor beats any.

    Args:
        points: N points of equally many numbers.

    Returns:
        Places of the points in the set, rising.

    Raises:
        ValueError: Points of different numbers of coordinates, or of none.

    Examples:
        >>> pareto_set([(0.1, 0.3), (0.2, 0.2), (0.2, 0.3), (0.1, 0.3)])
        (0, 1, 3)
    """
    lengths = {len(point) for point in points}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"`points` must have equally many coordinates, at least one, got {sorted(lengths)}"
        )
    known = [i for i, point in enumerate(points) if not any(map(math.isnan, point))]
    return tuple(i for i in known if not any(_beats(points[j], points[i]) for j in known))


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    pairs = list(zip(one, other, strict=True))
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


@dataclass(frozen=True)
class SteadyAndRight:
    """The sides of a comparison by location instability and error, means over their seeds.

    Attributes:
        sides: Those that have both numbers, at least two.
        points: Instability and error, 1 - accuracy, of each.
        members: Places of the sides in the Pareto set.
        left_out: Labels of the sides without both numbers.
    """

    sides: tuple[Side, ...]
    points: tuple[tuple[float, float], ...]
    members: tuple[int, ...]
    left_out: tuple[str, ...]

    @classmethod
    def of(cls, comparison: Comparison) -> SteadyAndRight | None:
        """Find the set.

        Returns:
            None where fewer than two sides have both numbers, or where the sides were measured on
            different test data, which no number can rank.
        """
        points = {side.label: _point(side) for side in comparison.sides}
        sides = [side for side in comparison.sides if points[side.label] is not None]
        known = tuple(point for point in points.values() if point is not None)
        if len(sides) < 2 or len(set(map(_data, sides))) > 1:
            return None
        lost = tuple(label for label, point in points.items() if point is None)
        return cls(tuple(sides), known, pareto_set(known), lost)

    @property
    def labels(self) -> list[str]:
        """Labels of the sides in the set."""
        return [self.sides[i].label for i in self.members]

    @property
    def legend(self) -> str:
        """What a mark means, in words; and which sides are left out."""
        told = (
            "Pareto set: no other side is better in location instability or error without being "
            "worse in the other"
        )
        if self.left_out:
            told += f"; left out, without both numbers: {', '.join(self.left_out)}"
        return told


def _point(side: Side) -> tuple[float, float] | None:
    instability, accuracy = side.mean("instability"), side.mean("accuracy")
    if instability is None or accuracy is None or math.isnan(instability + accuracy):
        return None
    return instability, 1 - accuracy


def _data(side: Side) -> str:
    """What tells test data apart."""
    evaluations = [run.evaluation or {} for run in side.runs]
    told = [
        (e["settings"].get("data"), e["settings"].get("num_samples"),
         e["metrics"].get("instability_images"))
        for e in evaluations
    ]  # fmt: skip
    return str(sorted(set(map(str, told))))
