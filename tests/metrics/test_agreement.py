"""Agreement of contributions with a gate: loops, scikit-learn, and all orders of the filters."""

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from filterscope.metrics.functional import gate_agreement


@pytest.fixture
def drawn() -> tuple[Tensor, Tensor]:
    """Contributions with ties, and a gate with entries between zero and one."""
    generator = torch.Generator().manual_seed(0)
    contributions = torch.randn(5, 12, generator=generator).mul(2).round() / 2
    gate = torch.rand(5, 12, generator=generator)
    return contributions, gate


def test_areas_are_those_of_a_loop_over_pairs_and_of_scikit_learn(drawn) -> None:
    contributions, gate = drawn
    found = gate_agreement(contributions, gate)
    for c in range(5):
        inside = contributions[c][gate[c] > 0.5].tolist()
        outside = contributions[c][gate[c] <= 0.5].tolist()
        wins = [(a > b) + (a == b) / 2 for a in inside for b in outside]
        assert float(found.class_auc[c]) == pytest.approx(np.mean(wins))
        by_sklearn = roc_auc_score(gate[c].numpy() > 0.5, contributions[c].numpy())
        assert float(found.class_auc[c]) == pytest.approx(by_sklearn)
    assert found.auc == pytest.approx(float(found.class_auc.mean()))
    assert (found.auc_chance, found.auc_undefined, found.threshold) == (0.5, 0, 0.5)


def test_cosines_and_shares_are_those_of_a_loop(drawn) -> None:
    contributions, gate = drawn
    found = gate_agreement(contributions, gate, threshold=0.3)
    opened_shares = []
    for c in range(5):
        inner = sum(a * b for a, b in zip(contributions[c].tolist(), gate[c].tolist(), strict=True))
        norms = float(contributions[c].double().norm() * gate[c].double().norm())
        assert float(found.class_cosine[c]) == pytest.approx(inner / norms)
        through = total = 0.0
        for value, entry in zip(contributions[c].tolist(), gate[c].tolist(), strict=True):
            total += max(value, 0)
            through += max(value, 0) * (entry > 0.3)
        assert float(found.class_positive_share[c]) == pytest.approx(through / total)
        opened_shares.append(float((gate[c] > 0.3).double().mean()))
    assert found.cosine == pytest.approx(float(found.class_cosine.mean()))
    assert found.positive_share == pytest.approx(float(found.class_positive_share.mean()))
    assert found.open_share == pytest.approx(np.mean(opened_shares))


def test_chance_is_the_mean_over_all_orders_of_the_filters() -> None:
    generator = torch.Generator().manual_seed(3)
    contributions = torch.randn(3, 5, generator=generator).double() + 0.5
    gate = (torch.rand(3, 5, generator=generator).double() > 0.4) * 0.9
    gate[0, 0], gate[0, 1] = 0.9, 0
    found = gate_agreement(contributions, gate)
    orders = [gate_agreement(contributions, gate[:, list(p)]) for p in permutations(range(5))]
    assert np.mean([o.auc for o in orders]) == pytest.approx(found.auc_chance)
    assert np.mean([o.cosine for o in orders]) == pytest.approx(found.cosine_chance)
    assert np.mean([o.positive_share for o in orders]) == pytest.approx(found.open_share)


def test_a_gate_that_names_the_filters_in_use_and_one_that_names_the_others() -> None:
    gate = torch.eye(4).repeat_interleave(2, 1)
    right = gate_agreement(3 * gate, gate)
    assert (right.auc, right.positive_share, right.open_share) == (1, 1, 0.25)
    assert right.cosine == pytest.approx(1)
    assert right.cosine_chance == pytest.approx(0.25)
    wrong = gate_agreement(1 - gate, gate)
    assert (wrong.auc, wrong.cosine, wrong.positive_share) == (0, 0, 0)
    against = gate_agreement(-gate, gate)
    assert against.cosine == pytest.approx(-1)
    assert against.positive_undefined == 4
    assert math.isnan(against.positive_share)
    assert math.isnan(against.open_share)


def test_sizes_do_not_change_areas_and_shares_of_a_class(drawn) -> None:
    contributions, gate = drawn
    scales = torch.tensor([1e-3, 1, 7, 1e4, 2])[:, None]
    found, scaled = (
        gate_agreement(contributions, gate),
        gate_agreement(contributions * scales, gate),
    )
    torch.testing.assert_close(found.class_auc, scaled.class_auc)
    torch.testing.assert_close(found.class_cosine, scaled.class_cosine)
    torch.testing.assert_close(found.class_positive_share, scaled.class_positive_share)


def test_classes_without_an_answer_are_counted_and_left_out() -> None:
    contributions = torch.tensor(
        [
            [2.0, 1.0, 0.0],  # all open
            [2.0, 1.0, 0.0],  # all closed
            [0.0, 0.0, 0.0],  # silent
            [-1.0, -2.0, -3.0],  # nothing positive
            [torch.nan] * 3,  # no images
            [3.0, 1.0, 2.0],
        ]
    )
    gate = torch.tensor([[1.0, 1, 0.6], [0, 0.0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0], [1.0, 1, 0]])
    found = gate_agreement(contributions, gate)
    assert found.class_auc.isnan().tolist() == [True, True, False, False, True, False]
    assert found.class_auc[[2, 3, 5]].tolist() == [0.5, 1, 0.5]
    assert found.auc == pytest.approx(2 / 3)
    assert found.class_cosine.isnan().tolist() == [False, True, True, False, True, False]
    assert found.class_positive_share.isnan().tolist() == [False, False, True, True, True, False]
    assert found.class_positive_share[[0, 1, 5]].tolist() == pytest.approx([1, 0, 4 / 6])
    assert found.open_share == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert (found.auc_undefined, found.cosine_undefined, found.positive_undefined) == (3, 3, 3)
    none = gate_agreement(torch.full((2, 3), torch.nan), gate[:2])
    assert (none.auc_undefined, none.cosine_undefined, none.positive_undefined) == (2, 2, 2)
    assert all(map(math.isnan, (none.auc, none.cosine, none.cosine_chance, none.positive_share)))


def test_inputs_are_not_changed_and_gradients_do_not_matter(drawn) -> None:
    contributions, gate = drawn
    before = contributions.clone()
    expected = gate_agreement(contributions, gate)
    found = gate_agreement(contributions.clone().requires_grad_(), torch.nn.Parameter(gate))
    assert found.auc == expected.auc
    assert not found.class_cosine.requires_grad
    assert torch.equal(contributions, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gate": torch.rand(5)}, r"`gate` must be \(C, K\), got \(5,\)"),
        ({"gate": torch.rand(0, 12)}, r"`gate` must be \(C, K\)"),
        ({"gate": torch.full((5, 12), torch.nan)}, "`gate` holds non-finite entries"),
        ({"gate": torch.rand(5, 11)}, r"`contributions` \(5, 12\) and `gate` \(5, 11\)"),
        ({"contributions": torch.rand(12)}, r"`contributions` \(12,\) and `gate` \(5, 12\)"),
        ({"contributions": torch.full((5, 12), torch.inf)}, "`contributions` holds non-finite"),
        (
            {"contributions": torch.rand(5, 12).index_fill(1, torch.tensor(3), torch.nan)},
            "non-finite entries in rows that are not all NaN",
        ),
    ],
)
def test_bad_input(drawn, change, message) -> None:
    arguments = dict(zip(("contributions", "gate"), drawn, strict=True)) | change
    with pytest.raises(ValueError, match=message):
        gate_agreement(**arguments)
