"""Layers with weights: convolutions and linear layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.rules.table import Affine, Call, nonzero, rule
from filterscope.linear.rules.windows import Sourced, Spread, Window


@rule("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def convolution(
    call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None, *args: Any, **kwargs: Any
) -> Affine:
    """W x + b, the bias the same at each position."""
    call.only(input)
    convolve, unbatched = call.function, _unbatched(call, weight)
    positions = call.output.dim() - (1 if unbatched else 2)
    return Affine(
        lambda x: convolve(x, weight, None, *args, **kwargs),
        None if bias is None else nonzero(bias.reshape(-1, *[1] * positions)),
        has_weights=True,
        own_gradient=True,
        local=None if unbatched else _window(call, weight, args, kwargs),
    )


_FORWARD = ("stride", "padding", "dilation", "groups")
_TRANSPOSED = ("stride", "padding", "output_padding", "groups", "dilation")


def _window(
    call: Call, weight: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Window | Spread:
    """The convolution on a part of the picture."""
    transposed = call.name.startswith("conv_transpose")
    given = dict(zip(_TRANSPOSED if transposed else _FORWARD, args, strict=False)) | kwargs
    kernel = tuple(weight.shape[2:])
    stride = _each_axis(given.get("stride", 1), kernel)
    dilation = _each_axis(given.get("dilation", 1), kernel)
    padding = given.get("padding", 0)
    if padding == "same":
        padding = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
    padding = _each_axis(0 if padding == "valid" else padding, kernel)
    convolve, settings = call.function, {"stride": stride, "dilation": dilation}
    settings["groups"] = given.get("groups", 1)

    def run(x: Tensor) -> Tensor:
        found: Tensor = convolve(x, weight, None, **settings)
        return found

    kind = Spread if transposed else Window
    return kind(run, kernel, stride, padding, dilation, tuple(call.output.shape[2:]))


def _each_axis(value: int | Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * len(kernel) if len(values) == 1 else values


def _unbatched(call: Call, weight: Tensor) -> bool:
    return bool(call.output.dim() == weight.dim() - 1)


@rule("linear")
def linear(call: Call, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Affine:
    """W x + b."""
    call.only(input)
    offset = None if bias is None else nonzero(bias)
    return Affine(lambda x: F.linear(x, weight), offset, has_weights=True, own_gradient=True)


@rule("constant_pad_nd")
def constant_padding(call: Call, input: Tensor, pad: list[int], value: float = 0) -> Affine:
    """Padding by a number, which comes third."""
    return padding(call, input, pad, "constant", value)


@rule("pad")
def padding(
    call: Call,
    input: Tensor,
    pad: list[int],
    mode: str = "constant",
    value: float | None = None,
) -> Affine:
    """Padding; a border value other than zero is a constant."""
    local = _sources(input, pad, mode)
    if mode != "constant" or not value:
        return Affine(call.again(), is_gate=all(call.gates), own_gradient=True, local=local)
    border = F.pad(input.new_zeros(input.shape), pad, value=value)
    return Affine(lambda x: F.pad(x, pad), nonzero(border), own_gradient=True, local=local)


def _sources(input: Tensor, pad: Sequence[int], mode: str) -> Sourced | None:
    """Padding of positions alone, by the input position that each position shows."""
    sizes = input.shape[2:]
    if len(pad) > 2 * len(sizes):
        return None
    sources = []
    for axis, size in enumerate(sizes):
        place = 2 * (len(sizes) - 1 - axis)
        sides = [*pad, *[0] * 2 * len(sizes)][place : place + 2]
        line = torch.arange(size, dtype=torch.float64, device=input.device)[None, None]
        border = {"value": -1.0} if mode == "constant" else {}
        sources.append(F.pad(line, sides, mode, **border)[0, 0].long())
    return Sourced(sources)
