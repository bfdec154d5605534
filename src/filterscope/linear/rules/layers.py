"""Layers with weights: convolutions and linear layers."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.rules.table import Affine, Call, nonzero, rule


@rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(
    call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Affine:
    """W x + b, the bias the same at each position."""
    call.only(input)
    convolve, positions = call.function, call.output.dim() - (1 if _unbatched(call, weight) else 2)
    offset = None if bias is None else nonzero(bias.reshape(-1, *[1] * positions))
    return Affine(
        lambda x: convolve(x, weight, None, *args, **kwargs),
        offset,
        has_weights=True,
        own_gradient=True,
    )


def _unbatched(call: Call, weight: Tensor) -> bool:
    return bool(call.output.dim() == weight.dim() - 1)


@rule("linear")
def linear(call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Affine:
    """W x + b."""
    call.only(input)
    offset = None if bias is None else nonzero(bias)
    return Affine(lambda x: F.linear(x, weight), offset, has_weights=True, own_gradient=True)


@rule("pad", "constant_pad_nd")
def padding(
    call: Call,
    input: Tensor,
    pad: list[int],
    mode: str = "constant",
    value: float | None = None,
) -> Affine:
    """Padding; a border value other than zero is a constant."""
    if mode != "constant" or not value:
        return Affine(call.again(), is_gate=all(call.gates), own_gradient=True)
    border = F.pad(input.new_zeros(input.shape), pad, value=value)
    return Affine(lambda x: F.pad(x, pad), nonzero(border), own_gradient=True)
