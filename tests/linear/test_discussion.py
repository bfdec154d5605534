"""The pixel discussion against matrices that are multiplied out layer by layer."""

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import ConservationError, LinearInterpreter, pixel_discussion, rule
from filterscope.linear.discussion import Discussion
from filterscope.linear.rules import table
from filterscope.linear.spread import spread

METHODS = ["conserving", "literal", "literal_times_input", "backprojected"]
SIZE = (2, 6, 6)


def layers(kind):
    """A plain network as a list of layers, each the list of its operations."""
    unit = {
        "relu": nn.ReLU,
        "leaky": lambda: nn.LeakyReLU(0.3),
        "clipped": lambda: nn.Hardtanh(-0.5, 1),
    }
    return [
        [nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), unit[kind]()],
        [nn.MaxPool2d(2)],
        [nn.Conv2d(3, 4, 2), unit[kind]()],
        [nn.Flatten()],
        [nn.Linear(16, 6), unit[kind]()],
        [nn.Linear(6, 5)],
    ]


def affine_at(operation, value):
    """Matrix and constant of one operation at a value, by its derivative."""
    matrix = torch.autograd.functional.jacobian(operation, value).reshape(-1, value.numel())
    return matrix, operation(value).flatten() - matrix @ value.flatten()


def product(matrices, size):
    """The last matrix times ... times the first one."""
    total = torch.eye(size, dtype=torch.float64)
    for matrix in matrices:
        total = matrix @ total
    return total


def expected(stages, image, label, method):
    """The specification, in matrices: F, P_i, b_i, g_k."""
    value, matrices, constants, shapes, ends = image, [], [], [], []
    for stage in stages:
        for operation in stage:
            matrix, constant = affine_at(operation, value)
            value = operation(value)
            matrices.append(matrix)
            constants.append(constant)
            shapes.append(value.shape[1:])
        ends.append(len(matrices))
    size, flat = image.numel(), image.flatten()
    row = product(matrices, size)[label]
    score = value[0, label]
    if method.startswith("literal"):
        total = row * (1 + constants[-1][label])
        for begin, end in zip([0, *ends], ends[:-1], strict=False):
            bias = torch.zeros(matrices[begin].shape[1], dtype=torch.float64)
            for k in range(begin, end):
                bias = matrices[k] @ bias + constants[k]
            total = total + product(matrices[:end], size).T @ bias
        total = total if method == "literal" else total * flat
        pixels = total.view(SIZE).sum(0)
        return pixels * score / pixels.sum()
    pixels = (row * flat).view(SIZE).sum(0)
    for k, constant in enumerate(constants):
        after = product(matrices[k + 1 :], len(constant))[label]
        part = after * constant
        if method == "backprojected":
            pixels = pixels + (product(matrices[: k + 1], size).T @ part).view(SIZE).sum(0)
        else:
            axes = (1, 2) if len(shapes[k]) == 3 else None
            pixels = pixels + spread(part.view(1, *shapes[k]), axes, SIZE[1:])[0]
    return pixels if method == "conserving" else pixels * score / pixels.sum()


@pytest.mark.parametrize("kind", ["relu", "leaky", "clipped"])
@pytest.mark.parametrize("method", METHODS)
def test_methods_equal_the_matrices(kind, method, randomised, random_image, relative) -> None:
    stages = layers(kind)
    model = randomised(nn.Sequential(*[nn.Sequential(*stage) for stage in stages])).eval()
    image = random_image(1, *SIZE)
    interpreter = LinearInterpreter(model, image)
    found = pixel_discussion(interpreter, [4, 0], method)
    with torch.no_grad():
        for pixels, label in zip(found, (4, 0), strict=True):
            assert relative(pixels, expected(stages, image, label, method)) < 1e-10
    assert pixel_discussion(interpreter, 4, method).shape == SIZE[1:]
    torch.testing.assert_close(found.sum((1, 2)), interpreter.output[0, [4, 0]])


class Network(nn.Module):
    """Residual and dense connections, a norm that comes first, constants everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, stride=2)
        self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.norm, self.dense = nn.BatchNorm2d(8), nn.Conv2d(8, 3, 2)
        self.head = nn.Linear(3, 5)

    def forward(self, x):
        x = F.relu6(self.stem(2 * x - 1))
        x = torch.cat([x, F.relu(self.bn(self.conv(x)) + x)], 1)
        return self.head(self.dense(F.relu(self.norm(x))).mean((2, 3)) + 0.1)


@pytest.fixture
def interpreter(randomised, random_image):
    return LinearInterpreter(randomised(Network()).eval(), random_image(1, 2, 11, 8))


def test_contribution_maps_are_spread(interpreter, relative) -> None:
    parts = interpreter.contributions(2, by="op")
    total = parts.input_map.sum(0)
    for _, values in parts.maps:
        axes = (1, 2) if values.dim() == 3 else None
        total = total + spread(values[None], axes, (11, 8))[0]
    pixels = pixel_discussion(interpreter, 2)
    assert relative(pixels, total) < 1e-12
    assert float(pixels.sum()) == pytest.approx(float(interpreter.output[0, 2]), rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_sums_to_the_score(method, interpreter) -> None:
    found = pixel_discussion(interpreter, range(5), method)
    torch.testing.assert_close(found.sum((1, 2)), interpreter.output[0], rtol=1e-9, atol=1e-12)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.bn, self.head = nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x):
        x = F.relu(self.stem(x))
        return self.head(F.relu(self.bn(self.conv(x)) + x).mean((2, 3)))


def test_the_printed_formula_for_a_residual_network(randomised, random_image, relative) -> None:
    model, image = randomised(Residual()).eval(), random_image(1, *SIZE)
    stem, conv, bn = model.stem, model.conv, model.bn
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    mask = (stem(image) > 0).double()
    scale = (bn.weight / (bn.running_var + bn.eps).sqrt())[:, None, None]
    probe = torch.zeros_like(image).requires_grad_()
    first = mask * F.conv2d(probe, stem.weight)
    second = scale * F.conv2d(first, conv.weight, padding=1)
    biases = [
        mask * stem.bias[:, None, None],
        # where the block's branch is added nothing masks it yet
        (scale * (conv.bias - bn.running_mean)[:, None, None] + bn.bias[:, None, None])
        .expand_as(second),
    ]  # fmt: skip
    (sent,) = torch.autograd.grad([first, second], probe, biases)
    interpreter = LinearInterpreter(model, image)
    total = interpreter.row(2) * (1 + model.head.bias[2]) + sent[0]
    for method, factor in (
        ("literal", torch.ones_like(image[0])),
        ("literal_times_input", image[0]),
    ):
        pixels = (total * factor).sum(0)
        expected_pixels = pixels * interpreter.output[0, 2] / pixels.sum()
        assert relative(pixel_discussion(interpreter, 2, method), expected_pixels) < 1e-10


def test_backprojected_maps_are_sent_back_one_by_one(interpreter, relative) -> None:
    label, program = 3, interpreter._program
    total = interpreter.row(label) * interpreter.images[0]
    units = torch.eye(5, dtype=torch.float64)[label][None]
    _, products = interpreter._graph.products(units, interpreter.images)
    for k, part in zip(program.offsets(), products, strict=True):
        source = torch.zeros_like(interpreter.images).requires_grad_()
        watched = {}
        program.run(source, watched=watched)
        total = total + torch.autograd.grad(watched[k], source, part)[0][0]
    pixels = total.sum(0)
    found = pixel_discussion(interpreter, label, "backprojected")
    assert relative(found, pixels * interpreter.output[0, label] / pixels.sum()) < 1e-10


def test_a_layer_norm_over_the_last_axis_lies_where_its_picture_lies(
    randomised, random_image, relative
) -> None:
    class ChannelsLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.norm, self.head = (
                nn.Conv2d(2, 4, 2, 2),
                nn.LayerNorm(4),
                nn.Linear(4, 3),
            )

        def forward(self, x):
            return self.head(self.norm(self.stem(x).permute(0, 2, 3, 1)).mean((1, 2)))

    interpreter = LinearInterpreter(randomised(ChannelsLast()), random_image(1, 2, 8, 8))
    parts = interpreter.contributions(1, by="op")
    maps = dict(parts.maps)
    total = parts.input_map.sum(0) + maps["head"].sum() / 64
    total = total + spread(maps["stem"][None], (1, 2), (8, 8))[0]
    total = total + spread(maps["norm"].permute(2, 0, 1)[None], (1, 2), (8, 8))[0]
    assert relative(pixel_discussion(interpreter, 1), total) < 1e-12


@pytest.mark.parametrize("method", METHODS)
def test_a_label_that_is_switched_off_is_zero(method, random_image) -> None:
    conv = nn.Conv2d(2, 3, 1).double()
    with torch.no_grad():
        conv.bias[1] = -100
        conv.bias[0] = 100
    model = nn.Sequential(nn.Conv2d(2, 2, 1).double(), conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                          nn.Flatten())  # fmt: skip
    interpreter = LinearInterpreter(model, random_image(1, 2, 4, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not pixel_discussion(interpreter, 1, method).any()


def test_pixels_that_cancel_are_told(random_image) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.Flatten(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[2].weight[0] = torch.tensor([1.0, -1.0, 1.0, -1.0 + 1e-5])
    interpreter = LinearInterpreter(model, random_image(1, 1, 2, 2))
    with pytest.warns(UserWarning, match="pixels of 1 of 2 labels cancel"):
        pixel_discussion(interpreter, [0, 1], "literal")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixel_discussion(interpreter, [0, 1])


def test_a_score_that_reaches_no_pixel_is_told(random_image) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).double()
    nn.init.zeros_(model[1].weight)
    interpreter = LinearInterpreter(model, random_image(1, 1, 2, 2))
    with pytest.warns(UserWarning, match="pixels of 1 of 1 labels cancel"):
        assert not pixel_discussion(interpreter, 0, "literal").any()
    pixels = pixel_discussion(interpreter, 0)
    torch.testing.assert_close(pixels, (interpreter.output[0, 0] / 4).expand(2, 2))


def test_a_gap_raises_and_names_the_operation(monkeypatch, random_image) -> None:
    monkeypatch.setattr(table, "_RULES", dict(table._RULES))

    @rule("relu")
    def _wrong(call, input, inplace=False):
        return table.Affine(lambda x: x * 0.9)

    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[0].bias += 5
    interpreter = LinearInterpreter(model, random_image(1, 1, 2, 2))
    with pytest.raises(ConservationError, match=r"is in no pixel: operation `relu` in `1`"):
        pixel_discussion(interpreter, 0)


def test_single_precision(randomised, random_image) -> None:
    model, image = randomised(Network()).eval().float(), random_image(1, 2, 11, 8).float()
    found = pixel_discussion(LinearInterpreter(model, image), 1)
    assert found.dtype == torch.float32
    double = LinearInterpreter(model, image, dtype=torch.float64)
    torch.testing.assert_close(found.double(), pixel_discussion(double, 1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("label", "error", "message"),
    [
        (5, ValueError, r"`label` must be in \[0, 4\]"),
        (-1, ValueError, "`label`"),
        ([], ValueError, "not empty"),
        (True, TypeError, "`label` must be integers"),
        (1.0, TypeError, "`label`"),
        ([0, "cat"], TypeError, "`label`"),
        (torch.tensor([0.5]), TypeError, "`label`"),
    ],
)
def test_bad_labels(label, error, message, interpreter) -> None:
    with pytest.raises(error, match=message):
        pixel_discussion(interpreter, label)


def test_labels_may_be_a_tensor(interpreter) -> None:
    labels = torch.tensor([3, 1])
    assert torch.equal(pixel_discussion(interpreter, labels), pixel_discussion(interpreter, [3, 1]))


def test_other_bad_input(interpreter, randomised, random_image) -> None:
    with pytest.raises(ValueError, match="`method` must be one of conserving, literal"):
        pixel_discussion(interpreter, 0, "signed")
    with pytest.raises(TypeError, match="`interpreter` must be a LinearInterpreter, got Network"):
        pixel_discussion(Network(), 0)
    model = randomised(Network()).eval()
    with pytest.raises(ValueError, match=r"of one image \(1, C, H, W\), got \(2, 2, 11, 8\)"):
        pixel_discussion(LinearInterpreter(model, random_image(2, 2, 11, 8)), 0)
    flat = LinearInterpreter(nn.Linear(3, 2).double(), random_image(1, 3))
    with pytest.raises(ValueError, match=r"of one image"):
        pixel_discussion(flat, 0)
    picture = LinearInterpreter(nn.Conv2d(2, 2, 1).double(), random_image(1, 2, 4, 4))
    with pytest.raises(ValueError, match=r"scores \(1, L\) for its output, got \(1, 2, 4, 4\)"):
        pixel_discussion(picture, 0)


def test_an_image_that_is_not_finite_is_refused(randomised, random_image) -> None:
    image = random_image(1, 2, 11, 8)
    image[0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        LinearInterpreter(randomised(Network()).eval(), image)


def test_changed_weights_are_noticed(interpreter) -> None:
    with torch.no_grad():
        interpreter._model.head.weight.mul_(2)
    with pytest.raises(RuntimeError, match="changed after"):
        pixel_discussion(interpreter, 0)


def test_pixels_that_do_not_add_up_are_refused(random_image) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    nn.init.constant_(model[1].bias, 5e3)  # sizes count: a gap is measured against the terms
    discussion = Discussion(
        LinearInterpreter(model, random_image(1, 1, 2, 2)), [0, 1], "conserving"
    )
    read = discussion._reader.read

    def off_by(share):
        def changed(probes):
            maps, terms = read(probes)
            return maps * (1 + share), terms

        return changed

    discussion._reader.read = off_by(1e-12)
    discussion.read([0, 1])
    discussion._reader.read = off_by(1e-7)
    with pytest.raises(ConservationError, match="is in no pixel"):
        discussion.read([0, 1])
