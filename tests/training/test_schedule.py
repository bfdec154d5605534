"""Epoch phases and learning rates against the specification."""

import math

import pytest

from filterscope.training import TrainSettings
from filterscope.training.presets import PRESETS, preset
from filterscope.training.schedule import (
    gate_learning_rate,
    gated_epoch_count,
    learning_rate_factor,
    phase_of,
)


def test_the_official_schedule_has_47_gated_epochs():
    settings = TrainSettings(method="gated", warmup=10, period=3, gated_epochs=1, epochs=150)
    gated = [e for e in range(150) if phase_of(e, settings) == "gated"]
    assert gated == list(range(11, 150, 3))
    assert len(gated) == 47 == gated_epoch_count(settings)
    assert gated[-1] == 149


def test_two_in_three_joint_and_standard():
    two = TrainSettings(method="gated", warmup=6, period=3, gated_epochs=2)
    assert [phase_of(e, two) for e in range(5, 9)] == ["standard", "standard", "gated", "gated"]
    joint = TrainSettings(method="gated", scheme="joint", warmup=2)
    assert [phase_of(e, joint) for e in range(4)] == ["standard"] * 2 + ["joint"] * 2
    assert {phase_of(e, TrainSettings()) for e in range(30)} == {"standard"}


def test_multistep_drops_at_milestones_of_the_global_clock():
    settings = TrainSettings(schedule="multistep", epochs=100)
    factors = [learning_rate_factor(e, 0.5, settings) for e in range(100)]
    assert [e for e in range(1, 100) if factors[e] != factors[e - 1]] == [40, 60, 80]
    assert factors[-1] == pytest.approx(1e-3)


def test_own_clock_reproduces_the_official_drops():
    """Method page, A5: the standard rate drops at its 60th and 90th own epoch, the gated never."""
    settings = TrainSettings(
        method="gated", warmup=10, epochs=150, schedule="multistep", clock="own"
    )
    by_phase = {"standard": [], "gated": []}
    for epoch in range(150):
        by_phase[phase_of(epoch, settings)].append(learning_rate_factor(epoch, 0.0, settings))
    standard = by_phase["standard"]
    assert [i for i in range(1, 103) if standard[i] != standard[i - 1]] == [60, 90]
    assert set(by_phase["gated"]) == {1.0}


def test_cosine_falls_from_one_to_zero_and_may_rise_first():
    settings = TrainSettings(epochs=10)
    assert learning_rate_factor(0, 0, settings) == 1
    assert learning_rate_factor(9, 0.999, settings) < 1e-3
    middle = learning_rate_factor(2, 0.5, settings)
    assert middle == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))
    rising = TrainSettings(epochs=10, warmup_lr_epochs=2)
    assert 0 < learning_rate_factor(0, 0, rising) < learning_rate_factor(1, 0.5, rising) < 1
    assert learning_rate_factor(2, 0, rising) == 1


def test_gate_rate_follows_the_number_of_gated_steps():
    def rate(steps):
        settings = TrainSettings(method="gated", warmup=0, period=1, epochs=1)
        return gate_learning_rate(settings, steps)

    assert rate(300) == pytest.approx(0.1)
    assert rate(3000) == pytest.approx(0.01)
    assert rate(30000) == pytest.approx(0.001)
    assert rate(10) == 0.1
    assert rate(10**6) == 0.001
    assert gate_learning_rate(TrainSettings(gate_lr=0.5), 10) == 0.5


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("method", ["standard", "gated"])
def test_presets_are_settings(name, method):
    settings = TrainSettings(**preset(name, method))
    assert settings.method == method
    assert TrainSettings.from_dict(settings.to_dict()) == settings


def test_the_official_baseline_trains_one_stage_more():
    assert "layer2" not in preset("csg-voc-official", "standard")["freeze"]
    assert "layer2" in preset("csg-voc-official")["freeze"]
    assert preset("csg-voc-paper", "standard")["freeze"] == preset("csg-voc-paper")["freeze"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"lr": 0.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"gate_lr": -1.0}, "gate_lr"),
        ({"lambda2": float("nan")}, "lambda2"),
        ({"period": 2, "gated_epochs": 3}, "gated_epochs"),
        ({"batch_size": 10, "devices": 3}, "batch_size"),
        ({"test_fraction": 1.0}, "test_fraction"),
        ({"lr": float("inf")}, "`lr` must be finite"),
        ({"filter_weight": 1e300}, "`filter_weight` must be finite"),
        ({"milestones": (30.0, 60.0)}, "`milestones` must be shares of the epochs"),
        ({"milestones": (float("nan"),)}, "`milestones` must be shares of the epochs"),
        ({"seed": 2**63}, "`seed` must lie in"),
        ({"data_seed": -(2**63)}, "`data_seed` must lie in"),
    ],
)
def test_bad_settings_are_named(values, words):
    with pytest.raises(ValueError, match=words):
        TrainSettings(**values)


def test_unknown_settings_and_presets_are_refused():
    with pytest.raises(ValueError, match="lrr"):
        TrainSettings.from_dict({"lrr": 1})
    with pytest.raises(ValueError, match="near: csg-digits"):
        preset("csg-digit")
