"""The projection to the set of gates, and the bound of their density."""

import pytest
import torch

from filterscope.core.gate_matrix import checked_density_bound, projected_gate


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_columns_are_divided_by_their_largest_entry_and_dead_ones_repaired(
    dtype: torch.dtype,
) -> None:
    matrix = torch.tensor([[0.5, -3.0, -0.1, 0.0], [0.25, 2.0, -0.3, 0.0]], dtype=dtype)
    kept = matrix.clone()
    gate, repaired = projected_gate(matrix)
    assert gate.tolist() == [[1.0, 0.0, 1.0, 1.0], [0.5, 1.0, 0.0, 0.0]]
    assert gate.dtype == dtype
    assert repaired.tolist() == [False, False, True, True]
    assert torch.equal(matrix, kept)
    assert torch.equal(projected_gate(gate)[0], gate)


def test_bounds_lie_between_one_class_each_and_all() -> None:
    assert checked_density_bound(None, 4) == 0.25
    assert checked_density_bound(None, 100) == 0.1
    assert checked_density_bound(0.3, 4) == 0.3
    for bound in (0.2, 1.1, float("nan")):
        with pytest.raises(ValueError, match="`density_bound`"):
            checked_density_bound(bound, 4)
