"""The residual's share: the five formulas by hand, and their bounds."""

import math

import pytest
import torch
from torch import nn

from filterscope.linear import Contributions, LinearInterpreter, residual_shares


def made(image: float, *kappas: float, total: float | None = None) -> Contributions:
    layers = [(f"layer{k}", value) for k, value in enumerate(kappas)]
    total = image + sum(kappas) if total is None else total
    return Contributions(0, image, layers, total, torch.ones(1), [])


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (made(1, 4, -1), (3 / 4, 3 / 4, 3 / 4, 5 / 6, 3 / 4)),
        (made(-1, 4, -1), (3 / 4, 3 / 2, 3 / 2, 5 / 6, 1 / 2)),
        (made(-3, 1), (1 / 4, -1 / 2, 1 / 2, 1 / 4, -1 / 2)),
        (made(3, -1, -1), (2 / 5, -2, 2, 2 / 5, -2)),
        (made(2), (0, 0, 0, 0, 0)),
        (made(0, 5), (1, 1, 1, 1, 1)),
        (made(2, 1, -1), (0, 0, 0, 1 / 2, 0)),
    ],
)
def test_the_five_readings(parts, expected) -> None:
    found = residual_shares(parts)
    assert (found.r1, found.r2, found.r3, found.r4, found.r5) == pytest.approx(expected)


def test_shares_without_a_whole_are_undefined() -> None:
    cancelled = residual_shares(made(2, -2))
    assert (cancelled.r1, cancelled.r4) == (0.5, 0.5)
    assert all(map(math.isnan, (cancelled.r2, cancelled.r3, cancelled.r5)))
    for closed in (made(0), made(0, 0, 0), made(-0.0, 0)):
        found = residual_shares(closed)
        assert all(map(math.isnan, (found.r1, found.r2, found.r3, found.r4, found.r5)))


@pytest.mark.parametrize(
    "parts", [made(math.nan, 1), made(1, math.inf), made(1, 1, total=math.nan)]
)
def test_parts_that_are_no_numbers_are_refused(parts) -> None:
    with pytest.raises(ValueError, match="`parts` holds contributions that are not finite"):
        residual_shares(parts)


def test_of_a_network(randomised, random_image) -> None:
    model = randomised(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)))
    interpreter = LinearInterpreter(model, random_image(1, 2, 6, 6))
    output, residual = float(interpreter.output[0, 1]), float(interpreter.residual[0, 1])
    image = output - residual
    by_layer = residual_shares(interpreter.contributions(1))
    assert by_layer.r1 == pytest.approx(abs(residual) / (abs(residual) + abs(image)))
    assert by_layer.r2 == pytest.approx(residual / output)
    assert by_layer.r3 == pytest.approx(abs(residual / output))
    assert by_layer.r5 == pytest.approx(1 - abs(image / output))
    at_once = residual_shares(interpreter.contributions(1, by=lambda _: "all"))
    assert at_once.r4 == pytest.approx(by_layer.r1)
    assert by_layer.r4 >= at_once.r4 - 1e-12  # splitting can only add absolute parts


def test_an_output_below_a_closed_unit_has_no_share(randomised, random_image) -> None:
    model = randomised(nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.ReLU()))
    interpreter = LinearInterpreter(model, random_image(1, 2, 3, 3))
    closed = int((interpreter.output[0] == 0).nonzero()[0])
    found = residual_shares(interpreter.contributions(closed))
    assert all(map(math.isnan, (found.r1, found.r2, found.r3, found.r4, found.r5)))
