"""Each rule: value, linearity, adjoint, conservation, and the Jacobian where the two agree."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation
from filterscope.linear.frozen import unattributed
from filterscope.linear.network import Network
from filterscope.linear.rules import Options


def random_image(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


WEIGHT = random_image(6, 4, 3, 3, seed=11)
SQUARE = random_image(6, 6, seed=12)
VECTOR = random_image(4, seed=13)
CONSTANT = random_image(1, 4, 6, 6, seed=14)
INDEX = torch.tensor([3, 0, 0, 2])


class Function(nn.Module):
    """A function as a network, after a convolution with a bias, so that constants pass it."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function
        self.before = nn.Conv2d(4, 4, 1).double()

    def forward(self, x):
        return self.function(self.before(x))


def written(x):
    y = torch.zeros(len(x), 8, 6, 6, dtype=x.dtype)
    y[:, 2:6] = x
    y[:, 0] = 3.0
    y[:, :, 1] = 0.5
    return y


def overwritten(x):
    x[:, 1:3] = CONSTANT[:, :2]
    x[:, 3, 2:4, 2:4] = x[:, 0, :2, :2].clone()
    return x


def in_place(x):
    x += 1
    x *= 2
    x -= CONSTANT
    x /= 3
    x.add_(x)
    return x.relu_()


# piecewise linear: the frozen map is the Jacobian
LINEAR = {
    "relu": lambda x: F.relu(x) + torch.relu(x) - x.relu(),
    "relu in place": in_place,
    "leaky relu": lambda x: F.leaky_relu(x, 0.2, inplace=True),
    "leaky relu in place": lambda x: torch.nn.functional.leaky_relu_(x, 0.3),
    "rrelu": lambda x: F.rrelu(x),
    "prelu": lambda x: F.prelu(x, VECTOR),
    "relu6": lambda x: F.relu6(6 * x),
    "hardtanh": lambda x: F.hardtanh(x, -0.4, 0.7),
    "clamp": lambda x: x.clamp(-0.5, 0.3) + torch.clamp(x, max=0.1) + torch.clamp_max(x, 0.2),
    "hardsigmoid": lambda x: F.hardsigmoid(4 * x),
    "abs": lambda x: x.abs() + abs(x),
    "threshold": lambda x: F.threshold(x, 0.1, 0.2),
    "hardshrink": lambda x: F.hardshrink(x),
    "softshrink": lambda x: F.softshrink(x),
    "conv1d": lambda x: F.conv1d(x.flatten(2), WEIGHT[:, :, 0], VECTOR.repeat(2)[:6]),
    "conv2d": lambda x: F.conv2d(x, WEIGHT, VECTOR.repeat(2)[:6], 2, 1),
    "conv2d groups": lambda x: F.conv2d(x, WEIGHT[:4, :2], groups=2, dilation=2),
    "conv2d same": lambda x: F.conv2d(x, WEIGHT, padding="same"),
    "conv3d": lambda x: F.conv3d(x[:, :, None], WEIGHT[:, :, None]),
    "conv transpose": lambda x: F.conv_transpose2d(x, WEIGHT.transpose(0, 1), VECTOR.repeat(2)[:6],
                                                   stride=2, padding=1, output_padding=1),
    "conv transpose 1d": lambda x: F.conv_transpose1d(x.flatten(2), WEIGHT[:4, :, 0]),
    "unbatched conv": lambda x: F.conv2d(x[0], WEIGHT, VECTOR.repeat(2)[:6])[None],
    "linear": lambda x: F.linear(x, SQUARE, VECTOR.repeat(2)[:6]),
    "pads": lambda x: F.pad(F.pad(F.pad(x, (1, 2), value=0.7), (1, 1, 2, 0), "reflect"),
                            (1, 1, 1, 1), "replicate"),
    "circular pad": lambda x: F.pad(F.pad(x, (1, 1, 1, 1), "circular"), (1, 1)),
    "average pools": lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
    "adaptive pools": lambda x: F.adaptive_avg_pool2d(x, 4) + F.adaptive_max_pool2d(x, 4),
    "max pool": lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
    "max pool after relu": lambda x: F.max_pool2d(F.relu(x), 3, 1, 1),
    "max pool dilated": lambda x: F.max_pool2d(x, 2, 1, 1, dilation=2),
    "max pool 1d": lambda x: F.max_pool1d(x.flatten(2), 3, 2),
    "max pool 3d": lambda x: F.max_pool3d(x[:, None], 2),
    "max pool with places": lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "adaptive max pool with places": lambda x: F.adaptive_max_pool2d_with_indices(x, 2)[0],
    "batch norm": lambda x: F.batch_norm(x, VECTOR, VECTOR.abs(), VECTOR, VECTOR),
    "batch norm without weights": lambda x: F.batch_norm(x, VECTOR, VECTOR.abs()),
    "instance norm, running": lambda x: F.instance_norm(x, VECTOR, VECTOR.abs(), VECTOR, VECTOR,
                                                        use_input_stats=False),
    "sums": lambda x: 1 + x + CONSTANT + (2 - x) - x * 3 + (x - 0.5) + torch.sub(1, x, alpha=2),
    "sums of tensors": lambda x: torch.add(x, x.flip(-1), alpha=0.3) - x.flip(-2) + (0 + x),
    "broadcast constant": lambda x: x[:, :1, :1] + CONSTANT,
    "transform input": lambda x: torch.cat(
        [torch.unsqueeze(x[:, k], 1) * (0.2 + k) + (k - 0.5) for k in range(4)], 1),
    "added products": lambda x: torch.addcmul(CONSTANT, x, CONSTANT, value=0.5) + torch.addcmul(
        x, CONSTANT, x.flip(1)) + torch.addcmul(x, CONSTANT, CONSTANT),
    "like another": lambda x: x[:, :1].expand_as(x) + x.flatten(1).view_as(x) + x.mT.reshape_as(x)
        + x.type_as(x) + CONSTANT.expand_as(x),
    "products": lambda x: CONSTANT * x / 3 * 2.0 + torch.mul(x, VECTOR.view(-1, 1, 1)),
    "matmul": lambda x: SQUARE @ x @ SQUARE + torch.matmul(x, SQUARE),
    "einsum": lambda x: torch.einsum("nchw,wk->nkhc", x, SQUARE),
    "mask by comparison": lambda x: x * (x > 0.1).to(x.dtype) + x.sign(),
    "where": lambda x: torch.where(x > 0, x, 0.3) + torch.where(CONSTANT > 0, CONSTANT, x),
    "where of two": lambda x: torch.where(x > x.flip(1), x, x.flip(1) * 2),
    "masked fill": lambda x: x.masked_fill(x > 0.5, -1.0),
    "maximum": lambda x: torch.maximum(x, x.flip(1)) + torch.max(x, CONSTANT),
    "minimum": lambda x: torch.minimum(x, CONSTANT) - torch.min(x, x.flip(2)),
    "maximum along an axis": lambda x: x.max(1).values + x.max(dim=2)[0].mean() + x.amax((1, 2))[
        :, None],
    "minimum along an axis": lambda x: x.min(1)[0] - x.amin(3, keepdim=True)[:, 0],
    "maxout": lambda x: x.view(-1, 2, 2, 6, 6).max(2).values + x.view(-1, 2, 2, 6, 6).amax(1),
    "maximum of one image": lambda x: x.max().view(1, 1) + x.min(),
    "written": written,
    "overwritten": overwritten,
    "copied": lambda x: torch.empty_like(x).copy_(x) + x.clone().fill_(2) + x.clone().zero_(),
    "views": lambda x: x.view(1, 2, 2, 36).permute(0, 2, 1, 3).reshape(1, -1).unflatten(1, (4, -1)),
    "baked batch size": lambda x: x.view(1, -1)[:, :20],
    "axes": lambda x: x.transpose(1, 2).movedim(1, 3).squeeze(0).unsqueeze(0).mT.contiguous(),
    "pieces": lambda x: torch.cat([*x.chunk(2, 1), *x.split([1, 3], 1), *torch.unbind(x[None])], 1),
    "chunks": lambda x: x.chunk(2, 1)[1] * 2 + x.chunk(2, 1)[0],
    "stack": lambda x: torch.stack([x, CONSTANT, 2 * x], 1),
    "cat with constant": lambda x: torch.cat((x, CONSTANT), dim=1),
    "selections": lambda x: x.roll(2, 3)[:, INDEX][..., 1:5:2].flip(2) + x.index_select(
        3, INDEX[:2]),
    "repeats": lambda x: x.repeat(1, 2, 1, 1).repeat_interleave(2, 1).expand(1, 16, 6, 6),
    "means": lambda x: x.mean((2, 3)) + x.sum(3).mean(-1) + x.cumsum(2)[:, :, 2, 0],
    "resampling": lambda x: F.interpolate(
        F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), size=9),
    "bicubic": lambda x: F.interpolate(x, size=(8, 11), mode="bicubic", antialias=True),
    "grid sample": lambda x: F.grid_sample(
        x, CONSTANT[:, :2].permute(0, 2, 3, 1).tanh(), align_corners=False),
    "pixel shuffle": lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 3),
    "channel shuffle": lambda x: F.channel_shuffle(x, 2) * VECTOR.view(4, 1, 1),
    "unfold": lambda x: F.fold(F.unfold(x, 2), (6, 6), 2),
    "dropout": lambda x: F.dropout(F.dropout2d(x, training=False), 0.0),
    "conversions": lambda x: x.to(torch.float64).double().type_as(x).detach() + x.data,
    "negative": lambda x: -x - torch.neg(x) * 3,
}  # fmt: skip

# under gain and chord another map than the Jacobian
SMOOTH = {
    "sigmoid": lambda x: torch.sigmoid(x) + x.sigmoid() * 2,
    "tanh": lambda x: torch.tanh(x) + F.tanh(x),
    "softplus": lambda x: F.softplus(x, beta=2.0),
    "elu": lambda x: F.elu(x, 0.7),
    "celu": lambda x: F.celu(x, 0.7),
    "selu": lambda x: F.selu(x, inplace=True),
    "silu": lambda x: F.silu(x, inplace=True),
    "mish": lambda x: F.mish(x),
    "gelu": lambda x: F.gelu(x) + F.gelu(x, approximate="tanh"),
    "hardswish": lambda x: F.hardswish(3 * x),
    "logsigmoid": lambda x: F.logsigmoid(x),
    "exp": lambda x: torch.exp(x),
}

NORMS = {
    "instance norm": lambda x: F.instance_norm(x),
    "instance norm with weights": lambda x: F.instance_norm(x, weight=VECTOR, bias=VECTOR),
    "group norm": lambda x: F.group_norm(x, 2, VECTOR, VECTOR),
    "group norm without weights": lambda x: F.group_norm(x, 2),
    "layer norm": lambda x: F.layer_norm(x, (6,), SQUARE[0], SQUARE[1]),
    "layer norm over the map": lambda x: F.layer_norm(x, (4, 6, 6)),
    "rms norm": lambda x: F.rms_norm(x, (6,), SQUARE[0]),
    "normalize": lambda x: F.normalize(x, dim=1),
    "local response norm": lambda x: F.local_response_norm(3 * x, 3, 0.5, 0.75, 0.8),
    "local response norm, even": lambda x: nn.LocalResponseNorm(2, 0.9)(x * 2),
    "batch norm, batch statistics": lambda x: F.batch_norm(x, None, None, VECTOR, VECTOR, True),
}

GATES = {
    "squeeze and excitation": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "hard gate on the left": lambda x: F.hardsigmoid(x.mean((2, 3), keepdim=True)) * x,
    "gated linear unit": lambda x: x[:, :2] * x[:, 2:].sigmoid(),
    "two gates": lambda x: x.sigmoid() * x.mean((2, 3), keepdim=True).sigmoid(),
    "gate of a shape": lambda x: x * x.mean((2, 3), keepdim=True).sigmoid().expand_as(x),
    "response normalization": lambda x: torch.addcmul(
        CONSTANT,
        SQUARE[0],
        x
        * (
            x.norm(p=2, dim=(2, 3), keepdim=True)
            / (x.norm(p=2, dim=(2, 3), keepdim=True).mean(1, keepdim=True) + 1e-6)
        ),
    ),
    "division": lambda x: x / (1 + x.abs().sum(1, keepdim=True)),
    "attention by hand": lambda x: (x @ x.transpose(-1, -2) / 2 + CONSTANT).softmax(-1) @ x,
    "attention": lambda x: F.scaled_dot_product_attention(x, x.flip(1), 2 * x),
}


@pytest.fixture
def image():
    return random_image(1, 4, 6, 6)


def jacobian(model, image):
    found = torch.autograd.functional.jacobian(lambda x: model(x)[0], image)
    return found.reshape(-1, image.numel())


def matrix(interpreter):
    outputs = interpreter.output[0].numel()
    units = torch.eye(outputs, dtype=torch.float64).view(outputs, *interpreter.output.shape[1:])
    return interpreter.adjoint(units).flatten(1)


@pytest.fixture
def examined(check_affine):
    """An interpreter that passed the checks that each one has to pass."""

    def examine(model, image, **options):
        interpreter = LinearInterpreter(model, image, **options)
        check_affine(interpreter, model(image).detach())
        assert unattributed(Network(model), image, Options(**options)) is None
        return interpreter

    return examine


@pytest.mark.parametrize("name", LINEAR)
def test_piecewise_linear_operations_give_the_jacobian(name, image, examined, relative) -> None:
    model = Function(LINEAR[name])
    interpreter = examined(model, image)
    if name == "conversions":
        return  # the frozen map does not stop where gradients are told to
    assert relative(matrix(interpreter), jacobian(model, image)) < 1e-12


@pytest.mark.parametrize("smooth", ["gain", "chord", "tangent"])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_units_meet_their_value_in_each_reading(
    name, smooth, image, examined, relative
) -> None:
    model = Function(SMOOTH[name])
    interpreter = examined(model, image, smooth=smooth)
    gap = relative(matrix(interpreter), jacobian(model, image))
    assert gap < 1e-11 if smooth == "tangent" else gap > 1e-3


@pytest.mark.parametrize("freeze", ["mean+var", "var", "none"])
@pytest.mark.parametrize("name", NORMS)
def test_norms_meet_their_value_in_each_reading(name, freeze, image, examined, relative) -> None:
    model = Function(NORMS[name])
    interpreter = examined(model, image, norm_freeze=freeze)
    gap = relative(matrix(interpreter), jacobian(model, image))
    assert gap < 1e-11 if freeze == "none" else gap > 1e-3


@pytest.mark.parametrize("smooth", ["gain", "chord", "tangent"])
@pytest.mark.parametrize("freeze", ["mean+var", "var", "none"])
@pytest.mark.parametrize("gates", [False, True])
def test_options_cross(smooth, freeze, gates, image, examined) -> None:
    functions = [*NORMS.values(), *SMOOTH.values()]

    def chain(x):
        for function in functions:
            x = function(x.clamp(-2, 2)) / 2 + x / 2
        return x * x.mean((2, 3), keepdim=True).sigmoid() if gates else x

    examined(Function(chain), image, smooth=smooth, norm_freeze=freeze, freeze_gates=gates)


@pytest.mark.parametrize("name", GATES)
def test_gates_and_attention_want_to_be_asked_for(name, image, examined) -> None:
    model = Function(GATES[name])
    with pytest.raises(UnsupportedOperation, match="freeze_gates=True"):
        LinearInterpreter(model, image)
    examined(model, image, freeze_gates=True)


def test_a_frozen_gate_is_the_factor_at_the_image(image, relative) -> None:
    model = Function(GATES["gated linear unit"])
    interpreter = LinearInterpreter(model, image, freeze_gates=True)
    before = model.before(image).detach()
    probe = random_image(1, 4, 6, 6, seed=5)
    linear = F.conv2d(probe, model.before.weight)[:, :2] * before[:, 2:].sigmoid()
    assert relative(interpreter.apply(probe), linear.detach()) < 1e-12


def test_frozen_attention_is_linear_in_the_values(image, examined) -> None:
    layer = nn.TransformerEncoderLayer(6, 2, 12, batch_first=True).double().eval()
    tokens = image.flatten(1, 2)
    with pytest.raises(UnsupportedOperation, match="freeze_gates=True"):
        LinearInterpreter(layer, tokens)
    examined(layer, tokens, freeze_gates=True)


@pytest.mark.parametrize("smooth", ["gain", "chord", "tangent"])
@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_units_are_regular_at_zero(name, smooth, check_affine) -> None:
    class Bare(nn.Module):
        def forward(self, x):
            return SMOOTH[name](1 * x)

    image = torch.zeros(1, 1, 2, 4, dtype=torch.float64)
    image[..., 1] = torch.tensor([1e-9, -1e-6])
    interpreter = LinearInterpreter(Bare(), image, smooth=smooth)
    check_affine(interpreter, Bare()(image))
    assert torch.isfinite(matrix(interpreter)).all()


def test_gain_chord_and_tangent_of_a_sigmoid() -> None:
    y = torch.tensor([[-2.0, 0.5, 3.0]], dtype=torch.float64)
    h = torch.sigmoid(y)
    expected = {
        "gain": (h / y, torch.zeros_like(y)),
        "chord": ((h - 0.5) / y, torch.full_like(y, 0.5)),
        "tangent": (h * (1 - h), h - h * (1 - h) * y),
    }
    for smooth, (slope, offset) in expected.items():
        interpreter = LinearInterpreter(nn.Sigmoid(), y, smooth=smooth)
        torch.testing.assert_close(interpreter.apply(torch.ones_like(y)), slope)
        torch.testing.assert_close(interpreter.residual, offset)


def test_without_the_mean_a_bias_before_a_norm_cancels(image) -> None:
    model = nn.Sequential(nn.Conv2d(4, 3, 3), nn.InstanceNorm2d(3)).double()
    kept = LinearInterpreter(model, image, norm_freeze="var")
    assert float(kept.residual.abs().max()) < 1e-12
    frozen = LinearInterpreter(model, image)
    assert float(frozen.residual.norm() / frozen.output.norm()) > 0.01


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * x, "`mul` in `forward`"),
        (lambda x: x.softmax(1), "`softmax`"),
        (lambda x: x**2, "`pow`"),
        (lambda x: 1 / x, "`rdiv`"),
        (lambda x: x * x.max().item(), "`item`"),
        (lambda x: x * float(x[0, 0, 0, 0]), "`float`"),
        (lambda x: x if x[0, 0, 0, 0] else -x, "`bool`"),
        (lambda x: torch.from_numpy(x.detach().numpy()) + x, "`numpy`"),
        (lambda x: F.dropout(x, 0.5), "`dropout`.*random"),
        (lambda x: F.rrelu(x, training=True), "`rrelu`.*random"),
        (lambda x: x.float(), "`float`.*precision"),
        (lambda x: x.half(), "`half`.*precision"),
        (lambda x: F.conv2d(CONSTANT, x.expand(4, 4, 6, 6)), "`conv2d`.*constant"),
        (lambda x: torch.add(x, 1, out=torch.empty_like(x)), "`add`.*writes"),
        (lambda x: F.normalize(x, p=1), "`normalize`.*p=1"),
        (lambda x: F.max_pool2d(x, nonsense=2), "`max_pool2d`|unexpected"),
    ],
)  # fmt: skip
def test_what_is_no_linear_operation_is_refused_by_name(function, message, image) -> None:
    with pytest.raises((UnsupportedOperation, TypeError), match=message):
        LinearInterpreter(Function(function), image)


def test_scores_without_a_softmax_are_refused(image) -> None:
    model = Function(lambda x: x @ x.transpose(-1, -2) + 1)
    with pytest.raises(UnsupportedOperation, match=r"`matmul`.*none of its factors is a gate"):
        LinearInterpreter(model, image, freeze_gates=True)


def test_an_image_of_its_own_norm_is_refused_in_a_batch(image) -> None:
    model = nn.BatchNorm2d(4, track_running_stats=False).double()
    with pytest.raises(UnsupportedOperation, match="not independent"):
        LinearInterpreter(model, image.repeat(2, 1, 1, 1))
