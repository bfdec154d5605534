"""Probes on crops: equal to the full map, for each operation, at borders and in the middle."""

from dataclasses import FrozenInstanceError

import pytest
import torch
from tests.linear.networks import Residual
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter
from filterscope.linear.crop import planned, run_cropped, support
from filterscope.linear.rules.local import hull


class Shuffling(nn.Module):
    """Four convolutions and a pixel shuffle, as in small super-resolution networks."""

    def __init__(self, factor=2) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
            nn.Conv2d(8, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, factor**2, 3, padding=1),
            nn.PixelShuffle(factor))  # fmt: skip

    def forward(self, x):
        return self.body(x[:, :1])


class ScaledResidual(Residual):
    """Blocks with a scale, added in place."""

    def forward(self, x):
        x = start = self.head(x - 0.4)
        for block in self.blocks:
            y = block(x) * 0.1
            y += x
            x = y
        return self.tail(x + start) + 0.4


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.before, self.function = nn.Conv2d(2, 4, 3, padding=1), function

    def forward(self, x):
        return self.function(self.before(x))


def weight(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


WEIGHT, FACTOR = weight(4, 4, 3, 3), weight(4, 24, 20)

FUNCTIONS = {
    "relu": lambda x: F.relu(x),
    "activations": lambda x: F.gelu(F.silu(F.leaky_relu(x, 0.1)).tanh().clamp(-0.5, 0.4)),
    "strides": lambda x: F.conv2d(x, WEIGHT, stride=(2, 3), padding=(1, 0)),
    "holes": lambda x: F.conv2d(x, WEIGHT[..., :1, :1], stride=3),
    "dilation and groups": lambda x: F.conv2d(
        x, WEIGHT[:, :2], padding="same", dilation=(2, 1), groups=2),
    "valid": lambda x: F.conv2d(x, WEIGHT, padding="valid"),
    "same, even": lambda x: F.conv2d(x, WEIGHT[..., :2, :2], padding="same"),
    "transposed": lambda x: F.conv_transpose2d(
        x, WEIGHT, stride=(2, 3), padding=1, output_padding=(1, 2), dilation=(1, 2)),
    "transposed, strides beyond the kernel": lambda x: F.conv_transpose2d(
        x, WEIGHT[..., :2, :2], stride=3),
    "shuffles": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 4),
    "reflect": lambda x: F.conv2d(F.pad(x, (3, 2, 1, 4), "reflect"), WEIGHT),
    "replicate": lambda x: F.conv2d(F.pad(x, (3, 2, 1, 4), "replicate"), WEIGHT),
    "circular": lambda x: F.conv2d(F.pad(x, (3, 2, 1, 4), "circular"), WEIGHT),
    "zeros, ones, and cut": lambda x: F.pad(F.pad(F.pad(x, (1, 2)), (2, 1), value=1.0), (-2, -3)),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(37, 29), mode="bilinear", align_corners=False),
    "bicubic": lambda x: F.interpolate(x, size=(48, 11), mode="bicubic", antialias=True),
    "aligned": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True),
    "max pool": lambda x: F.max_pool2d(F.relu(x), 3, 2, 1, ceil_mode=True),
    "sums and products": lambda x: 2 - (FACTOR * x - 0.5 * x * FACTOR[:, :1, :1]) / 3 + x / FACTOR,
    "cat": lambda x: torch.cat([x, F.conv2d(x, WEIGHT, padding=1), -x], 1),
    "cat of positions": lambda x: torch.cat([x, x.flip(-1)], 2),
    "channels": lambda x: torch.cat(
        [*F.channel_shuffle(x, 2).chunk(2, 1), *x.split([1, 3], dim=1), x[:, 1:3],
         x.split(10, 2)[0].repeat(1, 1, 3, 1)[:, :, :24]], 1),
    "norms": lambda x: F.instance_norm(F.batch_norm(x, weight(4), weight(4).abs())),
    "part of the picture": lambda x: x[:, 1:3, 4:, :9],
    "statistics in between": lambda x: x - x.mean((2, 3), keepdim=True) + F.relu(x),
    "gate": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)) + x.sigmoid() * x,
}  # fmt: skip

PLACES = [(0, 0), (0, 19), (23, 0), (23, 19), (11, 8), (1, 18), (22, 3), (2, 2)]


def whole(interpreter, probe):
    with torch.no_grad():
        return interpreter._program.run(probe[None])[0]


def check_places(interpreter, places, relative) -> None:
    channels = interpreter.images.shape[1]
    for number, (row, column) in enumerate(places):
        probe = torch.zeros_like(interpreter.images[0])
        probe[number % channels, row, column] = 1.0
        expected = whole(interpreter, probe)
        found = interpreter.column((number % channels, row, column))
        with torch.no_grad():
            program, sizes = interpreter._program, interpreter.images.shape[2:]
            plan = planned(program, support(probe[None, None]), sizes)
            cropped = run_cropped(program, probe[None], plan)
        assert relative(found, expected) < 1e-12
        assert relative(cropped[0], expected) < 1e-12


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_operation_on_a_crop_equals_the_full_map(
    name, randomised, random_image, relative
) -> None:
    model = randomised(Function(FUNCTIONS[name]))
    interpreter = LinearInterpreter(model, random_image(1, 2, 24, 20), freeze_gates=True)
    check_places(interpreter, PLACES, relative)


# what needs the whole picture
WHOLE = {
    "cat of positions": ["flip", "cat"], "channels": ["split", "repeat", "getitem"],
    "norms": ["instance_norm"], "part of the picture": ["getitem"],
    "statistics in between": ["mean", "sub"],
}  # fmt: skip
# a corner of the kernel may meet nothing but padding or what a ReLU switched off
ROOMY = {"transposed", "max pool"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_box_of_a_step_is_the_smallest_around_what_it_reaches(
    name, randomised, random_image
) -> None:
    model = randomised(Function(FUNCTIONS[name]))
    interpreter = LinearInterpreter(model, random_image(1, 2, 24, 20), freeze_gates=True)
    program = interpreter._program
    assert [step.name for step in program.steps if step.local is None] == WHOLE.get(name, [])
    for row, column in [*PLACES, (8, 8), (9, 9), (10, 11)]:
        probe = torch.zeros_like(interpreter.images)
        probe[..., row, column] = random_image(2)
        values = {program.source: probe}
        boxes = {program.source: ((row, row + 1), (column, column + 1))}
        for step in program.steps:
            made = step.linear(*[values[number] for number in step.inputs])
            parts = made if isinstance(made, (tuple, list)) else [made]
            known = [boxes.get(number) for number in step.inputs]
            values.update(zip(step.outputs, parts, strict=True))
            if step.local is None or None in known:
                continue
            box = step.local.reach(known)
            boxes.update(dict.fromkeys(step.outputs, box))
            seen = support(torch.stack([part.abs().sum(1) for part in parts])[None])
            assert (
                box == seen
                or (name in ROOMY and hull([box, seen]) == box)
                or not any(map(Tensor.any, parts))
            )


@pytest.mark.parametrize("network", [Shuffling, ScaledResidual])
@pytest.mark.parametrize("sides", [(24, 20), (21, 33)])
def test_networks_on_crops_equal_the_full_map(
    network, sides, randomised, random_image, relative
) -> None:
    interpreter = LinearInterpreter(randomised(network()), random_image(1, 3, *sides))
    height, width = sides
    places = [(0, 0), (height - 1, width - 1), (height // 2, 1), (9, 10)]
    check_places(interpreter, places, relative)
    assert planned(interpreter._program, ((9, 10), (10, 11)), sides).share < 1


def test_a_volume_and_a_line(randomised, random_image, relative) -> None:
    volume = nn.Sequential(nn.Conv3d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2),
                           nn.Upsample(scale_factor=2), nn.ConvTranspose3d(3, 2, 2, 2))  # fmt: skip
    line = nn.Sequential(nn.Conv1d(1, 3, 3, 2), nn.Tanh(), nn.ConvTranspose1d(3, 1, 4, 2),
                         nn.Upsample(scale_factor=3, mode="linear"), nn.MaxPool1d(2))  # fmt: skip
    for model, shape, place in [(volume, (8, 10, 9), (0, 3, 5, 4)), (line, (40,), (0, 17))]:
        interpreter = LinearInterpreter(randomised(model), random_image(1, 1, *shape))
        probe = torch.zeros_like(interpreter.images[0])
        probe[place] = 1
        assert relative(interpreter.column(place), whole(interpreter, probe)) < 1e-12


def test_many_probes_near_and_far(randomised, random_image, relative) -> None:
    interpreter = LinearInterpreter(randomised(Shuffling()), random_image(1, 3, 64, 64))
    for places in ([(30, 31), (33, 30), (31, 36)], [(0, 0), (63, 63), (5, 60)]):
        probes = torch.zeros(3, 3, 64, 64, dtype=torch.float64)
        for probe, (row, column) in zip(probes, places, strict=True):
            probe[0, row, column] = 2.0
        found = interpreter.apply(probes)
        for one, probe in zip(found, probes, strict=True):
            assert relative(one, whole(interpreter, probe)) < 1e-12
    zero = interpreter.apply(torch.zeros(2, 3, 64, 64))
    assert not zero.any() and zero.shape == found[:2].shape
    dense = random_image(2, 3, 64, 64)
    assert relative(interpreter.apply(dense)[1], whole(interpreter, dense[1])) < 1e-12


def test_a_batch_of_images_on_crops(randomised, random_image, relative) -> None:
    images = random_image(2, 3, 24, 24)
    batch = LinearInterpreter(randomised(ScaledResidual()), images)
    probe = torch.zeros_like(images)
    probe[0, 1, 3, 4], probe[1, 2, 5, 5] = 1.0, -1.0
    with torch.no_grad():
        assert relative(batch.apply(probe), batch._program.run(probe)) < 1e-12


def test_a_small_part_of_the_work_is_done(randomised, random_image) -> None:
    interpreter = LinearInterpreter(randomised(Shuffling()), random_image(1, 3, 64, 64))
    program = interpreter._program
    assert planned(program, ((30, 31), (30, 31)), (64, 64)).share < 0.05
    assert planned(program, ((0, 64), (0, 64)), (64, 64)).share == 1
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double()
    flat = LinearInterpreter(classifier, random_image(1, 3, 2, 2))._program
    assert planned(flat, ((0, 1), (0, 1)), (2, 2)).share == 1


def test_a_plan_is_not_changed(random_image) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2)).double()
    program = LinearInterpreter(model, random_image(1, 1, 2, 2))._program
    plan = planned(program, ((0, 1), (0, 1)), (2, 2))
    with pytest.raises(FrozenInstanceError):
        plan.share = 0.5


def test_transposed_convolutions_whose_padding_exceeds_their_kernel(random_image) -> None:
    model = nn.Sequential(nn.ConvTranspose2d(1, 1, 1, stride=2, padding=2), nn.MaxPool2d(4, 2))
    interpreter = LinearInterpreter(model.double(), random_image(1, 1, 12, 12))
    for row in range(12):
        probe = torch.zeros_like(interpreter.images)
        probe[0, 0, row, 6] = 1
        expected = interpreter._program.run(probe)
        torch.testing.assert_close(interpreter.apply(probe), expected)
        torch.testing.assert_close(interpreter.column((0, row, 6)), expected[0])


def test_a_constant_beside_the_channels_needs_the_whole_picture(randomised, random_image) -> None:
    beside = torch.ones(1, 1, 12, 12, dtype=torch.float64)
    model = randomised(Function(lambda x: F.conv2d(torch.cat([x, beside], 1), weight(2, 5, 3, 3))))
    interpreter = LinearInterpreter(model, random_image(1, 2, 12, 12))
    steps = interpreter._program.steps
    assert [step.local is None for step in steps] == [False, True, False]
    check_places(interpreter, [(0, 0), (6, 5)], lambda a, b: float((a - b).abs().max()))
