"""All rows of F in chunks."""

import pytest
import torch
from torch import nn

from filterscope.linear import LinearInterpreter, iterate_rows


@pytest.fixture
def interpreter(randomised, random_image):
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 30)
    )
    return LinearInterpreter(randomised(model).eval(), random_image(1, 2, 6, 5))


@pytest.mark.parametrize("budget", [0, 2**30])
@pytest.mark.parametrize("chunk", [1, 7, 30, 64])
def test_rows_equal_single_ones(budget, chunk, interpreter, relative) -> None:
    found = list(iterate_rows(interpreter, chunk=chunk, budget=budget))
    assert [label for labels, _ in found for label in labels] == list(range(30))
    assert all(len(labels) == len(rows) <= chunk for labels, rows in found)
    expected = torch.stack([interpreter.row(label) for label in range(30)])
    assert relative(torch.cat([rows for _, rows in found]), expected) < 1e-12


def test_labels_in_their_order(interpreter) -> None:
    found = list(iterate_rows(interpreter, [5, 2, 5], chunk=2))
    assert [labels for labels, _ in found] == [[5, 2], [5]]
    assert torch.equal(found[1][1][0], interpreter.row(5))
    assert not found[0][1].requires_grad


def test_rows_give_the_scores(interpreter) -> None:
    image = interpreter.images
    total = torch.cat([(rows * image).sum((1, 2, 3)) for _, rows in iterate_rows(interpreter)])
    torch.testing.assert_close(total + interpreter.residual[0], interpreter.output[0])


def test_the_network_is_read_only_where_it_is_asked_for(interpreter) -> None:
    rows = iterate_rows(interpreter, chunk=4, budget=0)
    labels, first = next(rows)
    assert labels == [0, 1, 2, 3]
    assert first.shape == (4, 2, 6, 5)
    rows.close()


def test_bad_input(interpreter) -> None:
    # told at the call, not at the first chunk
    with pytest.raises(ValueError, match=r"`labels` must be in \[0, 29\]"):
        iterate_rows(interpreter, [30])
    with pytest.raises(ValueError, match="`chunk`"):
        iterate_rows(interpreter, chunk=0)
    with pytest.raises(ValueError, match="`budget`"):
        iterate_rows(interpreter, budget=-1)
    with pytest.raises(TypeError, match="`interpreter`"):
        iterate_rows(nn.Flatten())
