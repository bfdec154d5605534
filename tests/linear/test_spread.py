"""Spreading over pixels, and following height and width through a network."""

import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, pixel_discussion
from filterscope.linear.spread import find_places, spread


def shared_out(cells, height, width):
    """By a grid so fine that each cell and each pixel is a whole number of its squares."""
    h, w = cells.shape
    fine = torch.zeros(math.lcm(h, height), math.lcm(w, width), dtype=cells.dtype)
    tall, wide = fine.shape[0] // h, fine.shape[1] // w
    for i in range(h):
        for j in range(w):
            fine[i * tall : (i + 1) * tall, j * wide : (j + 1) * wide] = cells[i, j] / tall / wide
    tall, wide = fine.shape[0] // height, fine.shape[1] // width
    return fine.reshape(height, tall, width, wide).sum((1, 3))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (7, 9), (14, 6)])
def test_cells_are_shared_by_area(size, random_image) -> None:
    values = random_image(2, 3, *size)
    found = spread(values, (1, 2), (7, 6))
    for one, map_ in zip(found, values, strict=True):
        torch.testing.assert_close(one, shared_out(map_.sum(0), 7, 6), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(found.sum((1, 2)), values.sum((1, 2, 3)))


def test_other_layouts_and_none(random_image) -> None:
    values = random_image(2, 3, 4, 5)
    expected = spread(values, (1, 2), (8, 5))
    assert torch.equal(spread(values.permute(0, 2, 3, 1), (0, 1), (8, 5)), expected)
    assert torch.equal(spread(values.permute(0, 3, 1, 2), (2, 0), (8, 5)), expected)
    torch.testing.assert_close(
        spread(values, None, (2, 2)), (values.sum((1, 2, 3)) / 4)[:, None, None].expand(2, 2, 2)
    )


class Layouts(nn.Module):
    """Values in many layouts, all sizes equal, so that no shape tells them apart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, 4, 1)
        self.mix = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        last = x.permute(0, 2, 3, 1)
        last = self.mix(F.layer_norm(last, (4,)) + 0.5)  # (N, h, w, C)
        turned = F.relu(last.transpose(1, 2)) + 0.25  # (N, w, h, C)
        x = turned.permute(0, 3, 2, 1)
        x = x.view(-1, 2, 2, 4, 4).transpose(1, 2).reshape(-1, 4, 4, 4)  # shuffled channels
        x = torch.cat([x[:, 2:], x[:, :2]], 1) * 2 - 1
        tokens = x.flatten(2).transpose(1, 2) + 3  # (N, h w, C)
        return self.head(tokens.mean(1))


def test_height_and_width_are_followed(randomised, random_image) -> None:
    interpreter = LinearInterpreter(randomised(Layouts()), random_image(1, 4, 4, 4))
    program = interpreter._program
    places = find_places(program, interpreter.images)
    found = [
        (program.steps[k].name, places[program.steps[k].outputs[0]].axes) for k in program.offsets()
    ]
    assert found == [
        ("conv2d", (2, 3)), ("layer_norm", (1, 2)), ("add", (1, 2)), ("linear", (1, 2)),
        ("add", (2, 1)), ("sub", (2, 3)), ("add", None), ("linear", None),
    ]  # fmt: skip


def test_a_place_is_not_changed(random_image) -> None:
    interpreter = LinearInterpreter(nn.Sequential(nn.Conv2d(1, 1, 1)).double(),
                                    random_image(1, 1, 2, 2))  # fmt: skip
    place = find_places(interpreter._program, interpreter.images)[interpreter._program.target]
    with pytest.raises(FrozenInstanceError):
        place.axes = None


class Moves(nn.Module):
    def __init__(self, move) -> None:
        super().__init__()
        self.move = move

    def forward(self, x):
        return (self.move(x) + 1).flatten(1)


@pytest.mark.parametrize(
    ("move", "axes"),
    [
        (lambda x: x[0], (1, 2)),
        (lambda x: x[:, 0], (1, 2)),
        (lambda x: x[:, :, 1:-1, 2:], (2, 3)),
        (lambda x: x.mean(1), (1, 2)),
        (lambda x: x.flip(2), (2, 3)),
        (lambda x: x.chunk(2, 1)[1], (2, 3)),
        (lambda x: F.pad(x, (1, 1, 1, 1)), (2, 3)),
        (lambda x: F.max_pool2d(x, 2), (2, 3)),
        (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (2, 3)),
        (lambda x: x.amax(1), (1, 2)),
        (lambda x: x.mT, (3, 2)),
        (lambda x: F.avg_pool2d(x.mT, 2), (3, 2)),
        (lambda x: torch.relu(x) + x.mean((2, 3), keepdim=True), (2, 3)),
        # no longer two axes of their own, or ones that cannot be told
        (lambda x: x.flatten(2), None),
        (lambda x: x.roll(1, 2), None),
        (lambda x: x.mean(3), None),
        (lambda x: torch.cat([x, x], 2), None),
        (lambda x: x + x.mT, None),
        (lambda x: F.max_pool2d(x.permute(0, 2, 3, 1), 1), None),
        (lambda x: x @ torch.ones(4, 4, dtype=x.dtype), None),
    ],
)
def test_moves(move, axes, random_image) -> None:
    network = Moves(lambda x: move(x)[None] if move(x).dim() == 3 else move(x))
    interpreter = LinearInterpreter(network, random_image(1, 4, 4, 4))
    program = interpreter._program
    shift = 1 if move(interpreter.images).dim() == 3 else 0
    (position,) = program.offsets()
    found = find_places(program, interpreter.images)[program.steps[position].outputs[0]].axes
    assert found == (axes and (axes[0] + shift, axes[1] + shift))


class OneCell(nn.Module):
    """A constant of one in each cell of a map, of which the score reads some."""

    def __init__(self, read) -> None:
        super().__init__()
        self.conv, self.read = nn.Conv2d(1, 1, 1), read
        nn.init.zeros_(self.conv.weight)
        nn.init.ones_(self.conv.bias)

    def forward(self, x):
        return self.read(self.conv, x).sum((1, 2, 3))[:, None]


@pytest.mark.parametrize(
    ("read", "rows"),
    [
        (lambda conv, x: conv(x)[:, :, :1], [8, 0, 0, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(x.flip(2))[:, :, 7:], [8, 0, 0, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(x.mT.flip(3))[..., 7:], [8, 0, 0, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(x[:, :, 4:])[:, :, :1], [0, 0, 0, 0, 8, 0, 0, 0]),
        (lambda conv, x: conv(x[:, :, :4]), [8, 8, 8, 8, 0, 0, 0, 0]),
        (lambda conv, x: conv(x[:, :, ::2])[:, :, 1:2], [0, 0, 8, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(x.flip(2)[:, :, ::2])[:, :, 1:2], [0, 0, 0, 0, 0, 8, 0, 0]),
        (lambda conv, x: conv(F.pad(x.flip(2)[:, :, ::2], (0, 0, 2, 0)))[:, :, 3:4],
         [0, 0, 0, 0, 0, 8, 0, 0]),
        (lambda conv, x: conv(F.pad(x, (0, 0, 8, 0)))[:, :, 8:9], [8, 0, 0, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(F.pad(x, (0, 0, 8, 0)))[:, :, :9], [72, 0, 0, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(F.pad(x, (0, 0, 2, 4)))[:, :, 9:], [0, 0, 0, 0, 0, 0, 0, 40]),
        (lambda conv, x: conv(F.pad(x, (1, 1, 2, 3), "reflect"))[..., 3:5, 1:-1],
         [0, 8, 8, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(F.pad(x, (0, 0, -2, 0)))[:, :, :1], [0, 0, 8, 0, 0, 0, 0, 0]),
        (lambda conv, x: conv(F.avg_pool2d(x[:, :, 4:], 2))[:, :, 1:], [0, 0, 0, 0, 0, 0, 2, 2]),
        # padding that is there for the windows
        (lambda conv, x: conv(F.avg_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2))[:, :, :1],
         [2, 2, 0, 0, 0, 0, 0, 0]),
        # of which windows of three take one before and one after
        (lambda conv, x: conv(F.avg_pool2d(F.pad(x, (0, 0, 1, 2)), 3, 2))[:, :, :1],
         [3 / 1.8, 3 * 0.8 / 1.8, 0, 0, 0, 0, 0, 0]),
        # sums over channels lie where each of their terms does
        (lambda conv, x: conv(torch.cat([x, 2 * x], 1).sum(1, keepdim=True))[:, :, 2:3],
         [0, 0, 8, 0, 0, 0, 0, 0]),
        # each cell is at two places
        (lambda conv, x: conv(x[:, :, :4] + x[:, :, 4:])[:, :, :1],
         [1.6, 1.6, 1.6, 1.6, 1.6, 0, 0, 0]),
        (lambda conv, x: conv(x + x.flip(2))[:, :, :1], [1] * 8),
    ],
)  # fmt: skip
def test_constants_lie_where_the_map_shows_the_image(read, rows, random_image) -> None:
    interpreter = LinearInterpreter(OneCell(read).double(), random_image(1, 1, 8, 8))
    pixels = pixel_discussion(interpreter, 0)
    expected = torch.tensor(rows, dtype=torch.float64)
    torch.testing.assert_close(pixels.sum(1), expected)
    torch.testing.assert_close(pixels.sum(), interpreter.output[0, 0])


SQUARE = torch.ones(4, 4, dtype=torch.float64)
KEEPING = {
    "conv2d": lambda x: F.conv2d(x, torch.ones(4, 4, 3, 3).double(), padding=1),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, torch.ones(4, 4, 2, 2).double(), stride=2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "adaptive_max_pool2d, asked": lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0],
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2), "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool2d, asked": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "max_unpool2d": lambda x: F.max_unpool2d(x, torch.arange(16).view(4, 4).expand(1, 4, 4, 4), 2),
    "interpolate": lambda x: F.interpolate(x, size=7, mode="bilinear"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
}  # fmt: skip
MIXING = {
    "matmul": lambda x: x @ SQUARE, "rmatmul": lambda x: SQUARE @ x,
    "mm": lambda x: torch.mm(x[0, 0], SQUARE)[None, None],
    "bmm": lambda x: torch.bmm(x[0], SQUARE.expand(4, 4, 4))[None],
    "einsum": lambda x: torch.einsum("nchw,wk->nchk", x, SQUARE),
    "tensordot": lambda x: torch.tensordot(x, SQUARE, dims=1),
    "outer": lambda x: torch.outer(x[0, 0, 0], SQUARE[0])[None, None],
    "flatten": lambda x: x.flatten(1)[:, :16].view(1, 1, 4, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", [*KEEPING, *MIXING])
def test_what_keeps_height_and_width(name, random_image) -> None:
    interpreter = LinearInterpreter(Moves({**KEEPING, **MIXING}[name]), random_image(1, 4, 4, 4))
    program = interpreter._program
    (position,) = program.offsets()
    place = find_places(program, interpreter.images)[program.steps[position].outputs[0]]
    assert place.axes == ((2, 3) if name in KEEPING else None)
    if name in KEEPING:
        for span in place.spans:
            assert torch.equal(span[[0, -1], [0, 1]], torch.tensor([0.0, 4.0]).double())
            assert torch.equal(span[1:, 0], span[:-1, 1])


def test_channels_that_are_mixed_keep_the_places(random_image) -> None:
    for mix in (
        lambda x: torch.einsum("nchw,ck->nkhw", x, SQUARE),
        lambda x: F.linear(x.permute(0, 2, 3, 1), SQUARE).permute(0, 3, 1, 2),
        lambda x: (x.permute(0, 2, 3, 1) @ SQUARE).permute(0, 3, 1, 2),
    ):
        interpreter = LinearInterpreter(Moves(mix), random_image(1, 4, 4, 4))
        program = interpreter._program
        (position,) = program.offsets()
        place = find_places(program, interpreter.images)[program.steps[position].outputs[0]]
        assert place.axes == (2, 3)
    along = Moves(lambda x: F.linear(x, SQUARE))
    program = LinearInterpreter(along, random_image(1, 4, 4, 4))._program
    (position,) = program.offsets()
    found = find_places(program, random_image(1, 4, 4, 4))[program.steps[position].outputs[0]]
    assert found.axes is None and found.spans is None
