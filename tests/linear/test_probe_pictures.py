"""Rows and columns of pixels in three colour modes against loops over channels."""

import pytest
import torch
from torch import nn

from filterscope.linear import LinearInterpreter, pixel_column, pixel_row


def enlarging(channels, made):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 4 * made, 3, padding=1),
        nn.PixelShuffle(2))  # fmt: skip


@pytest.fixture
def interpreter_of(randomised, random_image):
    def make(channels=3, made=3, images=1):
        image = random_image(images, channels, 6, 7)
        return LinearInterpreter(randomised(enlarging(channels, made)), image)

    return make


@pytest.mark.parametrize(("channels", "made"), [(3, 3), (1, 1), (3, 1), (2, 3)])
def test_colour_modes_equal_loops_over_channels(channels, made, interpreter_of) -> None:
    interpreter = interpreter_of(channels, made)
    rows = torch.stack([interpreter.row((c, 9, 4)) for c in range(made)])
    columns = torch.stack([interpreter.column((c, 5, 2)) for c in range(channels)])
    for found, each in (
        (lambda colour: pixel_row(interpreter, (9, 4), colour), rows),
        (lambda colour: pixel_column(interpreter, (5, 2), colour), columns),
    ):
        assert torch.allclose(found("channels"), each)
        assert torch.allclose(found("white"), each.sum(0))
        if channels == made:
            block = found("block")
            assert block.shape == each.shape[1:]
            for c in range(channels):
                assert torch.allclose(block[c], each[c, c])
        else:
            with pytest.raises(ValueError, match="as many channels"):
                found("block")


def test_row_and_column_meet(interpreter_of) -> None:
    interpreter = interpreter_of(1, 1)
    row, column = pixel_row(interpreter, (4, 5)), pixel_column(interpreter, (2, 3))
    assert float(row[0, 2, 3]) == pytest.approx(float(column[0, 4, 5]))


@pytest.mark.parametrize(
    ("pixel", "error"),
    [((12, 0), ValueError), ((-1, 0), ValueError), ((0, 14), ValueError), ((0, 0, 0), TypeError),
     (3, TypeError), ((1.0, 2), TypeError), ((True, 2), TypeError)],
)  # fmt: skip
def test_wrong_pixels(pixel, error, interpreter_of) -> None:
    for read in (pixel_row, pixel_column):
        with pytest.raises(error, match="`pixel`"):
            read(interpreter_of(), pixel)


def test_wrong_modes_and_outputs(interpreter_of, random_image) -> None:
    with pytest.raises(ValueError, match="`colour` must be one of white, channels, block"):
        pixel_row(interpreter_of(), (0, 0), "red")
    with pytest.raises(ValueError, match="2 images"):
        pixel_row(interpreter_of(images=2), (0, 0))
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double()
    with pytest.raises(ValueError, match=r"picture \(C, H, W\)"):
        pixel_column(LinearInterpreter(flat, random_image(1, 3, 2, 2)), (0, 0))
