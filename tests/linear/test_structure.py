"""Operations that are linear as they stand: each form is the Jacobian, and passes gates on."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation

PLACES = torch.tensor([[[[1, 0], [3, 2]]]]).expand(1, 4, 2, 2)
THETA = torch.tensor([[[0.8, 0.1, 0.0], [-0.2, 0.9, 0.1]]], dtype=torch.float64)
INDEX = torch.tensor([3, 0, 2])

# from (1, 4, 4, 4); each is linear
FORMS = {
    "T": lambda x: x[0, 0].T[None], "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x[0], 3),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 3),
    "adaptive_avg_pool3d": lambda x: F.adaptive_avg_pool3d(x, 2),
    "avg_pool1d": lambda x: F.avg_pool1d(x[0], 2), "avg_pool2d": lambda x: F.avg_pool2d(x, 2, 1),
    "avg_pool3d": lambda x: F.avg_pool3d(x, 2, 1),
    "broadcast_to": lambda x: torch.broadcast_to(x[:, :1], (1, 3, 4, 4)),
    "cumsum": lambda x: x.cumsum(1), "diagonal": lambda x: x.diagonal(dim1=2, dim2=3),
    "expand": lambda x: x[:, :1].expand(1, 5, 4, 4), "flatten": lambda x: torch.flatten(x, 2),
    "flip": lambda x: x.flip(1, 3), "fliplr": lambda x: torch.fliplr(x),
    "flipud": lambda x: x.mT[0].flipud()[None], "gather": lambda x: x.gather(2, PLACES),
    "fold": lambda x: F.fold(x.flatten(2), (5, 5), 2),
    "getitem": lambda x: x[:, INDEX, ..., 1:], "index_select": lambda x: x.index_select(1, INDEX),
    "mT": lambda x: x.mT, "masked_select": lambda x: x.masked_select(PLACES.repeat(1, 1, 2, 2) > 1)[
        None], "max_unpool1d": lambda x: F.max_unpool1d(x[0, :, 0, :2], PLACES[0, :, 0], 2)[None],
    "max_unpool2d": lambda x: F.max_unpool2d(x[..., :2, :2], PLACES, 2),
    "max_unpool3d": lambda x: F.max_unpool3d(x[:, :, None, :2, :2], PLACES[:, :, None], (1, 2, 2)),
    "mean": lambda x: x.mean(1),
    "moveaxis": lambda x: x.moveaxis(1, 2), "movedim": lambda x: x.movedim(1, 3),
    "narrow": lambda x: x.narrow(2, 1, 2), "permute": lambda x: x.permute(0, 3, 1, 2),
    "ravel": lambda x: x.ravel()[None], "repeat": lambda x: x.repeat(1, 2, 1, 1),
    "repeat_interleave": lambda x: x.repeat_interleave(2, 1),
    "reshape": lambda x: x.reshape(1, 8, 8),
    "roll": lambda x: x.roll(1, 2), "rot90": lambda x: x.rot90(1, (2, 3)),
    "select": lambda x: x.select(1, 2), "split": lambda x: x.split([1, 3], 2)[1],
    "split_with_sizes": lambda x: x.split_with_sizes([1, 3], 1)[1] * 2,
    "squeeze": lambda x: x[:, 1:2].squeeze(1), "sum": lambda x: x.sum((1, 3)),
    "swapaxes": lambda x: x.swapaxes(1, 2), "swapdims": lambda x: x.swapdims(2, 3),
    "t": lambda x: x[0, 1].t()[None],
    "take_along_dim": lambda x: x[..., :2, :2].take_along_dim(PLACES, 1),
    "tensor_split": lambda x: x.tensor_split(3, 1)[0], "tile": lambda x: x.tile(1, 1, 1, 2),
    "transpose": lambda x: x.transpose(1, 3), "tril": lambda x: x.tril(1), "triu": torch.triu,
    "unbind": lambda x: x.unbind(1)[3],
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "unfold": lambda x: x.unfold(2, 3, 1), "unsqueeze": lambda x: x.unsqueeze(1),
    "neg": lambda x: x.neg(), "negative": lambda x: torch.negative(x), "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.mT.contiguous(), "positive": lambda x: +x,
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2), "chunk": lambda x: x.chunk(2, 2)[1],
    "pixel_shuffle, named": lambda x: F.pixel_shuffle(x, upscale_factor=2),
    "pixel_unshuffle": lambda x: F.pixel_unshuffle(x, 2),
    "pixel_unshuffle, named": lambda x: F.pixel_unshuffle(x, downscale_factor=2),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "upsample": lambda x: F.upsample(x, scale_factor=2),
    "part": lambda x: x[:, 1:3], "channel_shuffle": lambda x: F.channel_shuffle(x, 2),
    "data": lambda x: x.data, "detach": lambda x: x.detach(), "alias": torch.ops.aten.alias,
    "detach_": lambda x: x.detach_(), "requires_grad_": lambda x: x.requires_grad_(),
    "view": lambda x: x.view(1, 2, 32), "expand_as": lambda x: x[:, :, :1].expand_as(PLACES.repeat(
        1, 1, 2, 2)), "reshape_as": lambda x: x.reshape_as(PLACES.reshape(1, 2, 8).repeat(1, 2, 2)),
    "view_as": lambda x: x.view_as(torch.ones(1, 2, 32)), "type_as": lambda x: x.type_as(THETA),
    "to": lambda x: x.to(torch.float64), "type": lambda x: x.type(torch.float64),
    "double": lambda x: x.double(), "cpu": lambda x: x.cpu(), "to another": lambda x: x.to(THETA),
    "to another that moves": lambda x: x.to(1 * x),
    "cat": lambda x: torch.cat([x, x.flip(1)], 1), "concat": lambda x: torch.concat([x, x], dim=2),
    "concatenate": lambda x: torch.concatenate([x, 2 * x], axis=1),
    "stack": lambda x: torch.stack([x, x.mT], 1), "hstack": lambda x: torch.hstack([x, x.mT]),
    "vstack": lambda x: torch.vstack([x, x.mT]).flatten()[None],
    "dstack": lambda x: torch.dstack([x, x.mT]),
    "grid_sample": lambda x: F.grid_sample(x, F.affine_grid(THETA, (1, 4, 3, 5), False),
                                           align_corners=False),
    "affine_grid": lambda x: F.affine_grid(x[:, :2, 0, :3], (1, 4, 3, 5), align_corners=True),
    "dropout": lambda x: F.dropout(x, 0.5, False), "dropout1d": lambda x: F.dropout1d(x[0], 0.5,
                                                                                      False)[None],
    "dropout2d": lambda x: F.dropout2d(x, 0.5, training=False),
    "dropout3d": lambda x: F.dropout3d(x, training=False),
    "drop nothing": lambda x: F.dropout(x, 0),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5), "torch dropout": lambda x: torch.dropout(
        x, 0.5, train=False), "feature_dropout": lambda x: torch.feature_dropout(x, 0.5, False),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.5),
    "add": lambda x: x + 2 * x, "sub": lambda x: torch.subtract(x, x.flip(1)),
    "rsub": lambda x: torch.rsub(x, 3 * x, alpha=2), "divide": lambda x: torch.divide(x, 3),
    "true_divide": lambda x: x.true_divide(4), "multiply": lambda x: x.multiply(3),
    "pad": lambda x: F.pad(x, (1, 0)),
    "constant_pad_nd": lambda x: torch.constant_pad_nd(x, (1, 2)),
    "reflection": lambda x: F.pad(x, (1, 2, 1, 0), "reflect"),
}  # fmt: skip
WEIGHTED = {
    "linear": lambda x: F.linear(x, THETA[0].new_ones(5, 4)),
    "conv2d": lambda x: F.conv2d(x, THETA.new_ones(3, 4, 2, 2)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, THETA.new_ones(4, 3, 2, 2)),
    "matmul": lambda x: x @ THETA.new_ones(4, 4), "mul": lambda x: x * THETA.new_ones(4, 4),
    "div": lambda x: x / THETA.new_ones(4, 4), "relu": F.relu,
    "add": lambda x: x + THETA.new_ones(4, 4),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, THETA.new_ones(4), THETA.new_ones(4)),
}  # fmt: skip
JOINS = {"cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack"}


class Function(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        made = self.function(1 * x)
        return made if len(made) == 1 else made[None]


@pytest.fixture
def image(random_image):
    return random_image(1, 4, 4, 4)


def columns(function, image):
    """A linear function's matrix, from what it makes of each unit image."""
    with torch.no_grad():
        units = torch.eye(image.numel(), dtype=image.dtype).view(-1, *image.shape)
        return torch.stack([function(unit).flatten() for unit in units], 1)


def matrix(interpreter):
    units = torch.eye(interpreter.output.numel(), dtype=torch.float64)
    return interpreter.adjoint(units.view(-1, *interpreter.output.shape)).flatten(1)


@pytest.mark.parametrize("name", FORMS)
def test_what_is_linear_is_its_own_map(name, image, random_image) -> None:
    model = Function(FORMS[name])
    expected = columns(model, image)
    interpreter = LinearInterpreter(model, image)
    torch.testing.assert_close(interpreter.output, model(image).detach(), rtol=0, atol=0)
    torch.testing.assert_close(matrix(interpreter), expected)
    assert not interpreter.contributions(0).layers
    probe = random_image(1, 4, 4, 4, seed=3)
    torch.testing.assert_close(interpreter.apply(probe), model(probe))


@pytest.mark.parametrize("name", FORMS)
def test_what_is_made_of_a_gate_alone_is_a_gate(name, image) -> None:
    move = FORMS[name]
    gated = Function(lambda x: move(x.sigmoid()) * move(x))
    interpreter = LinearInterpreter(gated, image, freeze_gates=True)
    gate = Function(move)(image.sigmoid()).flatten()
    torch.testing.assert_close(matrix(interpreter), gate[:, None] * columns(Function(move), image))
    plain = Function(lambda x: move(x) * move(x))
    with pytest.raises(UnsupportedOperation, match="none of its factors is a gate"):
        LinearInterpreter(plain, image, freeze_gates=True)


@pytest.mark.parametrize(
    "name", [*sorted(FORMS.keys() - {"data", "detach", "detach_", "alias"}), *WEIGHTED]
)
def test_recording_keeps_no_more_than_the_network_itself(name, image) -> None:
    def size(function) -> int:
        """Nodes of the record that autograd keeps."""
        seen, waiting = set(), [function]
        while waiting:
            node = waiting.pop()
            if node is not None and node not in seen:
                seen.add(node)
                waiting += [parent for parent, _ in node.next_functions]
        return len(seen)

    model = Function({**FORMS, **WEIGHTED}[name])
    plain = model(image.clone().requires_grad_().clone())
    recorded = LinearInterpreter(model, image)._graph._recording.result.node
    assert size(recorded) == size(plain.grad_fn)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x.view(torch.int64).double(), "reads the digits"),
        (lambda x: x.type_as(torch.ones(1)), "reduces the precision to torch.float32"),
        (lambda x: x.to(torch.float32), "reduces the precision to torch.float32"),
        (lambda x: x * int(x.sum()), "out of PyTorch"),
        (lambda x: F.alpha_dropout(x, 0.5, training=True), "draws at random"),
        (lambda x: torch.dropout(x, 0.5, train=True), "draws at random"),
        (lambda x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=True), "constant"),
    ],
)
@pytest.mark.filterwarnings("ignore:Converting a tensor")
def test_what_loses_values_is_refused(function, reason, image) -> None:
    with pytest.raises(UnsupportedOperation, match=reason):
        LinearInterpreter(Function(function), image)


@pytest.mark.parametrize(
    "shape",
    [lambda x, y: x.expand_as(y), lambda x, y: x.view_as(y), lambda x, y: x.type_as(y),
     lambda x, y: x.to(y), lambda x, y: x.reshape_as(y)],
)  # fmt: skip
def test_a_constant_in_the_shape_of_the_image_is_a_constant(shape, image) -> None:
    model = Function(lambda x: x + shape(torch.ones(1, 4, 4, 4).double(), x) * 0.25)
    interpreter = LinearInterpreter(model, image)
    torch.testing.assert_close(interpreter.residual, torch.full_like(image, 0.25))


@pytest.mark.parametrize(
    "pad",
    [
        lambda x: F.pad(x, (1, 2, 0, 1), value=0.25),
        lambda x: F.pad(x, (1, 2, 0, 1), "constant", 0.25),
        lambda x: torch.constant_pad_nd(x, (1, 2, 0, 1), 0.25),
        lambda x: torch.constant_pad_nd(x, (1, 2, 0, 1), value=0.25),
        nn.ConstantPad2d((1, 2, 0, 1), 0.25),
    ],
)
def test_a_border_of_a_number_is_a_constant(pad, image, random_image) -> None:
    interpreter = LinearInterpreter(Function(pad), image)
    expected = torch.full((1, 4, 5, 7), 0.25, dtype=torch.float64)
    expected[..., :4, 1:5] = 0
    torch.testing.assert_close(interpreter.residual, expected)
    probe = random_image(1, 4, 4, 4, seed=3)
    torch.testing.assert_close(interpreter.apply(probe), pad(probe) - expected)


@pytest.mark.parametrize("value", [0, 0.0, None])
def test_a_border_of_zeros_is_no_constant(value, image) -> None:
    interpreter = LinearInterpreter(Function(lambda x: F.pad(x, (1, 2), value=value)), image)
    assert not interpreter.residual.any() and not interpreter.contributions(0).layers


@pytest.mark.parametrize("name", sorted(JOINS))
def test_a_constant_beside_the_image_counts_for_the_join(name, image) -> None:
    join = getattr(torch, name)
    model = Function(
        lambda x: join([x, torch.full_like(x, 0.5).detach() * 0 + 0.5]).flatten()[None]
    )
    interpreter = LinearInterpreter(model, image)
    expected = model(torch.zeros_like(image))
    torch.testing.assert_close(interpreter.residual, expected)
    assert [layer for layer, _ in interpreter.contributions(0).layers] == [f"forward:{name}"]
