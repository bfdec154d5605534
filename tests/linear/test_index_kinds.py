"""Positions and labels as NumPy and PyTorch give them."""

import numpy as np
import pytest
import torch
from torch import nn

from filterscope.linear import LinearInterpreter, iterate_rows, pixel_discussion, pixel_votes


@pytest.fixture
def interpreter() -> LinearInterpreter:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    return LinearInterpreter(model, torch.rand(1, 1, 4, 4))


def test_positions(interpreter: LinearInterpreter) -> None:
    for index in (np.int64(2), torch.tensor(2)):
        assert torch.equal(interpreter.row(index), interpreter.row(2))
    column = interpreter.column((0, 1, 2))
    assert torch.equal(interpreter.column(np.unravel_index(6, (1, 4, 4))), column)
    for index in (2.0, True, torch.tensor(True), np.bool_(True), (0, 1.0, 2)):
        with pytest.raises(TypeError, match="`index` must be an integer or a tuple of integers"):
            interpreter.column(index)


def test_targets(interpreter: LinearInterpreter) -> None:
    best = int(interpreter.output.argmax())
    expected = interpreter.contributions(best)
    assert interpreter.contributions(np.int64(best)).layers == expected.layers
    for target in (interpreter.output.argmax(), interpreter.output.argmax(1)):
        (found,) = interpreter.contributions(target)
        assert (found.target, found.layers) == (best, expected.layers)
    (found,) = interpreter.filter_contributions(interpreter.output.argmax(), "1")
    assert found.target == best


def test_labels(interpreter: LinearInterpreter) -> None:
    expected = pixel_discussion(interpreter, [0, 2])
    assert torch.equal(pixel_discussion(interpreter, np.array([0, 2])), expected)
    for label in (np.int64(2), torch.tensor(2)):
        assert torch.equal(pixel_discussion(interpreter, label), expected[1])
    assert pixel_votes(interpreter, np.array([2, 0])).labels.tolist() == [0, 2]
    assert [labels for labels, _ in iterate_rows(interpreter, torch.tensor([2, 1]))] == [[2, 1]]
    for labels in ([0.0], [True], np.array([[0]]), 1.0):
        with pytest.raises(TypeError, match="must be integers"):
            pixel_discussion(interpreter, labels)
