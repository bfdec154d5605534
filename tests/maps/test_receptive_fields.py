"""Receptive fields, against the published table and against what pixels do to units."""

import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.maps import ReceptiveField, receptive_field


def conv(k: int, s: int = 1, p: int = 0) -> nn.Module:
    return nn.Conv2d(1, 1, k, s, p)


def pool(k: int, s: int, far: int = 0) -> nn.Sequential:
    """A pool with padding at the bottom and right alone."""
    return nn.Sequential(nn.ZeroPad2d((0, far, 0, far)), nn.MaxPool2d(k, s))


def three(count: int) -> list[nn.Module]:
    return [part for _ in range(count) for part in (conv(3, 1, 1), nn.ReLU())]


LRN = nn.LocalResponseNorm(5)
# each up to and with the convolution that part templates add
STACKS = {
    "alexnet": ([conv(11, 4), nn.ReLU(), LRN, pool(3, 2), conv(5, 1, 2), LRN, pool(3, 2),
                 *three(3), conv(3, 1, 1)], 227, 195, 16, 18, 13),
    "vgg_m": ([conv(7, 2), nn.ReLU(), LRN, pool(3, 2), conv(5, 2, 1), LRN, pool(3, 2, 1),
               *three(3), conv(3, 1, 1)], 224, 171, 16, 18, 13),
    "vgg_s": ([conv(7, 2), nn.ReLU(), LRN, pool(3, 3, 2), conv(5), nn.ReLU(), pool(2, 2, 1),
               *three(3), conv(3, 1, 1)], 224, 137, 12, 21, 17),
    "vgg16": ([*three(2), pool(2, 2), *three(2), pool(2, 2), *three(3), pool(2, 2), *three(3),
               pool(2, 2), *three(3), conv(3, 1, 1)], 224, 228, 16, 8.5, 14),
}  # fmt: skip


@pytest.mark.parametrize("name", STACKS)
def test_the_four_networks_have_the_published_fields(name: str) -> None:
    layers, image, size, stride, first_pixel, side = STACKS[name]
    model = nn.Sequential(*layers)
    field = receptive_field(model, str(len(layers) - 1), torch.zeros(1, 1, image, image))
    assert field.size == field.local_size == (size, size)
    assert field.stride == (stride, stride)
    assert field.first == (first_pixel - 1, first_pixel - 1)  # the table counts pixels from 1
    assert field.map_size == (side, side)
    assert field.image_size == (image, image)
    centres = field.centres()
    last = first_pixel - 1 + (side - 1) * stride
    assert centres[side - 1, 0].tolist() == [first_pixel - 1, last]


class Branches(nn.Module):
    """Functional pools, a residual sum, a concatenation, shuffled channels, slices."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, (3, 5), stride=2, padding=(1, 0), bias=False)
        self.wide = nn.Conv2d(4, 4, 3, padding=3, dilation=3, bias=False)
        self.tall = nn.Conv2d(4, 2, (5, 1), padding=(2, 0), groups=2, bias=False)
        self.top = nn.Conv2d(6, 3, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x), inplace=True)
        x = F.max_pool2d(x, 3, 2, padding=1, ceil_mode=True)
        y = self.wide(x)
        y += x
        y = torch.cat([F.avg_pool2d(y, 3, 1, 1), self.tall(x)], dim=1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        first, second = y.chunk(2, dim=1)
        y = torch.cat([second.relu_(), first], dim=1)
        return self.top(F.pad(y, (0, 1, 2, 0))[:, :, 1:, ::2])


class LastChannels(nn.Module):
    """Channels last, layer norm over the channels, a linear layer at each place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(1, 4, 4, 4), nn.LayerNorm(4)
        self.grow, self.shrink = nn.Linear(4, 8), nn.Linear(8, 4)
        self.depth = nn.Conv2d(4, 4, 7, padding=3, groups=4)
        self.top = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        y = self.shrink(F.gelu(self.grow(y))).permute(0, 3, 1, 2)
        return self.top(x + y)


class Enlarging(nn.Module):
    """Down, up by several ways, and a skip connection."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.down = nn.Conv2d(1, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 1, 4, 2, 1)
        self.top = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        small = self.down(x)
        if self.mode == "transposed":
            large = self.up(small)
        elif self.mode == "shuffle":
            large = F.pixel_shuffle(small, 2)
        else:
            large = F.interpolate(small.mean(1, keepdim=True), scale_factor=2, mode=self.mode)
        return self.top(torch.cat([x, large], dim=1))


def positive(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights above zero, so that nothing cancels; in double precision."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.data = 0.1 + torch.rand(parameter.shape, generator=generator)
    return model.double().eval()


def support(model: nn.Module, size: tuple[int, int], unit: tuple[int, int]) -> tuple[int, ...]:
    """Top, left, bottom, right of the pixels that move a unit, each row and column being lifted."""
    edges = []
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    with torch.no_grad():
        plain = model(image)[0, :, unit[0], unit[1]]
        for axis in (2, 3):
            count = size[axis - 2]
            lifted = image.repeat(count, 1, 1, 1)
            for k in range(count):
                lifted[k].select(axis - 1, k).add_(50)
            moved = (model(lifted)[:, :, unit[0], unit[1]] - plain).abs().amax(1) > 1e-9
            places = moved.nonzero()
            edges.append((int(places.min()), int(places.max()) + 1))
    (top, bottom), (left, right) = edges
    return top, left, bottom, right


def assert_holds(outer: tuple[int, ...], inner: tuple[int, ...]) -> None:
    assert all(a <= b for a, b in zip(outer[:2], inner[:2], strict=True))
    assert all(a >= b for a, b in zip(outer[2:], inner[2:], strict=True))


def check_units(model: nn.Module, layer: str, size: tuple[int, int]) -> ReceptiveField:
    """A field at the border is cut off, and there a dilated kernel may not use all of it."""
    field = receptive_field(model, layer, torch.zeros(1, 1, *size, dtype=torch.float64))
    h, w = field.map_size
    for unit in ((0, 0), (h - 1, w - 1), (h // 3, w - 2)):
        assert_holds(field.box(*unit), support(model, size, unit))
    middle = (h // 2, w // 2)
    assert field.box(*middle) == support(model, size, middle)
    assert field.local_size == (
        field.box(*middle)[2] - field.box(*middle)[0],
        field.box(*middle)[3] - field.box(*middle)[1],
    )
    return field


def test_branches_are_united() -> None:
    field = check_units(positive(Branches()), "top", (121, 130))
    assert field.size == field.local_size
    assert field.stride == (4, 8)


def test_channels_last_networks_are_followed() -> None:
    model = LastChannels().double().eval()
    field = check_units(model, "top", (60, 64))
    assert field.size == (28, 28)
    assert field.first == (1.5, 1.5)


@pytest.mark.parametrize("mode", ["transposed", "shuffle", "nearest", "bilinear", "bicubic"])
def test_enlarged_maps_are_held_by_their_fields(mode: str) -> None:
    model = positive(Enlarging(mode))
    field = receptive_field(model, "top", torch.zeros(1, 1, 24, 24, dtype=torch.float64))
    assert field.stride == (1, 1)
    found = []
    for unit in ((11, 12), (12, 11)):
        top, left, bottom, right = support(model, (24, 24), unit)
        assert_holds(field.box(*unit), (top, left, bottom, right))
        found += [bottom - top, right - left]
    assert max(found) <= field.size[0] <= max(found) + 2


class Moving(nn.Module):
    """Channels are moved, taken apart and put together between two convolutions."""

    def __init__(self, move: Callable[[Tensor], Tensor], channels: int) -> None:
        super().__init__()
        self.below, self.move = nn.Conv2d(1, 4, 3, padding=1), move
        self.top = nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.move(self.below(x)))


@pytest.mark.parametrize(
    ("move", "channels", "size", "stride"),
    [
        (lambda x: F.pixel_unshuffle(x, 2), 16, 8, 2),
        (lambda x: F.channel_shuffle(x, 2), 4, 5, 1),
        (lambda x: torch.stack([x[:, 0], x[:, 3]], dim=1), 2, 5, 1),
        (lambda x: torch.stack([x, 2 * x], dim=2).flatten(1, 2), 8, 5, 1),
        (lambda x: torch.stack(x.unbind(1)[:3], dim=1), 3, 5, 1),
        (lambda x: torch.cat(x.split([1, 3], dim=1)[::-1], dim=1), 4, 5, 1),
    ],
    ids=["unshuffled", "shuffled", "selected", "stacked", "unbound", "split"],
)
def test_moved_channels_are_followed(
    move: Callable[[Tensor], Tensor], channels: int, size: int, stride: int
) -> None:
    model = positive(Moving(move, channels))
    field = receptive_field(model, "top", torch.zeros(1, 1, 24, 24, dtype=torch.float64))
    assert field.stride == (stride, stride)
    middle = (field.map_size[0] // 2, field.map_size[1] // 2)
    assert_holds(field.box(*middle), support(model, (24, 24), middle))
    assert field.size == (size, size)


@pytest.mark.parametrize("kind", ["convolution", "batch norm", "layer norm"])
def test_weights_that_the_image_gives_cannot_be_traced_back(kind: str) -> None:
    class Dynamic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.top = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            weight = x.mean((0, 2, 3))
            if kind == "convolution":
                x = F.conv2d(x, weight.view(1, 2, 1, 1))
            elif kind == "batch norm":
                x = F.batch_norm(x, torch.zeros(2), torch.ones(2), weight)
            else:
                x = F.layer_norm(x, x.shape[3:], x[0, 0, 0])
            return self.top(x)

    with pytest.raises(ValueError, match="'top' could not be traced back"):
        receptive_field(Dynamic(), "top", torch.rand(1, 2, 5, 6))


def random_network(choose: random.Random) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(choose.randint(2, 5)):
        k, d, p = choose.randint(1, 4), choose.randint(1, 2), choose.randint(0, 2)
        s = choose.choice([1, 1, 2])
        layers.append(
            choose.choice([
                nn.Conv2d(1, 1, k, s, p, d, bias=False),
                nn.Conv2d(1, 1, (k, 1), (1, s), (0, p), d, bias=False),
                nn.AvgPool2d(k, s, min(p, k // 2)),
                nn.ZeroPad2d((p, 0, 0, 1)),
            ])
        )  # fmt: skip
    return nn.Sequential(*layers, nn.Conv2d(1, 1, 1, bias=False))


@pytest.mark.parametrize("seed", range(25))
def test_fields_are_where_the_gradient_of_positive_networks_is(seed: int) -> None:
    model = positive(random_network(random.Random(seed)), seed)
    image = torch.ones(1, 1, 52, 47, dtype=torch.float64, requires_grad=True)
    field = receptive_field(model, str(len(model) - 1), image)
    maps = model(image)
    h, w = field.map_size
    for unit in ((0, 0), (h // 2, w // 2), (h - 1, w - 1), (1, w // 3)):
        (gradient,) = torch.autograd.grad(maps[0, 0, unit[0], unit[1]], image, retain_graph=True)
        places = gradient[0, 0].nonzero()
        top, left, bottom, right = field.box(*unit)
        if len(places) and top < bottom and left < right:
            # a dilated kernel may jump over the border, where its field is cut off
            assert (top, left) <= tuple(places.amin(0).tolist())
            assert tuple(places.amax(0).tolist()) <= (bottom - 1, right - 1)
            inside = unit == (h // 2, w // 2)
            inside = inside and top > 0 and left > 0 and bottom < 52 and right < 47
            if inside:
                assert places.amin(0).tolist() == [top, left]
                assert places.amax(0).tolist() == [bottom - 1, right - 1]
                assert [bottom - top, right - left] == list(field.size)


class Mixing(nn.Module):
    """A block that multiplies, or adds, what it draws from the whole image."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.stem, self.top = kind, nn.Conv2d(1, 4, 3, padding=1), nn.Identity()
        self.gate, self.norm = nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4)
        self.batch = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        if self.kind == "squeeze":
            x = x * self.gate(F.adaptive_avg_pool2d(x, 1)).sigmoid()
        elif self.kind == "mean":
            x = x - x.mean(dim=(2, 3), keepdim=True)
        elif self.kind == "linear":
            x = x + (x.flatten(2).mean(2) @ self.gate.weight[:, :, 0, 0])[:, :, None, None]
        elif self.kind == "instance":
            x = self.norm(x)
        elif self.kind == "group":
            x = F.group_norm(x, 2)
        elif self.kind == "batch":
            x = self.batch(x)
        elif self.kind == "peak":
            units = x.flatten(2).argmax(2)
            x = x * torch.eye(h * w)[units].view(n, c, h, w)
        elif self.kind == "rows":
            x = x * x.amax(dim=3, keepdim=True)
        return self.top(x)


KINDS = ["squeeze", "mean", "linear", "instance", "group", "batch", "peak"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_mixes_the_image_makes_fields_infinite_but_leaves_centres(kind: str) -> None:
    field = receptive_field(Mixing(kind), "top", torch.rand(2, 1, 8, 9))
    assert field.size == (math.inf, math.inf)
    assert field.local_size == (3, 3)
    assert field.first == (0, 0)
    assert field.stride == (1, 1)


def test_one_axis_may_be_mixed_alone() -> None:
    field = receptive_field(Mixing("rows"), "top", torch.rand(2, 1, 8, 9))
    assert field.size == (3, math.inf)


def test_a_map_of_one_unit_reads_what_a_global_pool_reads() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1))
    field = receptive_field(model, "1", torch.zeros(1, 1, 10, 12))
    assert field.size == (10, 12)
    assert field.centres().tolist() == [[[5.5, 4.5]]]


def test_uneven_adaptive_pools_are_held() -> None:
    model = positive(nn.Sequential(nn.AdaptiveAvgPool2d((3, 4)), nn.Identity()))
    field = receptive_field(model, "1", torch.zeros(1, 1, 10, 10, dtype=torch.float64))
    for row in range(3):
        assert_holds(field.box(row, row), support(model, (10, 10), (row, row)))


def test_writing_into_a_part_of_a_tensor_is_seen_through_the_whole() -> None:
    class Shift(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blur, self.top = nn.Conv2d(2, 1, 5, padding=2), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            x = torch.cat([x, x], dim=1)
            x[:, :1] += self.blur(x)
            return self.top(x)

    field = receptive_field(Shift(), "top", torch.zeros(1, 1, 9, 9))
    assert min(field.size) >= 5


@pytest.mark.parametrize("how", ["fill", "circular"])
def test_memory_that_was_filled_through_a_view_is_no_constant(how: str) -> None:
    class Filling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.around = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
            self.top = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            filled = torch.zeros_like(x)
            filled[:, :, 2:] = x[:, :, :-2]
            return self.top(x + (filled if how == "fill" else self.around(x)))

    model, image = Filling(), torch.rand(1, 1, 9, 9)
    assert receptive_field(model, "top", image).size == (math.inf, math.inf)
    if how == "circular":
        with pytest.raises(ValueError, match="because of copy into a part of a tensor"):
            receptive_field(model, "around", image)


def test_the_network_is_left_as_it_was_and_inference_mode_does_not_matter(
    model, assert_untouched
) -> None:
    image = torch.rand(2, 3, 14, 11)
    field = receptive_field(model, model.top, image)
    assert_untouched(model)
    with torch.inference_mode():
        assert receptive_field(model, "top", torch.rand(2, 3, 14, 11)) == field


def test_bad_input_is_named() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.top, self.noise = nn.Identity(), nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            tokens = x.flatten(2)
            mixed = (tokens.transpose(1, 2) @ tokens).softmax(-1) @ tokens.transpose(1, 2)
            self.noise(torch.zeros_like(x))
            return self.top(mixed.transpose(1, 2).reshape(x.shape))

    image = torch.rand(1, 2, 5, 6)
    with pytest.raises(ValueError, match="'top' could not be traced back"):
        receptive_field(Attention(), "top", image)
    with pytest.raises(ValueError, match="'noise' does not depend on the image"):
        receptive_field(Attention(), "noise", image)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten())
    with pytest.raises(ValueError, match="`layer` '1' must give a map"):
        receptive_field(model, "1", image)
    with pytest.raises(ValueError, match="unknown layer"):
        receptive_field(model, "5", image)
    with pytest.raises(ValueError, match="`images` must be"):
        receptive_field(model, "0", image[0])
    with pytest.raises(ValueError, match=r"the map is \(3, 4\), got unit \(3, 0\)"):
        receptive_field(model, "0", image).box(3, 0)
