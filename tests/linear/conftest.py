"""Networks with random weights, and the checks that every interpreter has to pass."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_internals
from torch.overrides import _get_current_function_mode_stack

from filterscope.linear import LinearInterpreter


def _randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Random weights, norm statistics that are not trivial, and biases that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            noise = torch.randn(tensor.shape, generator=generator)
            if name.endswith(("bias", "running_mean")):
                tensor.copy_(0.1 * noise)
            elif name.endswith("running_var") or tensor.dim() == 1:
                tensor.copy_(0.5 + noise.sigmoid())
            elif tensor.dim() > 1:
                tensor.copy_(noise * (1.5 / tensor[0].numel()) ** 0.5)
    return model.double()


def _random_image(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-12))


def _check_affine(interpreter: LinearInterpreter, expected: Tensor) -> None:
    """Value, residual, adjoint and contributions, in float64 to 1e-10."""
    images, output = interpreter.images, interpreter.output
    assert _relative(output, expected) < 1e-12
    program = interpreter._program
    at_zero = program.run(torch.zeros_like(images), offsets=program.offsets())
    scale = max(float(output.abs().max()), float(at_zero.abs().max()))
    gap = (interpreter.apply(images) + at_zero - output).abs().max()
    assert float(gap) < 1e-10 * scale
    assert float((at_zero - interpreter.residual).abs().max()) < 1e-10 * scale
    probes, cotangents = _random_image(3, *images.shape), _random_image(3, *output.shape, seed=2)
    forward = (interpreter.apply(probes) * cotangents).flatten(1).sum(1)
    backward = (interpreter.adjoint(cotangents) * probes).flatten(1).sum(1)
    norm = interpreter.apply(probes).norm() * cotangents.norm()
    assert float((forward - backward).abs().max()) <= 1e-10 * float(norm)
    torch.testing.assert_close(
        interpreter.apply(probes)[1], interpreter.apply(probes[1]), rtol=1e-9, atol=1e-12
    )
    for image, parts in enumerate(interpreter.contributions([0] * len(output))):
        score = float(output[image].flatten()[0])
        terms = [parts.input, *[value for _, value in parts.layers]]
        assert abs(parts.total - score) <= 1e-10 * max(abs(term) for term in [score, *terms])


@pytest.fixture
def randomised() -> Callable[..., nn.Module]:
    return _randomised


@pytest.fixture
def random_image() -> Callable[..., Tensor]:
    return _random_image


@pytest.fixture
def relative() -> Callable[[Tensor, Tensor], float]:
    return _relative


@pytest.fixture
def check_affine() -> Callable[[LinearInterpreter, Tensor], None]:
    return _check_affine


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """No test may leave a hook or a mode in PyTorch."""
    yield
    assert not module_internals._global_forward_hooks
    assert not module_internals._global_forward_pre_hooks
    assert not module_internals._global_forward_hooks_always_called
    assert not _get_current_function_mode_stack()
    assert torch.is_grad_enabled()
