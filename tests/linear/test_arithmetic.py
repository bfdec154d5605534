"""Sums, products and contractions: each form, with a constant and with a gate."""

import pytest
import torch
from tests.linear.networks import FlatUnit
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation

SQUARE = torch.linspace(-1, 1.5, 16, dtype=torch.float64).view(4, 4)
VECTOR = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)


@pytest.fixture
def image(random_image):
    return random_image(1, 4, 4)


CONTRACTIONS = {
    "matmul": lambda a, b: a @ b, "mm": lambda a, b: torch.mm(a[0], b),
    "bmm": lambda a, b: torch.bmm(a, b[None]), "mv": lambda a, b: torch.mv(a[0], b[0]),
    "dot": lambda a, b: torch.dot(a[0, 1], b[2]), "outer": lambda a, b: torch.outer(a[0, 0], b[3]),
    "einsum": lambda a, b: torch.einsum("nij,kj->nik", a, b),
    "tensordot": lambda a, b: torch.tensordot(a, b, dims=([1], [1])),
    "mul": lambda a, b: a * b, "multiply": lambda a, b: torch.multiply(a, b),
    "linear": lambda a, b: torch.einsum("nij,jk->nik", a, b),
}  # fmt: skip


def columns(function, size):
    units = torch.eye(size, dtype=torch.float64).view(-1, 1, 4, 4)
    return torch.stack([function(unit).flatten() for unit in units], 1)


def matrix(interpreter):
    units = torch.eye(interpreter.output.numel(), dtype=torch.float64)[:, None]
    return interpreter.adjoint(units).flatten(1)


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_products_with_a_constant(name, image) -> None:
    product = CONTRACTIONS[name]
    interpreter = LinearInterpreter(FlatUnit(lambda x: product(x, SQUARE)), image)
    expected = columns(lambda x: product(x, SQUARE), 16)
    torch.testing.assert_close(matrix(interpreter), expected)
    swapped = LinearInterpreter(FlatUnit(lambda x: product(SQUARE[None], x[0])), image)
    expected = columns(lambda x: product(SQUARE[None], x[0]), 16)
    torch.testing.assert_close(matrix(swapped), expected)
    assert not swapped.residual.any() and not interpreter.residual.any()


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_products_with_a_gate_on_either_side(name, image) -> None:
    product, gate = CONTRACTIONS[name], image.sigmoid()
    for function, frozen in [
        (lambda x: product(x, x[0].sigmoid()), lambda x: product(x, gate[0])),
        (lambda x: product(x.sigmoid(), x[0]), lambda x: product(gate, x[0])),
        # of two gates of one size the right one is frozen
        (lambda x: product(x.sigmoid(), x[0].sigmoid()), None),
    ]:
        with pytest.raises(UnsupportedOperation, match="freeze_gates=True"):
            LinearInterpreter(FlatUnit(function), image)
        interpreter = LinearInterpreter(FlatUnit(function), image, freeze_gates=True)
        if frozen is None:
            value = product(gate, gate[0]).flatten()[None]
            torch.testing.assert_close(interpreter.output, value)
            continue
        torch.testing.assert_close(matrix(interpreter), columns(frozen, 16))
        assert not interpreter.residual.any()


def test_of_two_gates_the_smaller_is_frozen(image) -> None:
    small = image.mean((1, 2), keepdim=True).sigmoid()
    chord = ((image.sigmoid() - 0.5) / image).flatten()
    functions = [
        lambda x: x.sigmoid() * x.mean((1, 2), keepdim=True).sigmoid(),
        lambda x: x.mean((1, 2), keepdim=True).sigmoid() * x.sigmoid(),
    ]
    for function in functions:
        interpreter = LinearInterpreter(FlatUnit(function), image, freeze_gates=True)
        torch.testing.assert_close(matrix(interpreter), torch.diag(chord * small.item()))
        torch.testing.assert_close(interpreter.residual, 0.5 * small.expand(1, 4, 4).reshape(1, -1))


@pytest.mark.parametrize(
    ("function", "slope", "shift"),
    [
        (lambda x: torch.add(x, 2, alpha=3), 1, 6),
        (lambda x: torch.add(5, x, alpha=3), 3, 5),
        (lambda x: torch.sub(x, 2, alpha=3), 1, -6),
        (lambda x: torch.sub(SQUARE * 0 + 5, x, alpha=3), -3, 5),
        (lambda x: torch.subtract(x, 0.5), 1, -0.5),
        (lambda x: torch.rsub(x, 2), -1, 2),
        (lambda x: torch.rsub(x, 2, alpha=3), -3, 2),
        (lambda x: 7 - x, -1, 7),
        (lambda x: torch.add(x, x, alpha=0.5), 1.5, 0),
        (lambda x: torch.sub(x, 2 * x, alpha=3), -5, 0),
        (lambda x: torch.rsub(x, 2 * x, alpha=3), -1, 0),
        (lambda x: x / 4, 0.25, 0),
        (lambda x: torch.divide(x, torch.tensor(0.5).double()), 2, 0),
        (lambda x: torch.true_divide(x, 0.1), 10, 0),
        (lambda x: x + 1 / 3, 1, 1 / 3),
        (lambda x: torch.addcmul(x, SQUARE * 0 + 2, SQUARE * 0 + 3, value=0.5), 1, 3),
        (lambda x: torch.addcmul(SQUARE * 0 + 1, x, SQUARE * 0 + 3, value=0.5), 1.5, 1),
        (lambda x: torch.addcmul(x, SQUARE * 0 + 3, x), 4, 0),
    ],
)
def test_sums_and_quotients(function, slope, shift, image) -> None:
    interpreter = LinearInterpreter(FlatUnit(function), image)
    eye = torch.eye(16, dtype=torch.float64)
    torch.testing.assert_close(matrix(interpreter), slope * eye, rtol=1e-14, atol=0)
    expected = torch.full((1, 16), float(shift), dtype=torch.float64)
    torch.testing.assert_close(interpreter.residual, expected, rtol=0, atol=1e-14)
    assert len(interpreter.contributions(0).layers) == (shift != 0)


def test_a_quotient_of_two_keeps_its_denominator(image) -> None:
    function = FlatUnit(lambda x: x / (1 + x.abs().sum()))
    with pytest.raises(UnsupportedOperation, match="divides by a tensor"):
        LinearInterpreter(function, image)
    interpreter = LinearInterpreter(function, image, freeze_gates=True)
    expected = torch.eye(16).double() / (1 + image.abs().sum())
    torch.testing.assert_close(matrix(interpreter), expected)
    gated = FlatUnit(lambda x: (x.sigmoid() / (1 + x.abs().sum())) * x)
    interpreter = LinearInterpreter(gated, image, freeze_gates=True)
    gate = (image.sigmoid() / (1 + image.abs().sum())).flatten()
    torch.testing.assert_close(matrix(interpreter), torch.diag(gate))
    for refused in (lambda x: 1 / (2 + x), lambda x: SQUARE / (2 + x)):
        with pytest.raises(UnsupportedOperation):
            LinearInterpreter(FlatUnit(refused), image, freeze_gates=True)
    with pytest.raises(UnsupportedOperation, match="both depend on the image"):
        LinearInterpreter(FlatUnit(lambda x: torch.addcmul(x, x, 2 * x)), image)


def test_rounded_quotients_are_constants(image) -> None:
    for rounding in ("floor", "trunc"):
        model = FlatUnit(lambda x, mode=rounding: x + torch.div(x, 0.3, rounding_mode=mode))
        interpreter = LinearInterpreter(model, image)
        expected = torch.div(image, 0.3, rounding_mode=rounding).flatten()[None]
        torch.testing.assert_close(interpreter.residual, expected)


def test_gates_add_up_to_a_gate(image) -> None:
    for function in (lambda x: 1 + x.sigmoid(), lambda x: x.sigmoid() - x.tanh().sigmoid()):
        model = FlatUnit(lambda x, gate=function: gate(x) * x)
        interpreter = LinearInterpreter(model, image, freeze_gates=True)
        torch.testing.assert_close(matrix(interpreter), torch.diag(function(image).flatten()))
    with pytest.raises(UnsupportedOperation, match="none of its factors is a gate"):
        LinearInterpreter(FlatUnit(lambda x: (x.sigmoid() + x) * x), image, freeze_gates=True)


ATTENTIONS = {
    "plain": {}, "causal": {"is_causal": True}, "scaled": {"scale": 0.3},
    "masked": {"attn_mask": SQUARE.mT > -0.5}, "no dropout": {"dropout_p": 0.0},
}  # fmt: skip


@pytest.mark.parametrize("name", ATTENTIONS)
def test_attention_keeps_its_weights(name, image) -> None:
    settings, values = ATTENTIONS[name], VECTOR.view(1, 1, 4) * image
    model = FlatUnit(lambda x: F.scaled_dot_product_attention(x, x.mT, VECTOR * x, **settings))
    interpreter = LinearInterpreter(model, image, freeze_gates=True)
    scores = image @ image * settings.get("scale", 0.5)
    mask = settings.get("attn_mask", SQUARE.new_ones(4, 4).tril() > 0)
    if "attn_mask" in settings or "is_causal" in settings:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)
    torch.testing.assert_close(interpreter.output, (weights @ values).flatten()[None])
    torch.testing.assert_close(matrix(interpreter), columns(lambda x: weights @ (VECTOR * x), 16))
    assert not interpreter.residual.any()
    with pytest.raises(UnsupportedOperation, match="freeze_gates=True"):
        LinearInterpreter(model, image)
    constant = FlatUnit(lambda x: x + F.scaled_dot_product_attention(x, x.mT, SQUARE[None]))
    with pytest.raises(UnsupportedOperation, match="its values are constant"):
        LinearInterpreter(constant, image, freeze_gates=True)
