"""Networks whose output is an image are read exactly: value, adjoint, conservation, matrix."""

import pytest
import torch

from filterscope.linear import LinearInterpreter
from filterscope.models import (
    Bicubic,
    CycleGanGenerator,
    Edsr,
    FastStyleGenerator,
    PixelShuffleNet,
    create_image_network,
)

PIECEWISE_LINEAR = {
    "bicubic": (lambda: Bicubic(3), (3, 5, 4)),
    "bicubic matlab": (lambda: Bicubic(2, "matlab"), (3, 5, 4)),
    "bicubic pil": (lambda: Bicubic(4, "pil"), (3, 4, 5)),
    "espcn": (lambda: PixelShuffleNet(3), (1, 7, 6)),
    "edsr x2": (lambda: Edsr(2, blocks=2, filters=4), (3, 5, 6)),
    "edsr x3": (lambda: Edsr(3, blocks=2, filters=4, residual_scale=0.1), (3, 4, 5)),
    "edsr x4": (lambda: Edsr(4, blocks=2, filters=4), (3, 4, 5)),
}
NORMALISED = {
    "cyclegan": (lambda: CycleGanGenerator(blocks=2, filters=3), (3, 12, 8)),
    "cyclegan with dropout": (lambda: CycleGanGenerator(1, 3, dropout=True), (3, 8, 12)),
    "fast style": (lambda: FastStyleGenerator(filters=3), (3, 12, 8)),
}
ALL = PIECEWISE_LINEAR | NORMALISED


def build(name, randomised, random_image):
    make, shape = ALL[name]
    return randomised(make()).eval(), random_image(1, *shape)


def as_columns(interpreter):
    """F, a column after the other: (outputs, inputs)."""
    size = interpreter.images[0].numel()
    return torch.stack([interpreter.column(j).flatten() for j in range(size)], 1)


def as_rows(interpreter):
    """F, a row after the other: (outputs, inputs)."""
    size = interpreter.output[0].numel()
    return torch.stack([interpreter.row(i).flatten() for i in range(size)])


@pytest.mark.parametrize("name", ALL)
def test_value_adjoint_and_conservation(name, randomised, random_image, check_affine) -> None:
    model, image = build(name, randomised, random_image)
    with torch.no_grad():
        expected = model(image)
    check_affine(LinearInterpreter(model, image), expected)


@pytest.mark.parametrize("name", ALL)
def test_rows_columns_and_products_are_of_one_matrix(
    name, randomised, random_image, relative
) -> None:
    model, image = build(name, randomised, random_image)
    interpreter = LinearInterpreter(model, image)
    matrix = as_columns(interpreter)
    assert relative(as_rows(interpreter), matrix) < 1e-12
    probe, cotangent = random_image(*image.shape), random_image(*interpreter.output.shape, seed=3)
    assert relative(interpreter.apply(probe).flatten(), matrix @ probe.flatten()) < 1e-12
    assert relative(interpreter.adjoint(cotangent).flatten(), cotangent.flatten() @ matrix) < 1e-12
    operator = interpreter.as_linear_operator()
    assert operator.shape == tuple(matrix.shape)


@pytest.mark.parametrize("name", ALL)
def test_the_matrix_is_the_jacobian_unless_statistics_are_frozen(
    name, randomised, random_image, relative
) -> None:
    model, image = build(name, randomised, random_image)
    jacobian = torch.autograd.functional.jacobian(model, image)
    frozen = as_columns(LinearInterpreter(model, image))
    gap = relative(frozen, jacobian.reshape(frozen.shape))
    assert gap < 1e-12 if name in PIECEWISE_LINEAR else gap > 1e-2
    if name in NORMALISED:
        options = {"smooth": "tangent", "norm_freeze": "none"}
        tangent = as_columns(LinearInterpreter(model, image, **options))
        assert relative(tangent, jacobian.reshape(frozen.shape)) < 1e-10


@pytest.mark.parametrize("kernel", ["torch", "matlab", "pil"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_is_one_matrix_of_shifted_rows_that_sum_to_one(
    kernel, scale, random_image, relative
) -> None:
    size = 8
    readings = [
        LinearInterpreter(Bicubic(scale, kernel).double(), random_image(1, 1, size, size, seed=s))
        for s in range(2)
    ]
    matrices = [as_rows(interpreter) for interpreter in readings]
    assert relative(*matrices) < 1e-14  # whatever the picture
    assert all(float(one.residual.abs().max()) < 1e-12 for one in readings)
    assert float((matrices[0].sum(1) - 1).abs().max()) < 1e-12
    rows = matrices[0].reshape(size, scale, size, scale, size, size)
    for y, x in [(3, 4), (4, 3), (4, 4)]:
        shifted = rows[3, :, 3].roll((y - 3, x - 3), (2, 3))
        torch.testing.assert_close(rows[y, :, x], shifted, rtol=0, atol=1e-13)
    phases = rows[3, :, 3].reshape(scale**2, -1)
    assert len({tuple(phase.tolist()) for phase in phases}) == scale**2


def test_constants_of_a_luminance_network_are_its_biases(randomised, random_image) -> None:
    model, image = build("espcn", randomised, random_image)
    parts = LinearInterpreter(model, image).contributions((0, 9, 9))
    assert [name for name, _ in parts.layers] == ["conv1", "conv2", "conv3", "conv4"]


def test_a_colour_shift_counts_for_the_constant_part(randomised, random_image) -> None:
    model, image = build("edsr x2", randomised, random_image)
    parts = LinearInterpreter(model, image).contributions((0, 3, 3))
    assert {"sub_mean", "add_mean"} <= {name for name, _ in parts.layers}


NAMES = [("espcn", 3), ("edsr_baseline", 2), ("cyclegan", 1), ("fast_style", 1)]


@pytest.mark.parametrize(("name", "scale"), NAMES)
def test_networks_of_full_size_with_random_weights(name, scale) -> None:
    network = create_image_network(name, random_weights=True, scale=scale)
    pixels = torch.randint(
        0, 256, (3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    interpreter = LinearInterpreter(network.model, network.prepare(pixels), dtype=torch.float64)
    probe = torch.randn(interpreter.images.shape, dtype=torch.float64)
    cotangent = torch.randn(interpreter.output.shape, dtype=torch.float64)
    forward, backward = interpreter.apply(probe), interpreter.adjoint(cotangent)
    gap = float((forward * cotangent).sum() - (backward * probe).sum())
    assert abs(gap) <= 1e-10 * float(forward.norm() * cotangent.norm())
    whole = interpreter.apply(interpreter.images) + interpreter.residual
    torch.testing.assert_close(whole, interpreter.output, rtol=1e-10, atol=1e-10)
    interpreter.contributions((0, 5, 5))  # checks conservation to 1e-10
