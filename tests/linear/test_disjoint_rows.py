"""Rows that share backward passes equal rows read one by one."""

import pytest
import torch
from torch import Tensor, nn

from filterscope.linear import LinearInterpreter, pixel_row
from filterscope.linear.disjoint_rows import (
    disjoint_groups,
    passes_needed,
    pixel_rows,
    spans_read,
)
from filterscope.models import create_image_network


class Mixes(nn.Module):
    """A network in which every output reads every input."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(x).transpose(2, 3)


def check(interpreter: LinearInterpreter, lines: list[int], places: list[int]) -> None:
    height, width = interpreter.images.shape[2:]
    seen = []
    for pixel, (top, left), part in pixel_rows(interpreter, lines, places, chunk=3):
        whole = torch.zeros_like(interpreter.images[0])
        whole[:, top : top + part.shape[1], left : left + part.shape[2]] = part
        assert top + part.shape[1] <= height and left + part.shape[2] <= width
        torch.testing.assert_close(whole, pixel_row(interpreter, pixel), rtol=1e-5, atol=1e-6)
        seen.append(pixel)
    assert sorted(seen) == [(line, place) for line in lines for place in places]


def test_super_resolution() -> None:
    network = create_image_network("espcn", random_weights=True, scale=2)
    pixels = torch.randint(0, 256, (3, 40, 36), dtype=torch.uint8)
    interpreter = LinearInterpreter(network.model, network.prepare(pixels))
    lines, places = [0, 3, 40, 79], [0, 1, 30, 71]
    check(interpreter, lines, places)
    assert passes_needed(interpreter, lines, places) < len(lines) * len(places)


def test_a_network_that_is_not_local_takes_a_pass_a_pixel() -> None:
    interpreter = LinearInterpreter(Mixes(), torch.rand(1, 1, 12, 12))
    check(interpreter, [0, 5], [2, 11])
    assert passes_needed(interpreter, [0, 5], [2, 11]) == 4


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(11), nn.AvgPool2d(2)])
def test_pools(pool: nn.Module) -> None:
    torch.manual_seed(0)  # each pool takes another place of its window, line by line
    model = nn.Sequential(nn.Conv2d(1, 2, 3), pool)
    interpreter = LinearInterpreter(model, torch.rand(1, 1, 24, 24))
    check(interpreter, list(range(11)), list(range(11)))


def test_spans_hold_all_that_is_read() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(2, 1, 3))
    interpreter = LinearInterpreter(model, torch.rand(1, 1, 40, 40))
    rows, _ = spans_read(interpreter)
    assert len(rows) == 18
    assert rows[0] == (0, 6)  # two steps of two pixels and a margin of one, cut at the border


def test_groups_do_not_overlap() -> None:
    spans = [(max(k - 2, 0), k + 3) for k in range(20)]
    groups = disjoint_groups(range(20), spans)
    assert len(groups) == 5
    for group in groups:
        taken = [place for k in group for place in range(*spans[k])]
        assert len(taken) == len(set(taken))


def test_wrong_pixels_are_refused() -> None:
    interpreter = LinearInterpreter(nn.Conv2d(1, 1, 1), torch.rand(1, 1, 4, 4))
    with pytest.raises(ValueError, match="`pixel`"):
        list(pixel_rows(interpreter, [4], [0]))
    with pytest.raises(ValueError, match="`chunk`"):
        list(pixel_rows(interpreter, [0], [0], chunk=0))
    flat = LinearInterpreter(nn.Flatten(), torch.rand(1, 1, 4, 4))
    with pytest.raises(ValueError, match="picture"):
        list(pixel_rows(flat, [0], [0]))


class Turned(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.first, self.last = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, (1, 3), padding=(0, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: nn.functional.conv2d(x, torch.ones(2, 2, 3, 3).double(), stride=2, padding=1),
        lambda x: nn.functional.pad(x, (2, 1, 0, 3)),
        lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear"),
    ],
)
def test_spans_are_the_smallest(function) -> None:
    torch.manual_seed(1)
    interpreter = LinearInterpreter(Turned(function).double(), torch.rand(1, 1, 30, 26).double())
    height, width = interpreter.output.shape[2:]
    for axis, spans in enumerate(spans_read(interpreter)):
        assert len(spans) == (height, width)[axis]
        for place, (first, end) in enumerate(spans):
            pixel = (place, width // 2) if axis == 0 else (height // 2, place)
            read = (pixel_row(interpreter, pixel) != 0).any(0).any(1 - axis).nonzero().flatten()
            read = read.tolist() or [0]  # nothing but padding
            assert (first, end) == (read[0], read[-1] + 1)
