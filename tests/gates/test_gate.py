"""The gate, its penalty and its projection against the specification."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn

from filterscope.gates import ClassGate, fixed_gate, gate_penalty

matrices = hnp.arrays(
    np.float32,
    st.tuples(st.integers(2, 7), st.integers(1, 9)),
    elements=st.floats(-3, 3, width=32) | st.sampled_from([0.0, 1.0, -0.0, 1e-30]),
)


def gate_with(matrix) -> ClassGate:
    matrix = torch.as_tensor(matrix, dtype=torch.float32)
    gate = ClassGate(*matrix.shape)
    with torch.no_grad():
        gate.matrix.copy_(matrix)
    return gate


@settings(max_examples=200, deadline=None)
@given(matrices)
def test_projection_gives_feasible_matrices_and_keeps_each_columns_class(matrix):
    gate = gate_with(matrix)
    repaired = gate.project_()
    result = gate.matrix.detach()
    assert ((result >= 0) & (result <= 1)).all()
    assert (result.amax(0) == 1).all()
    top = torch.as_tensor(matrix).argmax(0)
    assert (result.gather(0, top[None]) == 1).all()
    assert repaired == int((torch.as_tensor(matrix).amax(0) <= 1e-6).sum())
    once = result.clone()
    assert gate.project_() == 0
    assert torch.equal(gate.matrix, once), "the projection is idempotent"
    assert 1 / gate.num_classes - 1e-6 <= gate.l1_density() <= 1


def test_projection_divides_by_the_signed_maximum_then_clamps():
    gate = gate_with([[0.2, -0.9], [0.4, 0.3], [-1.0, 0.15]])
    gate.project_()
    expected = torch.tensor([[0.5, 0.0], [1.0, 1.0], [0.0, 0.5]])
    torch.testing.assert_close(gate.matrix.detach(), expected)


def test_columns_without_a_positive_entry_become_one_hot_at_the_first_largest():
    gate = gate_with([[0.0, -0.1, 1.0], [0.0, -0.3, 0.5]])
    assert gate.project_() == 2
    assert gate.matrix.tolist() == [[1.0, 1.0, 1.0], [0.0, 0.0, 0.5]]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_projection_of_non_finite_entries_raises(bad):
    gate = gate_with([[1.0, bad], [0.5, 1.0]])
    with pytest.raises(ValueError, match="non-finite"):
        gate.project_()


def test_projection_keeps_the_parameter_object():
    gate = ClassGate(3, 4)
    before = gate.matrix
    gate.project_()
    assert gate.matrix is before


def closed_form_gradient(features, labels, matrix, weight, bias, lambda2, bound):
    """Section A3 of the method page, as plain loops: GAP + linear head, mean cross entropy."""
    n, k = features.shape
    gradient = torch.zeros_like(matrix)
    for i in range(n):
        c = int(labels[i])
        logits = weight @ (features[i] * matrix[c]) + bias
        p = torch.softmax(logits, 0)
        p[c] -= 1
        for f in range(k):
            gradient[c, f] += features[i, f] * (p * weight[:, f]).sum() / n
    if matrix.abs().sum() > bound:
        gradient += lambda2 * torch.sign(matrix)
    return gradient


@pytest.mark.parametrize("density_bound", [0.3, 1.0])
def test_gate_gradient_equals_the_closed_form(density_bound):
    torch.manual_seed(0)
    features = torch.rand(6, 8, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 3, 0, 3])  # classes 2 and 4 are absent
    head = nn.Linear(8, 5).double()
    gate = ClassGate(5, 8, density_bound=density_bound).double()
    with torch.no_grad():
        gate.matrix.copy_(torch.rand(5, 8).clamp_min(0.05))
    loss = nn.functional.cross_entropy(head(gate(features, labels)), labels)
    (loss + 0.01 * gate_penalty(gate).double()).backward()
    expected = closed_form_gradient(
        features, labels, gate.matrix.detach(), head.weight.detach(), head.bias.detach(),
        0.01, gate.l1_bound,
    )  # fmt: skip
    torch.testing.assert_close(gate.matrix.grad, expected)
    absent = gate.matrix.grad[[2, 4]]
    assert torch.equal(absent, torch.full_like(absent, 0.01 if density_bound < 1 else 0.0))


def test_gating_a_map_equals_gating_its_average():
    torch.manual_seed(1)
    maps, labels = torch.rand(4, 6, 5, 5), torch.tensor([2, 0, 1, 2])
    gate = gate_with(torch.rand(3, 6))
    by_map = gate(maps, labels).mean((2, 3))
    torch.testing.assert_close(by_map, gate(maps.mean((2, 3)), labels))
    for i, c in enumerate(labels):
        torch.testing.assert_close(gate(maps, labels)[i], maps[i] * gate.matrix[c][:, None, None])


@pytest.mark.parametrize(
    ("kind", "of_excess"),
    [
        ("l1", lambda e: e),
        ("l2", lambda e: e * e),
        ("smooth_l1", lambda e: e * e / 2 if e < 1 else e - 0.5),
    ],
)
@pytest.mark.parametrize("excess", [-2.0, 0.0, 0.4, 3.0])
def test_penalty_is_psi_of_the_excess(kind, of_excess, excess):
    gate = ClassGate(4, 5, density_bound=0.5)  # g = 10
    with torch.no_grad():
        gate.matrix.fill_((10 + excess) / 20)
    expected = of_excess(max(0.0, excess))
    assert gate_penalty(gate, kind).item() == pytest.approx(expected, abs=1e-5)


def test_penalty_is_float32_under_autocast():
    gate = ClassGate(3, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert gate_penalty(gate).dtype == torch.float32


def test_strong_pressure_drives_the_density_to_its_lower_end():
    torch.manual_seed(0)
    gate = ClassGate(5, 12, density_bound=0.2)
    head = nn.Linear(12, 5)
    optimizer = torch.optim.Adam([gate.matrix], lr=0.05)
    features, labels = torch.rand(50, 12), torch.arange(50) % 5
    for _ in range(700):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(head(gate(features, labels)), labels)
        (loss + 1.0 * gate_penalty(gate)).backward()
        optimizer.step()
        gate.project_()
        assert 0.2 - 1e-6 <= gate.l1_density() <= 1
    assert gate.l1_density() == pytest.approx(0.2, abs=1e-3)


@pytest.mark.parametrize(("exclusive", "shared", "filters"), [(6, 4, 64), (25, 6, 256)])
def test_fixed_gates_of_the_paper(exclusive, shared, filters):
    matrix = fixed_gate(10, exclusive, shared)
    assert matrix.shape == (10, filters)
    sums = matrix.sum(0)
    assert set(sums.tolist()) == {1.0, 10.0}
    assert (sums == 10).sum() == shared
    for c in range(10):
        own = (matrix[c] == 1) & (sums == 1)
        assert own.nonzero().flatten().tolist() == list(range(c * exclusive, (c + 1) * exclusive))
    gate = ClassGate.fixed(matrix)
    assert not gate.learnable
    assert gate_penalty(gate).item() == 0
    assert gate.l1_density() == pytest.approx((10 * exclusive + 10 * shared) / (10 * filters))


def test_fixed_gates_may_be_small_and_of_one_kind_alone():
    assert fixed_gate(2, 1, 1).tolist() == [[1, 0, 1], [0, 1, 1]]
    assert fixed_gate(1, 0, 1).tolist() == [[1]]
    assert fixed_gate(2, 1, 0).tolist() == [[1, 0], [0, 1]]


def test_the_printout_tells_a_fixed_gate_from_a_learned_one():
    learned = repr(ClassGate(4, 5, density_bound=0.5))
    assert learned == "ClassGate(num_classes=4, num_filters=5, density_bound=0.5)"
    assert (
        repr(ClassGate.fixed(torch.ones(4, 5))) == "ClassGate(num_classes=4, num_filters=5, fixed)"
    )


def test_default_bound_is_a_tenth_or_one_class_each():
    assert ClassGate(6, 5).density_bound == pytest.approx(1 / 6)
    assert ClassGate(100, 5).density_bound == 0.1
    assert ClassGate(3, 4, density_bound=0.33333333333).l1_bound == 4


def test_low_precision_features_keep_their_type_and_the_gate_its_own():
    gate = ClassGate(3, 4)
    out = gate(torch.ones(2, 4, 2, 2, dtype=torch.bfloat16), torch.tensor([0, 1]))
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert gate.matrix.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: ClassGate(0, 3), ValueError, "num_classes"),
        (lambda: ClassGate(4, 3, density_bound=0.2), ValueError, "density_bound"),
        (lambda: ClassGate(4, 3, density_bound=1.2), ValueError, "density_bound"),
        (lambda: ClassGate(4, 3)(torch.ones(2, 5), torch.zeros(2).long()), ValueError, "features"),
        (lambda: ClassGate(4, 3)(torch.ones(2, 3), torch.zeros(2)), TypeError, "labels"),
        (lambda: ClassGate(4, 3)(torch.ones(2, 3), torch.zeros(3).long()), ValueError, "labels"),
        (lambda: ClassGate(4, 3)(torch.ones(2, 3), torch.tensor([0, 4])), ValueError, "labels"),
        (lambda: ClassGate(4, 3)(torch.ones(2, 3), torch.tensor([0, -1])), ValueError, "labels"),
        (lambda: ClassGate.fixed(torch.tensor([[0.5], [0.2]])), ValueError, "column"),
        (lambda: ClassGate.fixed(torch.tensor([[2.0], [1.0]])), ValueError, r"entries in \[0, 1\]"),
        (lambda: ClassGate.fixed(torch.ones(2, 3, 1)), ValueError, r"must be \(C, K\)"),
        (lambda: fixed_gate(0, 1, 1), ValueError, "num_classes"),
        (lambda: fixed_gate(3, -1, 2), ValueError, "exclusive"),
        (lambda: fixed_gate(3, 2, -1), ValueError, "shared"),
        (lambda: fixed_gate(3, 0, 0), ValueError, "not both"),
        (lambda: gate_penalty(ClassGate(2, 2), "l3"), ValueError, "kind"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0,), (5,)])
def test_a_fixed_gate_without_entries_is_refused(shape):
    with pytest.raises(ValueError, match=r"`matrix` must be \(C, K\), got shape"):
        ClassGate.fixed(torch.ones(shape))
