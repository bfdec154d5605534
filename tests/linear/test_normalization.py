"""Norms and lengths: each reading by the formula, with the statistics computed by hand."""

import pytest
import torch
from tests.linear.networks import Unit
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter, UnsupportedOperation

WEIGHT = torch.tensor([0.5, -1.5, 2.0, 0.7], dtype=torch.float64)
BIAS = torch.tensor([0.3, 0.0, -1.0, 0.4], dtype=torch.float64)
MEAN = torch.tensor([0.2, -0.4, 0.1, 0.9], dtype=torch.float64)
VARIANCE = torch.tensor([0.5, 1.5, 2.5, 0.2], dtype=torch.float64)
LINE = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


@pytest.fixture
def image(random_image):
    return random_image(1, 4, 3, 3) * 1.7 + 0.6


# call, axes of the statistics, weight, bias, eps
OWN = {
    "instance": (lambda x: F.instance_norm(x), (2, 3), None, None, 1e-5),
    "instance, weighted": (
        lambda x: F.instance_norm(x, MEAN, VARIANCE, WEIGHT, BIAS, True, 0.2, 0.03),
        (2, 3), WEIGHT.view(-1, 1, 1), BIAS.view(-1, 1, 1), 0.03),
    "group": (lambda x: F.group_norm(x, 2, WEIGHT, BIAS, 0.02), "groups", WEIGHT.view(-1, 1, 1),
              BIAS.view(-1, 1, 1), 0.02),
    "group, default": (lambda x: F.group_norm(x, 2), "groups", None, None, 1e-5),
    "layer": (lambda x: F.layer_norm(x, (3,), LINE, -LINE, 0.01), (3,), LINE, -LINE, 0.01),
    "group, in C++": (lambda x: torch.group_norm(x, 2), "groups", None, None, 1e-5),
    "layer, in C++": (lambda x: torch.layer_norm(x, (3,)), (3,), None, None, 1e-5),
    "layer, default": (lambda x: F.layer_norm(x, (4, 3, 3)), (1, 2, 3), None, None, 1e-5),
    "batch of one": (lambda x: F.batch_norm(x, MEAN, VARIANCE, WEIGHT, BIAS, True, 0.0, 0.04),
                     (0, 2, 3), WEIGHT.view(-1, 1, 1), BIAS.view(-1, 1, 1), 0.04),
    "batch of one, no statistics": (lambda x: F.batch_norm(x, None, None, training=True),
                                    (0, 2, 3), None, None, 1e-5),
}  # fmt: skip


def statistics(image, axes):
    if axes != "groups":
        mean = image.mean(axes, keepdim=True)
        return mean, (image - mean).square().mean(axes, keepdim=True)
    halves = [statistics(half, (1, 2, 3)) for half in image.split(2, 1)]
    return tuple(
        torch.cat([one.expand(1, 2, 1, 1) for one in found], 1)
        for found in zip(*halves, strict=True)
    )


@pytest.mark.parametrize("name", OWN)
def test_norms_by_their_own_statistics(name, image, random_image) -> None:
    call, axes, weight, bias, eps = OWN[name]
    mean, variance = statistics(image, axes)
    scale = (1 if weight is None else weight) / (variance + eps).sqrt()
    shift = 0 if bias is None else bias
    probe = random_image(1, 4, 3, 3, seed=5)
    frozen = LinearInterpreter(Unit(call), image)
    torch.testing.assert_close(frozen.output, (image - mean) * scale + shift)
    torch.testing.assert_close(frozen.apply(probe), probe * scale)
    torch.testing.assert_close(frozen.residual, (shift - mean * scale).expand_as(image))
    centred = LinearInterpreter(Unit(call), image, norm_freeze="var")
    by_image = statistics(probe, axes)[0]
    torch.testing.assert_close(centred.apply(probe), (probe - by_image) * scale)
    expected = torch.zeros_like(image) + shift
    torch.testing.assert_close(centred.residual, expected, rtol=0, atol=1e-12)
    jacobian = LinearInterpreter(Unit(call), image, norm_freeze="none")
    _, slope = torch.func.jvp(call, (image,), (probe,))
    torch.testing.assert_close(jacobian.apply(probe), slope)
    _, slope = torch.func.jvp(call, (image,), (image,))
    torch.testing.assert_close(jacobian.residual, frozen.output - slope)


@pytest.mark.parametrize("momentum", [0.1, 0.9])
@pytest.mark.parametrize(
    "norm",
    [
        lambda x, m: F.batch_norm(x, MEAN, VARIANCE, WEIGHT, BIAS, False, m, 0.03),
        lambda x, m: F.instance_norm(x, MEAN, VARIANCE, WEIGHT, BIAS, False, m, 0.03),
        lambda x, m: F.batch_norm(x, MEAN, VARIANCE, weight=WEIGHT, bias=BIAS, eps=0.03),
    ],
)
def test_norms_by_running_statistics(norm, momentum, image, random_image) -> None:
    scale = (WEIGHT / (VARIANCE + 0.03).sqrt()).view(-1, 1, 1)
    images = torch.cat([image, image.flip(2)])
    interpreter = LinearInterpreter(Unit(lambda x: norm(x, momentum)), images)
    probe = random_image(2, 4, 3, 3, seed=5)
    torch.testing.assert_close(interpreter.apply(probe), probe * scale)
    shift = BIAS.view(-1, 1, 1) - MEAN.view(-1, 1, 1) * scale
    torch.testing.assert_close(interpreter.residual, shift.expand(2, 4, 3, 3))


def test_running_statistics_alone(image) -> None:
    plain = LinearInterpreter(Unit(lambda x: F.batch_norm(x, MEAN, VARIANCE)), image)
    scale = 1 / (VARIANCE.view(-1, 1, 1) + 1e-5).sqrt()
    torch.testing.assert_close(plain.residual[0], (-MEAN.view(-1, 1, 1) * scale).expand(4, 3, 3))
    assert len(plain.contributions(0).layers) == 1
    centred = LinearInterpreter(Unit(lambda x: F.batch_norm(x, 0 * MEAN, VARIANCE)), image)
    assert not centred.contributions(0).layers


def test_probes_may_lie_in_memory_channels_last(image, random_image) -> None:
    interpreter = LinearInterpreter(
        Unit(lambda x: F.instance_norm(x, MEAN, VARIANCE, WEIGHT, BIAS, False, 0.1, 0.03)), image
    )
    scale = (WEIGHT / (VARIANCE + 0.03).sqrt()).view(1, -1, 1, 1)
    probe = random_image(1, 4, 3, 3, seed=3).to(memory_format=torch.channels_last)
    torch.testing.assert_close(interpreter.adjoint(probe), probe * scale)


def test_statistics_of_a_batch_are_refused(image) -> None:
    for arguments in ((MEAN, VARIANCE), (None, None)):
        norm = Unit(lambda x, given=arguments: F.batch_norm(x, *given, training=True, momentum=0))
        LinearInterpreter(norm, image)
        with pytest.raises(UnsupportedOperation, match="statistics over the batch"):
            LinearInterpreter(norm, torch.cat([image, image]))


def power(x, after):
    """Of each channel, the one before and so many after it."""
    each = [x[:, max(k - 1, 0) : k + after + 1].square().sum(1) for k in range(x.shape[1])]
    return torch.stack(each, 1)


RATES = {
    "rms": (lambda x: F.rms_norm(x, (3,)),
            lambda x: (x.square().mean(3, True) + 2.0**-52) ** -0.5),
    "rms, in C++": (lambda x: torch.rms_norm(x, (3, 3)),
                    lambda x: (x.square().mean((2, 3), True) + 2.0**-52) ** -0.5),
    "rms, weighted": (lambda x: F.rms_norm(x, (3, 3), torch.stack([LINE] * 3), 0.1),
                      lambda x: LINE * (x.square().mean((2, 3), keepdim=True) + 0.1) ** -0.5),
    "length": (lambda x: F.normalize(x), lambda x: x.square().sum(1, keepdim=True) ** -0.5),
    "length along": (lambda x: F.normalize(x, dim=-1, eps=2.5),
                     lambda x: 1 / x.square().sum(3, keepdim=True).sqrt().clamp(min=2.5)),
    "response": (lambda x: F.local_response_norm(x, 3, 0.6, 0.8, 0.9),
                 lambda x: (0.9 + 0.6 / 3 * power(x, 1)) ** -0.8),
    "response, default": (lambda x: F.local_response_norm(x, 2),
                          lambda x: (1 + 1e-4 / 2 * power(x, 0)) ** -0.75),
}  # fmt: skip


@pytest.mark.parametrize("name", RATES)
def test_norms_that_only_scale(name, image, random_image) -> None:
    call, rate = RATES[name]
    probe = random_image(1, 4, 3, 3, seed=5)
    for freeze in ("mean+var", "var"):
        frozen = LinearInterpreter(Unit(call), image, norm_freeze=freeze)
        torch.testing.assert_close(frozen.apply(probe), probe * rate(image))
        assert float(frozen.residual.abs().max()) < 1e-14
        assert not frozen.contributions(0).layers
    jacobian = LinearInterpreter(Unit(call), image, norm_freeze="none")
    _, slope = torch.func.jvp(lambda x: x * rate(x), (image,), (probe,))
    torch.testing.assert_close(jacobian.apply(probe), slope)
    torch.testing.assert_close(jacobian.apply(image) + jacobian.residual, image * rate(image))


LENGTHS = {
    "norm": (lambda x: x.norm(), None, False), "norm along": (lambda x: x.norm(dim=1), (1,), False),
    "torch.norm": (lambda x: torch.norm(x, 2, (2, 3), True), (2, 3), True),
    "fro": (lambda x: torch.norm(x, p="fro", dim=(1, 2)), (1, 2), False),
    "vector_norm": (lambda x: torch.linalg.vector_norm(x, dim=3, keepdim=True), (3,), True),
    "vector_norm, ord": (lambda x: torch.linalg.vector_norm(x, ord=2, dim=(1, 3)), (1, 3), False),
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths_keep_their_direction(name, image, random_image) -> None:
    call, axes, kept = LENGTHS[name]
    axes = axes or (0, 1, 2, 3)
    interpreter = LinearInterpreter(Unit(lambda x: call(x).reshape(1, -1)), image)
    probe = random_image(1, 4, 3, 3, seed=5)
    size = image.square().sum(axes, keepdim=True).sqrt()
    expected = (probe * image / size).sum(axes, keepdim=kept).reshape(1, -1)
    torch.testing.assert_close(interpreter.apply(probe), expected)
    torch.testing.assert_close(interpreter.output, size.reshape(1, -1))
    assert not interpreter.contributions(0).layers
    gated = LinearInterpreter(Unit(lambda x: x * call(x).mean()), image, freeze_gates=True)
    torch.testing.assert_close(gated.apply(probe), probe * size.mean())


def test_a_length_of_zero_has_no_direction(random_image) -> None:
    image = torch.zeros(1, 4, 3, 3, dtype=torch.float64)
    image[0, 0] = 1
    interpreter = LinearInterpreter(Unit(lambda x: x.norm(dim=(2, 3))), image)
    found = interpreter.apply(random_image(1, 4, 3, 3))
    assert found[0, 0] and not found[0, 1:].any()


@pytest.mark.parametrize(
    "length",
    [lambda x: x.norm(1, dim=1), lambda x: torch.norm(x, p=3, dim=1), lambda x: F.normalize(x, p=1),
     lambda x: torch.linalg.vector_norm(x, 3, dim=1), lambda x: torch.norm(x, "nuc", (2, 3)),
     lambda x: torch.linalg.vector_norm(x, ord=1, dim=1)],
)  # fmt: skip
def test_other_lengths_are_refused(length, image) -> None:
    with pytest.raises(UnsupportedOperation, match="only lengths with p=2"):
        LinearInterpreter(Unit(length), image)


def test_arguments_in_an_order_that_no_rule_knows_are_refused(image) -> None:
    norm = Unit(lambda x: torch.batch_norm(x, WEIGHT, BIAS, MEAN, VARIANCE, False, 0.1, 0.1, False))
    with pytest.raises(UnsupportedOperation, match="its rule does not know these arguments"):
        LinearInterpreter(norm, image)
