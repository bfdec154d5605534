"""Sums, and products with one operand that is constant."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.rules.gating import gated_product
from filterscope.linear.rules.local import Pointwise, Summed
from filterscope.linear.rules.table import Affine, Call, nonzero, rule

Number = Tensor | float


@rule("add")
def addition(call: Call, input: Number, other: Number, *, alpha: float = 1) -> Affine:
    """The sum x + alpha z."""
    return _sum(call, (input, 1), (other, alpha))


@rule("sub", "subtract")
def subtraction(call: Call, input: Number, other: Number, *, alpha: float = 1) -> Affine:
    """The difference x - alpha z."""
    return _sum(call, (input, 1), (other, -alpha))


@rule("rsub")
def reversed_subtraction(call: Call, input: Number, other: Number, *, alpha: float = 1) -> Affine:
    """The difference z - alpha x."""
    return _sum(call, (input, -alpha), (other, 1))


def _sum(call: Call, *terms: tuple[Number, float]) -> Affine:
    """Keep the terms that depend on the image; the others make the offset."""
    shape, dtype = call.output.shape, call.output.dtype
    factors = [factor for value, factor in terms if call.depends(value)]
    constants = [value * factor for value, factor in terms if not call.depends(value)]

    def linear(*values: Tensor) -> Tensor:
        total = _scaled(values[0], factors[0])
        for value, factor in zip(values[1:], factors[1:], strict=True):
            total = total + _scaled(value, factor)
        return total.expand(shape).to(dtype)

    gate = all(call.gates)
    local = Summed(factors) if all(one.shape == shape for one in call.inputs) else None
    if not constants:
        return Affine(linear, is_gate=gate, own_gradient=True, local=local)
    # a Python number would first become a tensor of single precision
    offset = torch.as_tensor(constants[0], dtype=dtype, device=call.output.device)
    return Affine(linear, nonzero(offset), is_gate=gate, own_gradient=True, local=local)


def _scaled(value: Tensor, factor: float) -> Tensor:
    return value if factor == 1 else value * factor


@rule("mul", "multiply")
def product(call: Call, input: Number, other: Number) -> Affine | UnsupportedOperation:
    """A tensor times a constant, or times a gate."""
    return gated_product(call)


@rule("div", "true_divide", "divide")
def quotient(
    call: Call, input: Number, other: Number, *, rounding_mode: str | None = None
) -> Affine | None:
    """A tensor divided by a constant; by another tensor only where gates are frozen."""
    if rounding_mode is not None:
        return None
    if not call.depends(other):
        gate, whole = all(call.gates), call.inputs[0].shape == call.output.shape
        local = Pointwise(1 / other) if whole else None
        return Affine(call.again(), is_gate=gate, own_gradient=True, local=local)
    if not (call.options.freeze_gates and call.depends(input)):
        raise call.refusal(
            "it divides by a tensor that depends on the image; `freeze_gates=True` keeps a "
            "denominator as it is at the image"
        )
    assert isinstance(input, Tensor) and isinstance(other, Tensor)
    return Affine(call.again(frozen=[other]), inputs=(input,), is_gate=call.gates[0])


@rule("addcmul")
def added_product(
    call: Call, input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1
) -> Affine:
    """The sum x + value y z, with y or z constant."""
    if call.depends(tensor1) and call.depends(tensor2):
        raise call.refusal("it multiplies tensors that both depend on the image")
    again = call.again()
    constant: Tensor = again(*[torch.zeros_like(one) for one in call.inputs])

    def linear(*values: Tensor) -> Tensor:
        found: Tensor = again(*values)
        return found - constant

    return Affine(linear, nonzero(constant), own_gradient=True)


@rule("matmul", "rmatmul", "mm", "bmm", "mv", "dot", "einsum", "tensordot", "outer")
def contraction(call: Call, *_args: Any, **_kwargs: Any) -> Affine | UnsupportedOperation:
    """A product of matrices, one of them constant or a gate."""
    return gated_product(call)
