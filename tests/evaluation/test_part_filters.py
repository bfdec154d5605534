"""Which filters are shown beside the parts of the object, and why."""

import torch

from filterscope.evaluation.part_filters import CHOICES, chosen_filters

NAN = torch.nan


def test_the_steadiest_then_the_most_covering_then_typical_ones() -> None:
    instability = torch.tensor([9.0, 1.0, 5.0, 2.0, 8.0, 3.0, 6.0, 4.0, 7.0])
    covered = torch.tensor([0.1, 0.9, 0.2, 0.0, 0.8, 0.0, 0.0, 0.0, 0.7])
    filters, choices = chosen_filters(instability, covered)
    # 1 covers most, but is there already; the median is 5
    assert filters.tolist() == [1, 3, 5, 4, 8, 2, 6, 7]
    assert [CHOICES[c] for c in choices.tolist()] == [
        *["steadiest"] * 3, *["covering"] * 2, *["typical"] * 3,
    ]  # fmt: skip


def test_dead_filters_are_never_picked_and_few_filters_are_all_picked_once() -> None:
    filters, choices = chosen_filters(torch.tensor([NAN, 0.2, 0.1]), torch.tensor([0.9, 0.1, 0.2]))
    assert filters.tolist() == [2, 1]
    assert choices.tolist() == [0, 0]
    filters, choices = chosen_filters(torch.tensor([NAN, NAN]), torch.tensor([0.9, 0.1]))
    assert not len(filters)
    assert not len(choices)


def test_without_part_interpretability_there_are_no_covering_ones() -> None:
    filters, choices = chosen_filters(torch.arange(9.0), torch.full((9,), NAN))
    assert choices.tolist() == [0, 0, 0, 2, 2, 2]
    assert len(set(filters.tolist())) == 6


def test_ties_go_to_the_first() -> None:
    filters, _ = chosen_filters(torch.zeros(9), torch.zeros(9))
    assert filters.tolist() == list(range(8))
