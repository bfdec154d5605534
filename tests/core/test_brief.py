"""Records print on a few lines, whatever they hold."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import filterscope as fs
from filterscope.core.brief import Brief, brief
from filterscope.data import load_dataset


@dataclass(repr=False)
class Record(Brief):
    value: Any
    hidden: Any = field(default=None, repr=False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.zeros(2, 3, dtype=torch.bfloat16), "bfloat16 (2, 3)"),
        (np.zeros((2, 3)), "float64 (2, 3)"),
        (torch.tensor([1 / 3, float("nan")]), "float32 [0.3333, nan]"),
        (torch.tensor([True, False]), "bool [True, False]"),
        (np.array(["cat", "dog"]), "<U3 ['cat', 'dog']"),
        (torch.tensor(2.5), "2.5"),
        (torch.zeros(0), "float32 []"),
        (torch.zeros(7), "float32 (7,)"),
        (nn.Parameter(torch.ones(4, 4)), "float32 (4, 4)"),
        (1 / 3, "0.3333333333333333"),
        (list(range(6)), "[0, 1, 2, 3, 4, 5]"),
        (tuple(range(7)), "(0, 1, 2, ...4 more)"),
        ({"a": torch.zeros(2, 2)}, "{'a': float32 (2, 2)}"),
        ({i: i for i in range(9)}, "{0: 0, 1: 1, 2: 2, ...6 more}"),
        (Path("runs/a"), "'runs/a'"),
        (nn.Sequential(nn.Linear(3, 4)), "Sequential(1 items)"),
        (Record(torch.zeros(1000)), "Record(...)"),
        ("x" * 100, "'" + "x" * 59 + "..."),
    ],
)
def test_values_are_told_in_a_line(value: Any, shown: str) -> None:
    assert brief(value) == shown


def test_short_records_take_one_line_and_long_ones_a_line_for_each_field() -> None:
    assert repr(Record(1, hidden=2)) == "Record(value=1)"
    assert repr(Record(dict.fromkeys(range(5), "word" * 5))).splitlines()[0::2] == ["Record(", ")"]


def test_results_and_data_print_on_a_screen() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 30)).eval()
    interpreter = fs.LinearInterpreter(model, torch.rand(1, 3, 8, 8))
    assert repr(interpreter) == "LinearInterpreter(Sequential, images (1, 3, 8, 8), output (1, 30))"
    dataset = load_dataset("digits")
    for thing in (interpreter.contributions(2), fs.pixel_votes(interpreter), dataset, dataset.test):
        lines = repr(thing).splitlines()
        assert lines[0].startswith(type(thing).__name__)
        assert len(lines) < 20 and max(map(len, lines)) < 120
