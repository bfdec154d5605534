"""The Pareto set of points, and of the sides of a comparison."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from filterscope.data import Transform
from filterscope.report import pareto_set
from filterscope.report.comparison import Comparison, Side
from filterscope.report.pareto import SteadyAndRight
from filterscope.report.pareto_figure import pareto_figure
from filterscope.report.theme import LIGHT, render
from filterscope.runs import Run

NAN = math.nan


def side(label: str, *numbers: tuple[float | None, float], images: int = 20) -> Side:
    """Runs with the given location instability and accuracy, one a seed."""
    levels = {"centre_unit": 0.07, "fixed_unit": 0.1, "random_unit": 0.15}
    runs = []
    for seed, (instability, accuracy) in enumerate(numbers):
        metrics: dict[str, Any] = {"accuracy": accuracy, "mis": 0.1}
        if instability is not None:
            metrics["instability"] = instability
            metrics |= {f"instability_{name}": value for name, value in levels.items()}
        evaluation = {"settings": {"data": "x", "num_samples": images}, "metrics": metrics}
        runs.append(
            Run(
                path=Path(f"{label}-s{seed}"), config={"seed": seed}, model=nn.Identity(),
                classes=("a",), layer="", activation=None, transform=Transform(8), history=[],
                evaluation=evaluation, environment={},
            )
        )  # fmt: skip
    return Side(label, tuple(runs))


def found(*sides: Side) -> SteadyAndRight | None:
    return SteadyAndRight.of(Comparison(sides, ()))


def test_points_that_no_other_beats() -> None:
    assert pareto_set([(1, 3), (2, 2), (3, 1), (3, 3), (2, 3)]) == (0, 1, 2)
    assert pareto_set([(1, 1), (2, 2)]) == (0,)
    assert pareto_set([(5,), (3,), (4,)]) == (1,)


def test_equal_points_are_both_in_and_a_point_equal_in_one_is_beaten_in_the_other() -> None:
    assert pareto_set([(1, 2), (1, 2), (1, 3), (0, 9)]) == (0, 1, 3)


def test_points_with_nan_neither_count_nor_beat() -> None:
    assert pareto_set([(NAN, 0), (1, 1), (0, NAN)]) == (1,)
    assert pareto_set([(NAN, NAN)]) == ()


def test_one_point_and_none() -> None:
    assert pareto_set([(1, 2)]) == (0,)
    assert pareto_set([]) == ()


def test_points_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="`points` must have equally many coordinates"):
        pareto_set([(1, 2), (1,)])
    with pytest.raises(ValueError, match="at least one"):
        pareto_set([()])


def test_it_is_the_definition_on_random_points() -> None:
    draw = random.Random(0)
    for _ in range(50):
        points = [(draw.randrange(4), draw.randrange(4), draw.randrange(4)) for _ in range(8)]
        expected = []
        for i, mine in enumerate(points):
            beaten = False
            for other in points:
                nowhere_worse = all(other[c] <= mine[c] for c in range(3))
                beaten |= nowhere_worse and other != mine
            if not beaten:
                expected.append(i)
        assert list(pareto_set(points)) == expected


def test_sides_by_their_means_over_seeds() -> None:
    sides = found(
        side("standard", (0.14, 0.9), (0.16, 0.9)),
        side("steady", (0.08, 0.8), (0.10, 0.8)),
        side("beaten", (0.15, 0.7), (0.17, 0.9)),
    )
    assert sides is not None
    assert sides.labels == ["standard", "steady"]
    assert sides.points[0] == pytest.approx((0.15, 0.1))
    assert "left out" not in sides.legend


def test_sides_without_both_numbers_are_left_out_with_a_note() -> None:
    one, other = side("one", (0.1, 0.9)), side("other", (0.2, 0.8))
    sides = found(one, side("lost", (NAN, 0.99)), other, side("none", (None, 0.99)))
    assert sides is not None
    assert sides.labels == ["one"]
    assert sides.legend.endswith("left out, without both numbers: lost, none")
    table = Comparison((one, side("lost", (NAN, 0.99)), other), ()).console_table()
    assert "one *" in table
    assert "other *" not in table
    assert "\n* Pareto set" in table


def test_a_single_side_has_no_set_and_neither_have_other_test_data() -> None:
    one = side("one", (0.1, 0.9))
    assert found(one) is None
    assert found(one, side("none", (None, 0.9))) is None
    assert found(one, side("other", (0.2, 0.8), images=30)) is None
    assert "Pareto" not in Comparison((one,), ()).console_table()


def test_the_figure_joins_the_set_and_draws_the_chance_levels() -> None:
    sides = (side("a", (0.2, 0.9)), side("b", (0.1, 0.8)), side("c", (0.3, 0.7)))
    comparison, given = Comparison(sides, ()), found(*sides)
    assert given is not None
    figure = pareto_figure(comparison, given, LIGHT)
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert list(map(float, lines["Pareto set"].get_xdata())) == [0.1, 0.2]
    assert list(map(float, lines["Pareto set"].get_ydata())) == pytest.approx([20, 10])
    for name, value in (("middle", 0.07), ("fixed", 0.1), ("random", 0.15)):
        assert lines[f"chance: {name} unit"].get_xdata()[0] == pytest.approx(value)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "a (in the set)" in labels
    assert "c" in labels
    assert render(lambda theme: pareto_figure(comparison, given, theme), LIGHT)
