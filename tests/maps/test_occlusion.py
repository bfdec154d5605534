"""Occlusion, against one forward pass for each position."""

import math
import random

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock

from filterscope.maps import (
    FieldSettings,
    Occluder,
    OcclusionField,
    gaussian_blur,
    occlusion_drops,
    occlusion_field,
    receptive_field,
)
from filterscope.maps._chain import find_chain
from filterscope.parts import add_part_templates

IMAGES = torch.randn(2, 3, 61, 52, generator=torch.Generator().manual_seed(1)).double()
OCCLUDER = Occluder(size=9, stride=7, value=(0.5, -1.0, 0.0))


def plain(
    model: nn.Module, trunk: nn.Module, images: Tensor, occluder: Occluder, activation=torch.relu
) -> Tensor:
    """One forward pass for each image and position, its map read by a second way."""
    model.eval()
    found = []
    with torch.no_grad():
        for image in images.split(1):
            before = activation(trunk(image)).sum((2, 3))[0]
            table = []
            for row in range(0, image.shape[2] - occluder.size + 1, occluder.stride):
                for column in range(0, image.shape[3] - occluder.size + 1, occluder.stride):
                    covered = image.clone()
                    square = covered[0, :, row : row + occluder.size, column:][
                        :, :, : occluder.size
                    ]
                    square[:] = torch.as_tensor(occluder.value).expand(3)[:, None, None]
                    table.append(before - activation(trunk(covered)).sum((2, 3))[0])
            rows = (image.shape[2] - occluder.size) // occluder.stride + 1
            found.append(torch.stack(table, dim=1).reshape(len(before), rows, -1))
    return torch.stack(found)


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random norms and biases, double precision, train mode."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data.normal_(0.2, 0.3, generator=generator)
    return model.double().train()


class Classifier(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).mean((2, 3)))


def alexnet_like() -> Classifier:
    return Classifier(
        nn.Conv2d(3, 6, 7, 2, 2), nn.ReLU(inplace=True), nn.LocalResponseNorm(5),
        nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 5, padding=2, groups=2), nn.BatchNorm2d(8),
        nn.ReLU(inplace=True), nn.Dropout(0.5), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
    )  # fmt: skip


def residual() -> Classifier:
    return Classifier(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1), BasicBlock(8, 8), BasicBlock(8, 8), nn.AvgPool2d(2),
    )  # fmt: skip


def separable() -> Classifier:
    return Classifier(
        nn.ZeroPad2d((1, 2, 0, 3)), nn.Conv2d(3, 3, (5, 3), (3, 2), groups=3), nn.SiLU(),
        nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, dilation=2, padding=1), nn.Hardswish(inplace=True),
    )  # fmt: skip


@pytest.mark.parametrize("make", [alexnet_like, residual, separable])
@pytest.mark.parametrize("batch_size", [7, 500])
def test_what_the_square_touches_gives_what_the_whole_network_gives(make, batch_size) -> None:
    torch.manual_seed(0)
    model = lively(make())
    expected = plain(model, model.features, IMAGES, OCCLUDER)
    last = f"features.{len(model.features) - 1}"
    assert expected.abs().max() > 0.1
    model.train()
    for recompute in ("changed", "full", "auto"):
        drops = occlusion_drops(
            model, IMAGES, last, occluder=OCCLUDER, recompute=recompute, batch_size=batch_size
        )
        torch.testing.assert_close(drops, expected, rtol=1e-10, atol=1e-11)
    assert all(module.training for module in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("seed", range(16))
def test_random_chains_are_exact_at_every_border(seed: int) -> None:
    choose = random.Random(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for _ in range(choose.randint(1, 5)):
        k, d, s = choose.randint(1, 4), choose.randint(1, 2), choose.choice([1, 1, 2, 3])
        layers.append(
            choose.choice([
                nn.Conv2d(3, 3, k, s, choose.randint(0, 2), d),
                nn.Conv2d(3, 3, (k, 1), (1, s), (choose.randint(0, 1), 0)),
                nn.MaxPool2d(2 + k % 2, s, k % 2, ceil_mode=choose.random() < 0.5),
                nn.AvgPool2d(2 + k % 2, s, k % 2, count_include_pad=choose.random() < 0.5),
                nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)),
                nn.ReLU(inplace=True),
            ])
        )  # fmt: skip
    model = nn.Sequential(*layers, nn.Conv2d(3, 8, 1)).double()
    occluder = Occluder(choose.randint(1, 12), choose.randint(3, 9), value=1.5)
    images = IMAGES[:1, :, : choose.randint(30, 50), : choose.randint(30, 50)]
    expected = plain(model, model, images, occluder, activation=lambda x: x)
    drops = occlusion_drops(
        model, images, str(len(model) - 1), occluder=occluder, activation=None, recompute="changed"
    )
    torch.testing.assert_close(drops, expected, rtol=1e-9, atol=1e-10)


def test_single_precision_agrees_too() -> None:
    torch.manual_seed(0)
    model = lively(alexnet_like()).float()
    both = [
        occlusion_drops(model, IMAGES.float(), "features.10", occluder=OCCLUDER, recompute=way)
        for way in ("changed", "full")
    ]
    torch.testing.assert_close(*both, rtol=1e-4, atol=1e-4)


def test_filters_come_in_the_order_asked_for() -> None:
    model = lively(alexnet_like())
    every = occlusion_drops(model, IMAGES, "features.10", occluder=OCCLUDER)
    for filters in ([5, 0, 5], torch.tensor([3]), 2):
        index = torch.as_tensor(filters).reshape(-1)
        some = occlusion_drops(model, IMAGES, "features.10", filters, occluder=OCCLUDER)
        assert torch.equal(some, every[:, index])


class Masked(nn.Module):
    """A map that is multiplied by a template about its own peak: nothing is local."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.top = nn.Conv2d(3, 8, 3, stride=2), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.signed_map(x)).mean((2, 3))

    def signed_map(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv(x))
        return x * (x == x.amax((2, 3), keepdim=True))


class Stemmed(nn.Module):
    """A functional pool between modules."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.top = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.top(F.max_pool2d(self.one(x), 2)).mean((2, 3))

    def signed_map(self, x: Tensor) -> Tensor:
        return self.top(F.max_pool2d(self.one(x), 2))


@pytest.mark.parametrize("make", [Masked, Stemmed])
def test_networks_without_a_local_chain_run_whole(make) -> None:
    torch.manual_seed(0)
    model = make().double()
    expected = plain(model, model.signed_map, IMAGES, OCCLUDER)
    drops = occlusion_drops(model, IMAGES, "top", occluder=OCCLUDER, batch_size=13)
    torch.testing.assert_close(drops, expected)
    with pytest.raises(ValueError, match='"changed" needs a chain'):
        occlusion_drops(model, IMAGES, "top", occluder=OCCLUDER, recompute="changed")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


class Placed(nn.Module):
    """What a step makes of a place depends on where the place is, or on the size of the map."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 3, 3, padding=1, padding_mode="circular")
        self.table = nn.Parameter(torch.rand(1, 3, 61, 52))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "coordinates":
            return x + torch.linspace(0, 1, x.shape[2], dtype=x.dtype)[:, None]
        if self.kind == "from the end":
            return x[:, :, -40:, 3:-2]
        if self.kind == "enlarging":
            return F.interpolate(x, size=(30, 26), mode="nearest")
        if self.kind == "cropping":
            return F.pad(x, (-2, -1, -3, 0))
        if self.kind == "table":
            return x * self.table
        if self.kind == "around the edge":
            return x + self.conv(x)
        filled = torch.zeros_like(x)
        filled[:, :, 1:] = x[:, :, :-1].square()
        return x + filled


PLACED = [
    "coordinates",
    "from the end",
    "enlarging",
    "cropping",
    "table",
    "around the edge",
    "fill",
]


@pytest.mark.parametrize("kind", PLACED)
def test_steps_that_go_by_their_place_run_whole(kind: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Placed(kind), nn.Conv2d(3, 8, 3)).double()
    images = IMAGES[:1]
    expected = plain(model, model, images, OCCLUDER)
    drops = occlusion_drops(model, images, "2", occluder=OCCLUDER)
    torch.testing.assert_close(drops, expected, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("pool", [nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d])
@pytest.mark.parametrize("size", [12, 24])  # windows of 2 x 2, and of a single place
def test_adaptive_pools_run_whole(pool, size: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), pool(size)).double()
    images, occluder = IMAGES[:, :, :24, :24], Occluder(5, 3, value=1.0)
    expected = plain(model, model, images, occluder)
    torch.testing.assert_close(occlusion_drops(model, images, "1", occluder=occluder), expected)


@pytest.mark.parametrize("pad", [nn.ReflectionPad2d, nn.ReplicationPad2d])
@pytest.mark.parametrize("sizes", [(3, 3, 3, 3), (6, 1, 0, 4)])
@pytest.mark.parametrize("side", [1, 7])
def test_what_a_border_shows_again_counts(pad, sizes: tuple[int, ...], side: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(pad(sizes), nn.Conv2d(3, 8, 3)).double()
    images, occluder = IMAGES[:1, :, :24, :20], Occluder(side, 1, value=(0.5, -1.0, 0.0))
    expected = plain(model, model, images, occluder)
    drops = occlusion_drops(model, images, "1", occluder=occluder, recompute="changed")
    torch.testing.assert_close(drops, expected, rtol=1e-10, atol=1e-11)


def test_networks_with_part_templates_run_whole_from_the_first_mask_on() -> None:
    torch.manual_seed(0)
    model = lively(alexnet_like())
    example = IMAGES[:1, :, :, :-2].repeat(1, 1, 1, 2)[:, :, :, :61]  # square maps
    net = add_part_templates(model, ["features.10"], ["bird"], example_input=example).eval()
    field = receptive_field(net, model.features[10], example)
    plain_field = receptive_field(alexnet_like().double(), "features.10", example)
    assert field.size == (math.inf, math.inf)
    assert (field.local_size, field.first) == (plain_field.local_size, plain_field.first)
    below, top = model.features[9], model.features[10]
    drops = occlusion_drops(net, example, below, occluder=OCCLUDER, recompute="changed")
    assert torch.isfinite(drops).all()
    expected = plain(net, lambda x: model.features(x), example, OCCLUDER)
    torch.testing.assert_close(occlusion_drops(net, example, top, occluder=OCCLUDER), expected)
    with pytest.raises(ValueError, match='"changed" needs a chain'):
        occlusion_drops(net, example, top, occluder=OCCLUDER, recompute="changed")


def test_networks_with_habits_are_exact(model, signed_map, assert_untouched) -> None:
    images = IMAGES[:, :, :14, :11].float()
    drops = occlusion_drops(model, images, "top", occluder=Occluder(4, 3))
    expected = plain(model, model.signed_map, images, Occluder(4, 3))
    torch.testing.assert_close(drops, expected, rtol=1e-3, atol=1e-4)
    model.train()
    assert_untouched(model)


def test_the_finest_chain_is_found() -> None:
    model = lively(residual()).eval()
    with torch.no_grad():
        stages = find_chain(model, IMAGES[:1], model.features[5])
    assert [type(stage.module) for stage in stages] == [
        nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, BasicBlock, BasicBlock,
    ]  # fmt: skip
    assert [stage.pointwise for stage in stages] == [False, True, True, False, False, False]


# -- fields


def simple_field(**changes) -> tuple[nn.Module, Tensor, OcclusionField]:
    """A filter that sums a square of 3 x 3 pixels about its unit; one bright pixel an image."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, stride=2, padding=1, bias=False), nn.ReLU())
    with torch.no_grad():
        model[0].weight[0] = 1.0
        model[0].weight[1] = 0.0  # dead
    images = torch.zeros(3, 1, 20, 24)
    images[0, 0, 8, 12], images[1, 0, 4, 6], images[2, 0, 4, 6] = 1.0, 1.0, 0.5
    settings = FieldSettings(images=2, share=0.005, kept=1, sigma=0.3, kernel_size=1)
    settings = FieldSettings(**{**vars(settings), **changes})
    found = occlusion_field(
        model, images, "1", occluder=Occluder(size=1, stride=1), settings=settings
    )
    return model, images, found


def test_the_drop_is_drawn_about_the_peaks_centre() -> None:
    model, images, found = simple_field()
    assert found.num_images.tolist() == [2, 0]
    assert found.canvas.shape == (2, 40, 48)
    assert found.canvas[1].isnan().all()
    # both bright pixels are the centre of the peak unit's field
    assert found.canvas[0].nonzero().tolist() == [[20, 24]]
    assert float(found.canvas[0].max()) == 1.0
    maps = model(images)
    heat = found.place(maps.detach())
    assert heat.shape == (3, 2, 20, 24)
    assert heat[0, 0].nonzero().tolist() == [[8, 12]]
    assert heat[:, 1].isnan().all()
    region = found.region(maps.detach())
    assert region[0, 0].nonzero().tolist() == [[8, 12]]
    assert not region[:, 1].any()
    silent = found.region(torch.zeros_like(maps))
    assert not silent.any()


def test_the_blur_and_the_number_of_squares_are_as_asked() -> None:
    sharp = simple_field()[2]
    blurred = simple_field(sigma=2.0, kernel_size=7)[2]
    torch.testing.assert_close(blurred.canvas[0], gaussian_blur(sharp.canvas[0], 2.0, 7))
    more = simple_field(kept=9)[2]  # only one pixel matters, the other drops are zero
    torch.testing.assert_close(more.canvas[0], sharp.canvas[0])


def test_place_takes_the_strongest_of_the_active_units() -> None:
    field = receptive_field(nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1)), "0", torch.zeros(1, 1, 9, 12))
    canvas = torch.rand(1, 18, 24, generator=torch.Generator().manual_seed(0))
    found = OcclusionField(canvas, torch.tensor([1]), field)
    maps = torch.relu(
        torch.randn(2, 1, *field.map_size, generator=torch.Generator().manual_seed(1))
    )
    heat = found.place(maps)
    for n in range(2):
        expected = torch.zeros(9, 12)
        for r in range(9):
            for c in range(12):
                for u in range(field.map_size[0]):
                    for v in range(field.map_size[1]):
                        x, y = field.centres()[u, v].tolist()
                        weight = min(1.5 * float(maps[n, 0, u, v] / maps[n, 0].max()), 1)
                        value = weight * float(canvas[0, 9 + r - int(y), 12 + c - int(x)])
                        expected[r, c] = max(float(expected[r, c]), value)
        torch.testing.assert_close(heat[n, 0], expected)


def test_units_centred_outside_the_image_are_drawn_as_far_as_they_reach() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=6))
    field = receptive_field(model, "0", torch.zeros(1, 1, 6, 6))
    assert field.first == (-5, -5)
    found = OcclusionField(torch.ones(1, 12, 12), torch.tensor([1]), field)
    maps = torch.zeros(1, 1, *field.map_size)
    maps[0, 0, 0, 0] = 1
    heat = found.place(maps)[0, 0]
    assert heat.sum() == 1  # the canvas ends one pixel inside the image
    assert heat[0, 0] == 1
    images = torch.rand(2, 1, 6, 6)
    drawn = occlusion_field(model, images, "0", occluder=Occluder(2, 1), activation=None)
    assert torch.isfinite(drawn.canvas).all()


def test_images_are_drawn_by_the_seed_from_the_strong_ones() -> None:
    torch.manual_seed(0)
    model = lively(alexnet_like()).float()
    images = torch.randn(12, 3, 61, 52)
    settings = FieldSettings(images=3, share=0.2)

    def field(seed: int) -> OcclusionField:
        return occlusion_field(
            model, images, "features.10", [0, 4], occluder=OCCLUDER, settings=settings,
            random_state=seed,
        )  # fmt: skip

    one = field(0)
    assert one.num_images.tolist() == [3, 3]
    assert torch.equal(one.canvas, field(0).canvas)
    assert not torch.equal(one.canvas, field(1).canvas)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"images": IMAGES[0]}, ValueError, "`images`"),
        ({"layer": "5"}, ValueError, "unknown layer"),
        ({"filters": [8]}, ValueError, "`filters`"),
        ({"recompute": "crop"}, ValueError, "`recompute`"),
        ({"batch_size": 0}, ValueError, "`batch_size`"),
        ({"occluder": Occluder(70)}, ValueError, "larger than the image"),
        ({"occluder": Occluder(5, value=(1.0, 2.0))}, ValueError, "each of 3 colours"),
    ],
)
def test_bad_input_is_named(arguments, error, message) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3)).double()
    given = {"images": IMAGES, "layer": "0", "occluder": OCCLUDER, **arguments}
    with pytest.raises(error, match=message):
        occlusion_drops(model, **given)


def test_bad_settings_are_named() -> None:
    for bad in ({"size": 0}, {"stride": -1}, {"size": 2.5}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            Occluder(**bad)
    for bad in ({"images": 0}, {"kept": 0}, {"share": 0.0}, {"share": math.nan}):
        with pytest.raises(ValueError, match=f"`{next(iter(bad))}`"):
            FieldSettings(**bad)
    with pytest.raises(ValueError, match=r"`maps` must be \(N, 2, 10, 12\)"):
        simple_field()[2].place(torch.zeros(1, 2, 5, 5))
