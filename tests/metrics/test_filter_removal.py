"""Removed filters against plain loops and scikit-learn."""

import math
from collections.abc import Callable

import pytest
import torch
from sklearn.metrics import confusion_matrix as reference_confusion
from sklearn.metrics import recall_score
from torch import nn

from filterscope.metrics.functional import (
    confusion_matrix,
    gate_filters,
    masked_confusion,
    removal_effect,
    strongest_filters,
)

GATE = torch.tensor([[1.0, 0.5, 0.51, 0.0], [0.2, 1.0, 1.0, 0.4], [0.0, 0.0, 0.0, 1.0]])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_gate_opens_filters_strictly_above_the_threshold() -> None:
    assert gate_filters(GATE, [0]).tolist() == [True, False, True, False]
    assert gate_filters(GATE, [0, 2]).tolist() == [True, False, True, True]
    assert gate_filters(GATE, [0], threshold=0.49).tolist() == [True, True, True, False]
    assert gate_filters(GATE, [2, 2], threshold=1.0).tolist() == [False] * 4


def test_the_gate_may_be_a_parameter() -> None:
    assert not gate_filters(nn.Parameter(GATE.clone()), [1]).requires_grad


@pytest.mark.parametrize(("share", "count"), [(0.1, 6), (0.001, 1), (1.0, 64), (0.5, 32)])
def test_the_strongest_filters_are_a_share_of_all_for_each_class(share: float, count: int) -> None:
    means = torch.rand(5, 64, generator=seeded())
    one = strongest_filters(means, [3], share)
    expected = sorted(range(64), key=lambda k: -float(means[3, k]))[:count]
    assert sorted(torch.nonzero(one).flatten().tolist()) == sorted(expected)
    both = strongest_filters(means, [3, 0], share)
    assert torch.equal(both, one | strongest_filters(means, [0], share))


def test_equal_filters_are_taken_in_order_and_absent_classes_only_where_asked() -> None:
    means = torch.tensor([[1.0, 1.0, 1.0, 0.0], [float("nan")] * 4])
    assert strongest_filters(means, [0], 0.5).tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match="asked class"):
        strongest_filters(means, [0, 1])


def test_confusion_counts_as_scikit_learn() -> None:
    labels, answers = torch.randint(0, 6, (2, 300), generator=seeded(1))
    expected = reference_confusion(labels, answers, labels=range(7))
    counts = confusion_matrix(answers, labels, 7)
    assert counts.dtype == torch.int64
    assert counts.tolist() == expected.tolist()
    assert confusion_matrix(answers[:0], labels[:0], 2).tolist() == [[0, 0], [0, 0]]


def network(num_filters: int = 8, num_classes: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    linear = nn.Linear(num_filters, num_classes)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


def test_removed_filters_reach_the_head_as_zeros() -> None:
    head = network()
    maps = torch.rand(90, 8, 3, 2, generator=seeded(2))
    labels = torch.randint(0, 4, (90,), generator=seeded(3))
    removed = torch.tensor([[False] * 8, [True, False] * 4, [True] * 8])
    counts = masked_confusion(maps, labels, head, removed, 4)
    assert counts.shape == (3, 4, 4)
    for row, found in zip(removed, counts, strict=True):
        expected = torch.zeros(4, 4, dtype=torch.int64)
        for image, label in zip(maps, labels, strict=True):
            image = image.clone()
            for k in range(8):
                if row[k]:
                    image[k] = 0
            expected[label, head(image[None]).argmax()] += 1
        assert torch.equal(found, expected)
        assert torch.equal(masked_confusion(maps, labels, head, row, 4), expected)
    pooled = masked_confusion(maps.mean((2, 3)), labels, head[2], removed, 4)
    assert torch.equal(pooled, counts), "pooling and removing commute"


def test_even_infinite_maps_are_removed_and_the_caller_keeps_its_own() -> None:
    features = torch.tensor([[1.0, float("inf")], [2.0, float("nan")]])
    kept = features.clone()
    removed = torch.tensor([False, True])
    counts = masked_confusion(features, torch.tensor([0, 0]), lambda x: x, removed, 2)
    assert counts.tolist() == [[2, 0], [0, 0]]
    assert torch.equal(features.nan_to_num(), kept.nan_to_num())
    with pytest.raises(ValueError, match="non-finite logits"):
        masked_confusion(features, torch.tensor([0, 0]), lambda x: x, ~removed, 2)


def test_the_head_is_asked_in_eval_mode_and_left_as_it_was() -> None:
    head = nn.Sequential(nn.Dropout(0.9), nn.Linear(3, 3)).train()
    features, labels = torch.rand(50, 3, generator=seeded()), torch.zeros(50, dtype=torch.long)
    removed = torch.zeros(3, dtype=torch.bool)
    first, again = (masked_confusion(features, labels, head, removed, 3) for _ in range(2))
    assert torch.equal(first, again)
    assert head.training
    assert head[0].training


def test_the_effect_follows_from_recalls_as_scikit_learn_counts_them() -> None:
    labels = torch.randint(0, 5, (400,), generator=seeded(4))
    answers = torch.where(torch.rand(400, generator=seeded(5)) < 0.8, labels, (labels + 1) % 5)
    after = torch.where((labels == 1) | (labels == 3), (labels + 2) % 5, answers)
    effect = removal_effect(
        confusion_matrix(answers, labels, 5), confusion_matrix(after, labels, 5), [3, 1, 1]
    )
    recalls = [recall_score(labels, a, average=None) for a in (answers, after)]
    assert effect.recall_before.numpy() == pytest.approx(recalls[0])
    assert effect.recall_after.numpy() == pytest.approx(recalls[1])
    assert effect.removed_classes == (1, 3)
    assert effect.removed_before == pytest.approx(recalls[0][[1, 3]].mean())
    assert effect.removed_after == 0
    assert effect.others_before == pytest.approx(recalls[0][[0, 2, 4]].mean())
    assert effect.others_drop == pytest.approx(0)
    assert effect.specificity == pytest.approx(effect.removed_drop - effect.others_drop)
    assert effect.empty_classes == 0


def test_empty_classes_are_left_out_and_counted() -> None:
    before = torch.tensor([[4, 0, 0], [0, 0, 0], [1, 0, 3]])
    after = torch.tensor([[2, 2, 0], [0, 0, 0], [0, 1, 3]])
    effect = removal_effect(before, after, [0, 1])
    assert effect.recall_before[1].isnan()
    assert (effect.removed_drop, effect.others_drop, effect.empty_classes) == (0.5, 0.0, 1)
    nothing_left = removal_effect(before, after, [0, 1, 2])
    assert math.isnan(nothing_left.others_drop)
    assert math.isnan(nothing_left.specificity)
    assert math.isnan(removal_effect(before, after, [1]).removed_before)


SQUARE = torch.eye(3, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: gate_filters(GATE[0], [0]), r"`gate` must be \(C, K\)"),
        (lambda: gate_filters(GATE / 0, [0]), "`gate` holds non-finite"),
        (lambda: gate_filters(GATE, []), "`classes` is empty"),
        (lambda: gate_filters(GATE, [3]), r"`classes` must lie in \[0, 2\], got \[3\]"),
        (lambda: gate_filters(GATE, [-1]), "`classes`"),
        (lambda: strongest_filters(GATE, [0], 0.0), "`share`"),
        (lambda: strongest_filters(GATE, [0], 1.1), "`share`"),
        (lambda: strongest_filters(GATE[0], [0]), "`mean_features`"),
        (lambda: confusion_matrix(torch.ones(2), torch.tensor([0, 1]), 2), "`predictions`.*int"),
        (lambda: confusion_matrix(torch.tensor([0]), torch.tensor([0, 1]), 2), "`predictions`"),
        (lambda: confusion_matrix(torch.tensor([0]), torch.tensor([2]), 2), r"`labels`.*2 to 2"),
        (lambda: confusion_matrix(torch.tensor(0), torch.tensor(0), 2), r"`labels` must be \(N,\)"),
        (lambda: removal_effect(SQUARE, SQUARE[:2], [0]), "`after`"),
        (lambda: removal_effect(SQUARE, SQUARE * 2, [0]), "same samples"),
        (lambda: removal_effect(SQUARE.float(), SQUARE, [0]), "`before` must hold counts"),
        (lambda: removal_effect(SQUARE, SQUARE, [3]), "`removed_classes`"),
    ],
)
def test_bad_input_is_named(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize(
    ("removed", "words"),
    [
        (torch.zeros(3), "`removed` must be bool"),
        (torch.zeros(2, dtype=torch.bool), r"`removed` must be \(3,\) or \(S, 3\)"),
        (torch.zeros(0, 3, dtype=torch.bool), "`removed`"),
        (torch.zeros(1, 1, 3, dtype=torch.bool), "`removed`"),
    ],
)
def test_bad_sets_of_filters_are_named(removed: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        masked_confusion(torch.ones(2, 3), torch.tensor([0, 1]), lambda x: x, removed, 3)


def test_bad_features_and_heads_are_named() -> None:
    labels, none = torch.tensor([0, 1]), torch.zeros(3, dtype=torch.bool)
    with pytest.raises(ValueError, match="`head` must give logits"):
        masked_confusion(torch.ones(2, 3), labels, lambda x: x, none, 4)
    with pytest.raises(ValueError, match="`features`"):
        masked_confusion(torch.ones(3), labels, lambda x: x, none, 3)
    with pytest.raises(ValueError, match="`labels`"):
        masked_confusion(torch.ones(2, 3), labels[:1], lambda x: x, none, 3)
