"""Numbers about pictures on pictures made by hand, and against plain loops."""

import math

import pytest
import torch
from torch import nn

from filterscope.linear import (
    LinearInterpreter,
    energy_within,
    matching_position,
    participation_ratio,
    radial_frequency,
    residual_ratio,
)


def test_energy_within_by_hand() -> None:
    picture = torch.tensor([[1.0, 2.0, 0.0], [0.0, -3.0, 0.0], [0.0, 0.0, 4.0]])
    assert energy_within(picture, (1, 1), 0) == pytest.approx(9 / 30)
    assert energy_within(picture, (1, 1), 1) == pytest.approx(13 / 30)
    assert energy_within(picture, (1, 1), 2**0.5) == pytest.approx(1)
    assert energy_within(picture, (0.5, 0.5), 0.8) == pytest.approx(14 / 30)
    assert energy_within(picture, (-5, 9), 1) == 0
    assert energy_within(torch.stack([picture, 2 * picture]), (1, 1), 0) == pytest.approx(9 / 30)
    assert energy_within(1e-30 * picture, (1, 1), 0) == pytest.approx(9 / 30)


def test_a_pixel_whose_centre_lies_on_the_circle_is_within() -> None:
    picture = torch.tensor([[0.0], [1.0]])
    for tenths in range(10):
        place = tenths / 10
        assert energy_within(picture, (place, 0), 1 - place) == 1


def test_energy_within_equals_a_loop() -> None:
    picture = torch.randn(3, 9, 11, generator=torch.Generator().manual_seed(0))
    near = total = 0.0
    for channel in range(3):
        for row in range(9):
            for column in range(11):
                power = float(picture[channel, row, column]) ** 2
                total += power
                near += power if math.hypot(row - 3.5, column - 6) <= 2.5 else 0
    assert energy_within(picture, (3.5, 6), 2.5) == pytest.approx(near / total)


def test_matching_positions() -> None:
    assert matching_position((0, 0), (4, 4), (4, 4)) == (0, 0)
    assert matching_position((1, 2), (4, 4), (12, 12)) == (4, 7)
    assert matching_position((4, 7), (12, 12), (4, 4)) == (1, 2)


def test_participation_ratio_by_hand() -> None:
    assert participation_ratio(torch.ones(3, 4, 5)) == pytest.approx(60)
    assert participation_ratio(torch.eye(7)[3]) == pytest.approx(1)
    values = torch.tensor([1.0, -2.0, 3.0])
    assert participation_ratio(values) == pytest.approx(14**2 / (1 + 16 + 81))
    assert participation_ratio(1e-38 * values) == pytest.approx(2)


@pytest.mark.parametrize(("vertical", "horizontal"), [(0, 0), (3, 0), (0, 5), (2, 3), (8, 6)])
def test_radial_frequency_of_waves(vertical, horizontal) -> None:
    rows, columns = torch.arange(16)[:, None] / 16, torch.arange(12) / 12
    wave = torch.cos(2 * math.pi * (vertical * rows + horizontal * columns))
    expected = math.hypot(vertical / 16, horizontal / 12)
    assert radial_frequency(wave) == pytest.approx(expected, abs=1e-6)
    assert radial_frequency(wave[None].expand(3, 16, 12)) == pytest.approx(expected, abs=1e-6)


def test_radial_frequency_weighs_by_power() -> None:
    columns = torch.arange(16) / 16
    slow, fast = (torch.cos(2 * math.pi * k * columns).expand(16, 16) for k in (1, 4))
    expected = (1 * 1 / 16 + 4 * 4 / 16) / 5
    assert radial_frequency(torch.stack([slow, 2 * fast])) == pytest.approx(expected)


def test_zeros_have_no_shares() -> None:
    zeros = torch.zeros(2, 3, 3)
    for number in (energy_within(zeros, (1, 1), 1), participation_ratio(zeros),
                   radial_frequency(zeros)):  # fmt: skip
        assert math.isnan(number)


@pytest.mark.parametrize("bad", [torch.full((2, 2), torch.nan), torch.full((2, 2), torch.inf),
                                 torch.zeros(0, 2)])  # fmt: skip
def test_wrong_pictures(bad) -> None:
    for measure in (lambda p: energy_within(p, (0, 0), 1), participation_ratio, radial_frequency):
        with pytest.raises(ValueError, match="`picture`"):
            measure(bad)


def test_wrong_arguments() -> None:
    picture = torch.ones(2, 2)
    for shape in ((4,), (1, 1, 2, 2)):
        for measure in (lambda p: energy_within(p, (0, 0), 1), radial_frequency):
            with pytest.raises(ValueError, match="`picture` must be"):
                measure(torch.ones(shape))
    for radius in (-1, math.nan):
        with pytest.raises(ValueError, match="`radius`"):
            energy_within(picture, (0, 0), radius)
    for position in ((0,), (0, math.nan)):
        with pytest.raises(ValueError, match="`position`"):
            energy_within(picture, position, 1)


def test_residual_ratio() -> None:
    layer = nn.Conv2d(1, 1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    interpreter = LinearInterpreter(layer, torch.ones(1, 1, 4, 4))
    assert residual_ratio(interpreter) == pytest.approx(3 / 5)
    linear = LinearInterpreter(nn.Conv2d(1, 1, 1, bias=False), torch.ones(1, 1, 2, 2))
    assert residual_ratio(linear) == pytest.approx(0, abs=1e-6)
    nothing = LinearInterpreter(nn.ReLU(), -torch.ones(1, 1, 2, 2))
    assert math.isnan(residual_ratio(nothing))
    with pytest.raises(ValueError, match="2 images"):
        residual_ratio(LinearInterpreter(layer, torch.ones(2, 1, 4, 4)))
