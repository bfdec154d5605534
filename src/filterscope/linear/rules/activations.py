"""Activations: piecewise linear ones by slope, smooth ones by gate, gain, chord or tangent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.rules.table import Affine, Call, nonzero, rule, scaling


@rule("relu")
def relu(call: Call, input: Tensor, inplace: bool = False) -> Affine:
    """A mask, zero at zero as in the derivative that PyTorch takes."""
    mask = input > 0
    return scaling(mask, own_gradient=True)


@rule(
    "leaky_relu", "prelu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max",
    "hardsigmoid", "abs", "absolute", "threshold", "hardshrink", "softshrink",
)  # fmt: skip
def piecewise_linear(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """The slope of the piece that the image is on, and that piece's constant."""
    call.only(input)
    line = _tangent(call, input)
    if line.offset is None and call.name not in _THROUGH_ZERO:
        # another image may be clipped, and its layers must be the same
        line = replace(line, offset=torch.zeros_like(call.output))
    return replace(line, is_gate=call.name == "hardsigmoid")


_THROUGH_ZERO = ("leaky_relu", "prelu", "abs", "absolute")


@rule("rrelu")
def rrelu(
    call: Call, input: Tensor, lower: float = 0, upper: float = 0, training: bool = False,
    inplace: bool = False,
) -> Affine:  # fmt: skip
    """A leaky ReLU with the mean slope; slopes drawn at random are refused."""
    if training:
        raise call.refusal("it draws slopes at random although the network is in eval mode")
    return _tangent(call, input)


@rule("silu", "mish", "hardswish", "gelu")
def self_gated(call: Call, input: Tensor, *_args: Any, **kwargs: Any) -> Affine:
    """h(y) / y, which is regular at zero: the gate, from its own formula."""
    if call.options.smooth == "tangent":
        return _tangent(call, input)
    gate = _GATES[call.name](input, **{k: v for k, v in kwargs.items() if k == "approximate"})
    return scaling(gate)


def _gelu_gate(y: Tensor, approximate: str = "none") -> Tensor:
    """Phi(y), or the approximation of it by tanh."""
    if approximate == "tanh":
        return (1 + torch.tanh(math.sqrt(2 / math.pi) * (y + 0.044715 * y**3))) / 2
    return (1 + torch.erf(y / math.sqrt(2))) / 2


_GATES: dict[str, Callable[..., Tensor]] = {
    "silu": torch.sigmoid,
    "mish": lambda y: torch.tanh(F.softplus(y)),
    "hardswish": F.hardsigmoid,
    "gelu": _gelu_gate,
}


@rule(
    "sigmoid", "special_expit", "tanh", "softplus", "elu", "celu", "selu", "log_sigmoid",
    "softsign", "tanhshrink", "erf", "atan", "arctan", "exp", "expm1", "sin", "cos",
)  # fmt: skip
def smooth(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """A line through the unit's value: through the origin, through h(0), or its tangent."""
    call.only(input)
    choice = call.options.smooth
    line = {"gain": _gain, "chord": _chord, "tangent": _tangent}[choice](call, input)
    return replace(line, is_gate=call.name in ("sigmoid", "special_expit"))


def _tangent(call: Call, input: Tensor) -> Affine:
    """A = h'(y), c = h(y) - h'(y) y."""
    slope = _derivative(call, input)
    return scaling(slope, nonzero(call.output - slope * input))


def _gain(call: Call, input: Tensor) -> Affine:
    """A = h(y) / y, c = 0; near zero A = 0, c = h(y), unless h(0) is 0."""
    at_zero = call.again()(torch.zeros_like(input))
    if not bool(at_zero.any()):
        return _chord(call, input)
    near = input.abs() < _tolerance(input)
    gain = torch.where(near, 0, call.output / torch.where(near, 1, input))
    return scaling(gain, nonzero(torch.where(near, call.output, 0)))


def _chord(call: Call, input: Tensor) -> Affine:
    """A = (h(y) - h(0)) / y, which is h'(0) at zero; c = h(0)."""
    at_zero = call.again()(torch.zeros_like(input))
    near = input.abs() < _tolerance(input)
    rise = (call.output - at_zero) / torch.where(near, 1, input)
    slope = torch.where(near, _derivative(call, input), rise)
    return scaling(slope, nonzero(at_zero))


def _derivative(call: Call, input: Tensor) -> Tensor:
    with torch.enable_grad():
        point = input.detach().requires_grad_()
        return torch.autograd.grad(call.again()(point).sum(), point)[0]


def _tolerance(input: Tensor) -> float:
    """Below it, the tangent for the chord costs less than a rounding error."""
    return math.sqrt(torch.finfo(input.dtype).eps)
