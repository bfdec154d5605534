"""Gates fitted to frozen networks against finite differences and brute force."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional as F

from filterscope.metrics import FilterClassEntanglement
from filterscope.metrics.functional import entanglement, filter_class_entanglement
from filterscope.metrics.functional.entanglement import gate_gradient


def network(
    num_samples: int = 60, num_classes: int = 3, num_filters: int = 5, seed: int = 0
) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "features": torch.rand(num_samples, num_filters, generator=generator),
        "labels": torch.randint(0, num_classes, (num_samples,), generator=generator),
        "weight": torch.randn(num_classes, num_filters, generator=generator),
        "bias": torch.randn(num_classes, generator=generator),
    }


def loss(net: dict[str, torch.Tensor], gate: torch.Tensor) -> torch.Tensor:
    gated = net["features"].double() * gate[net["labels"]]
    logits = gated @ net["weight"].double().T + net["bias"].double()
    return F.cross_entropy(logits, net["labels"])


def specific(detectors: int = 2, leak: float = 0.0) -> dict[str, torch.Tensor]:
    """Each filter fires for one class, with a share `leak` of its strength for all others."""
    labels = torch.arange(60) % 3
    own = torch.eye(3).repeat_interleave(detectors, dim=1)
    noise = 0.1 * torch.rand(60, 3 * detectors, generator=torch.Generator().manual_seed(1))
    features = 2 * (own[labels] + leak * (1 - own[labels])) + noise
    return {"features": features, "labels": labels, "weight": 2 * own - 0.5, "bias": torch.zeros(3)}


def test_the_gradient_is_that_of_finite_differences() -> None:
    net = network()
    order = net["labels"].argsort(stable=True)
    net = {**net, "features": net["features"][order], "labels": net["labels"][order]}
    gate = torch.rand(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parts = {name: t if name == "labels" else t.double() for name, t in net.items()}
    found = gate_gradient(**parts, gate=gate)
    for c, k in itertools.product(range(3), range(5)):
        step = torch.zeros_like(gate)
        step[c, k] = 1e-6
        slope = float(loss(net, gate + step) - loss(net, gate - step)) / 2e-6
        assert float(found[c, k]) == pytest.approx(slope, abs=1e-8)


def test_absent_classes_have_no_gradient() -> None:
    net = network()
    parts = {name: t if name == "labels" else t.double() for name, t in net.items()}
    parts["labels"] = torch.ones(60, dtype=torch.long)
    gradient = gate_gradient(**parts, gate=torch.ones(3, 5, dtype=torch.float64))
    assert gradient[[0, 2]].abs().sum() == 0
    assert gradient[1].abs().sum() > 0


@pytest.mark.parametrize("density_bound", [None, 0.5, 1.0])
def test_the_numbers_are_those_of_the_returned_gate(density_bound: float | None) -> None:
    net = network()
    fit = filter_class_entanglement(**net, density_bound=density_bound, penalty_weight=0.05)
    bound = 1 / 3 if density_bound is None else density_bound
    assert fit.gate.min() >= 0
    assert fit.gate.amax(dim=0).tolist() == [1.0] * 5
    assert fit.phi == pytest.approx(float(loss(net, fit.gate)))
    assert fit.standard_loss == pytest.approx(float(loss(net, torch.ones_like(fit.gate))))
    assert fit.gap == pytest.approx(fit.phi - fit.standard_loss)
    assert fit.gap_0 == pytest.approx(fit.phi_0 - fit.standard_loss)
    assert fit.density == pytest.approx(float(fit.gate.mean()))
    assert fit.density_bound == pytest.approx(bound)
    assert fit.penalty == pytest.approx(0.05 * max(0, float(fit.gate.sum()) - bound * 15))
    assert fit.num_samples == 60


def test_more_steps_bring_the_objective_down() -> None:
    net = network(num_filters=12)
    objectives = []
    for steps in (1, 20, 500):
        fit = filter_class_entanglement(**net, steps=steps, penalty_weight=0.05)
        objectives.append(fit.phi + fit.penalty)
    assert objectives[0] > objectives[1] > objectives[2]


@pytest.mark.parametrize("seed", range(4))
def test_without_pressure_phi_lies_between_the_convex_minimum_and_the_standard_loss(
    seed: int,
) -> None:
    net = network(seed=seed)
    fit = filter_class_entanglement(**net, density_bound=1.0)

    def objective(entries: np.ndarray) -> tuple[float, np.ndarray]:
        gate = torch.from_numpy(entries.reshape(3, 5)).requires_grad_()
        value = loss(net, gate)
        value.backward()
        return value.item(), gate.grad.flatten().numpy()

    # the loss is convex in the gate; the box leaves out that every column holds a one
    least = minimize(objective, np.ones(15), jac=True, bounds=[(0, 1)] * 15).fun
    assert least - 1e-6 <= fit.phi < fit.standard_loss
    # dividing whole columns is no Euclidean projection, so the minimum is not met exactly
    assert fit.phi - least < 0.4 * (fit.standard_loss - least)


@pytest.mark.parametrize("seed", range(4))
def test_phi_0_is_close_to_the_best_one_hot_gate(seed: int) -> None:
    net = network(seed=seed)
    one_hot = [
        float(loss(net, F.one_hot(torch.tensor(owners), 3).T.double()))
        for owners in itertools.product(range(3), repeat=5)
    ]
    fit = filter_class_entanglement(**net)
    assert fit.phi_0 >= min(one_hot) - 1e-9
    assert fit.phi_0 in [pytest.approx(value) for value in one_hot]
    assert fit.phi_0 <= sorted(one_hot)[12], "among the best twentieth of all 243"


def test_filters_of_one_class_are_given_to_it() -> None:
    net = specific()
    fit = filter_class_entanglement(**net)
    own = torch.eye(3).repeat_interleave(2, dim=1).double()
    torch.testing.assert_close(fit.gate, own, atol=0.02, rtol=0)
    assert fit.phi_0 == pytest.approx(float(loss(net, own)))
    assert fit.phi_0 < fit.standard_loss
    assert fit.phi < fit.chance / 5


def test_entangled_filters_cost_more() -> None:
    shared = {**specific(), "weight": torch.randn(3, 6, generator=torch.Generator().manual_seed(3))}
    assert filter_class_entanglement(**specific()).phi < filter_class_entanglement(**shared).phi
    leaking = filter_class_entanglement(**specific(leak=0.9))
    assert filter_class_entanglement(**specific()).gap_0 > leaking.gap_0, "the gate cuts the leak"


def test_equal_columns_are_broken_by_the_evidence() -> None:
    net = specific()
    # one tiny step leaves every entry near one; without any slope the gate stays at one
    flat = {**net, "weight": torch.zeros(3, 6)}
    fit = filter_class_entanglement(**flat, density_bound=1.0)
    assert torch.equal(fit.gate, torch.ones(3, 6, dtype=torch.float64))
    assert fit.gap == fit.gap_0 == 0


def test_the_order_of_the_samples_and_the_global_generator_change_nothing() -> None:
    net = network()
    torch.manual_seed(1)
    first = filter_class_entanglement(**net, steps=50)
    torch.manual_seed(2)
    assert torch.equal(filter_class_entanglement(**net, steps=50).gate, first.gate)
    turned = torch.randperm(60)
    moved = {**net, "features": net["features"][turned], "labels": net["labels"][turned]}
    torch.testing.assert_close(filter_class_entanglement(**moved, steps=50).gate, first.gate)


def test_many_samples_are_seen_in_seeded_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = filter_class_entanglement(**specific())
    monkeypatch.setattr(entanglement, "_BATCH", 20)
    parts = filter_class_entanglement(**specific())
    again = filter_class_entanglement(**specific())
    other = filter_class_entanglement(**network(), random_state=0, steps=9)
    reseeded = filter_class_entanglement(**network(), random_state=1, steps=9)
    assert torch.equal(parts.gate, again.gate)
    assert not torch.equal(other.gate, reseeded.gate)
    assert parts.phi == pytest.approx(whole.phi, abs=0.02)


def test_classes_without_samples_and_dead_filters_are_taken() -> None:
    net = network(num_classes=4)
    net["labels"] = net["labels"].clamp(max=2)
    net["features"][:, 1] = 0
    fit = filter_class_entanglement(**net)
    assert torch.isfinite(fit.gate).all()
    assert fit.phi == pytest.approx(float(loss(net, fit.gate)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": torch.ones(60)}, "`features`"),
        ({"features": torch.full((60, 5), float("nan"))}, "`features` holds non-finite"),
        ({"features": torch.ones(60, 4)}, r"`weight` must be \(C, 4\)"),
        ({"labels": torch.zeros(59, dtype=torch.long)}, "`labels`"),
        ({"labels": torch.zeros(60)}, "`labels` must be integers"),
        ({"labels": torch.full((60,), 3)}, r"`labels` must lie in \[0, 2\]"),
        ({"weight": torch.full((3, 5), float("inf"))}, "`weight` holds non-finite"),
        ({"bias": torch.zeros(2)}, "`bias`"),
        ({"bias": torch.zeros(3) / 0}, "`bias` must be finite"),
        ({"num_classes": 4}, "`num_classes` is 4"),
        ({"density_bound": 0.2}, "`density_bound`"),
        ({"penalty_weight": -1.0}, "`penalty_weight`"),
        ({"steps": 0}, "`steps`"),
        ({"lr": 0.0}, "`lr`"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], words: str) -> None:
    call: Callable[..., object] = filter_class_entanglement
    with pytest.raises(ValueError, match=words):
        call(**{**network(), **change})


def test_a_head_without_a_bias_has_one_of_zeros() -> None:
    features = torch.rand(12, 5, generator=torch.Generator().manual_seed(0))
    labels, weight = torch.arange(12) % 3, torch.eye(5)[:3]
    without = filter_class_entanglement(features, labels, weight, None, steps=20)
    expected = filter_class_entanglement(features, labels, weight, torch.zeros(3), steps=20)
    assert (without.phi, without.phi_0) == (expected.phi, expected.phi_0)
    metric = FilterClassEntanglement(weight, None, steps=20)
    metric.update(features, labels, torch.arange(12))
    assert metric.compute()["phi"] == expected.phi
