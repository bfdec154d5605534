"""Normalisations: by fixed statistics, or by the image's own, which are frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.rules.table import Affine, Call, nonzero, rule, scaling


@rule("batch_norm")
def batch_norm(
    call: Call, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None, bias: Tensor | None, training: bool, momentum: float, eps: float,
) -> Affine:  # fmt: skip
    """By running statistics; by those of the batch only where it is one image."""
    call.only(input)
    shape = (1, -1, *[1] * (input.dim() - 2))
    if not training and running_mean is not None and running_var is not None:
        return _fixed(running_mean, running_var, weight, bias, eps, shape)
    if len(input) > 1:
        raise call.refusal("it takes statistics over the batch, so images are not independent")
    return _own(call, input, weight, bias, eps, shape, [0, *range(2, input.dim())])


@rule("instance_norm")
def instance_norm(
    call: Call, input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None, bias: Tensor | None, use_input_stats: bool, momentum: float, eps: float,
) -> Affine:  # fmt: skip
    """By the statistics of each channel, or by running ones."""
    call.only(input)
    shape = (1, -1, *[1] * (input.dim() - 2))
    if not use_input_stats and running_mean is not None and running_var is not None:
        fixed = _fixed(running_mean, running_var, weight, bias, eps, shape)
        # for one image PyTorch 2.15 misreads a gradient that lies in memory channels last
        return replace(fixed, own_gradient=False)
    return _own(call, input, weight, bias, eps, shape, list(range(2, input.dim())))


def _fixed(
    mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float,
    shape: Sequence[int],
) -> Affine:  # fmt: skip
    """A scale and a shift for each channel."""
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    scale = scale.view(shape)
    return scaling(scale, nonzero(shift.view(shape)), own_gradient=True)


@rule("group_norm")
def group_norm(
    call: Call, input: Tensor, num_groups: int, weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Affine:  # fmt: skip
    """By the statistics of each group of channels."""
    shape = (1, -1, *[1] * (input.dim() - 2))
    grouped = (len(input), num_groups, -1)
    return _own(call, input, weight, bias, eps, shape, [2], grouped)


@rule("layer_norm")
def layer_norm(
    call: Call, input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    bias: Tensor | None = None, eps: float = 1e-5,
) -> Affine:  # fmt: skip
    """By the statistics of the last axes."""
    axes = [-1 - k for k in range(len(normalized_shape))]
    return _own(call, input, weight, bias, eps, tuple(normalized_shape), axes)


@rule("rms_norm")
def rms_norm(
    call: Call, input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None,
    eps: float | None = None,
) -> Affine:  # fmt: skip
    """By the root mean square of the last axes."""
    axes = [-1 - k for k in range(len(normalized_shape))]
    eps = torch.finfo(input.dtype).eps if eps is None else eps
    rate = torch.rsqrt(input.square().mean(axes, keepdim=True) + eps)
    linear = _rescaled(call, input, rate, lambda x: x, lambda x: x.mean(axes, keepdim=True))
    scale = torch.ones_like(rate) if weight is None else weight
    return _valued(call, input, lambda x: linear(x) * scale)


@rule("normalize")
def normalize(
    call: Call, input: Tensor, p: float, dim: int, eps: float, out: None = None
) -> Affine:
    """To length one along an axis."""
    if p != 2:
        raise call.refusal(f"only lengths with p=2 are known, got p={p}")
    length = torch.linalg.vector_norm(input, dim=dim, keepdim=True)
    rate = 1 / length.clamp(min=eps)

    def along(x: Tensor) -> Tensor:
        total: Tensor = x.sum(dim, keepdim=True) * (length > eps)
        return total

    return _valued(call, input, _rescaled(call, input, rate, lambda x: x, along))


@rule("norm", "linalg_vector_norm")
def length(
    call: Call, input: Tensor, p: float | str | None = 2, dim: Any = None, keepdim: bool = False,
    **settings: Any,
) -> Affine:  # fmt: skip
    """The Euclidean length, along the direction at the image; fit to be frozen as a gate."""
    if {p, settings.get("ord", 2)} - {2, "fro", None}:
        raise call.refusal(f"only lengths with p=2 are known, got p={p}")
    axes = list(range(input.dim())) if dim is None else dim
    size = torch.linalg.vector_norm(input, dim=axes, keepdim=True)
    direction = input / torch.where(size > 0, size, 1)
    return Affine(lambda x: (x * direction).sum(axes, keepdim=keepdim), is_gate=True)


@rule("local_response_norm")
def local_response_norm(
    call: Call, input: Tensor, size: int, alpha: float, beta: float, k: float
) -> Affine:
    """By the power of neighbouring channels."""

    def average(x: Tensor) -> Tensor:
        lines = F.pad(x.flatten(2).transpose(1, 2), (size // 2, (size - 1) // 2))
        return lines.unfold(2, size, 1).mean(-1).transpose(1, 2).reshape(x.shape)

    base = k + alpha * average(input.square())
    if call.options.norm_freeze != "none":
        return scaling(base**-beta)
    rate, drop = base**-beta, 2 * alpha * beta * input * base ** (-beta - 1)
    return _valued(call, input, lambda x: x * rate - drop * average(input * x))


def _own(
    call: Call, input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float,
    shape: Sequence[int], axes: Sequence[int], grouped: Sequence[int] | None = None,
) -> Affine:  # fmt: skip
    """Normalise by the image's own mean and variance over `axes` (of the `grouped` view)."""
    call.only(input)
    full = input.shape
    y = input if grouped is None else input.reshape(grouped)
    variance, mean = torch.var_mean(y, list(axes), correction=0, keepdim=True)
    rate = torch.rsqrt(variance + eps)

    def average(x: Tensor) -> Tensor:
        return x.mean(list(axes), keepdim=True)

    mean_is_frozen = call.options.norm_freeze == "mean+var"
    centred = (lambda x: x) if mean_is_frozen else (lambda x: x - average(x))
    inner = _rescaled(call, y - mean, rate, centred, average)
    gamma = None if weight is None else weight.view(shape)
    beta = None if bias is None else bias.view(shape)

    def linear(x: Tensor) -> Tensor:
        scaled = inner(x if grouped is None else x.reshape(grouped)).reshape(full)
        return scaled if gamma is None else scaled * gamma

    if call.options.norm_freeze == "var":
        return Affine(linear, None if beta is None else nonzero(beta))
    if call.options.norm_freeze == "none":
        return _valued(call, input, linear)
    shift = (-mean * rate).expand(y.shape).reshape(full)
    shift = shift if gamma is None else shift * gamma
    return Affine(linear, nonzero(shift if beta is None else shift + beta))


def _rescaled(
    call: Call, centred: Tensor, rate: Tensor, centre: Callable[[Tensor], Tensor],
    average: Callable[[Tensor], Tensor],
) -> Callable[[Tensor], Tensor]:  # fmt: skip
    """Multiply by a frozen rate; where nothing is frozen, by the derivative of the whole."""
    if call.options.norm_freeze != "none":
        return lambda x: centre(x) * rate
    unit = centred * rate

    def jacobian(x: Tensor) -> Tensor:
        moved = centre(x)
        change: Tensor = (moved - unit * average(unit * moved)) * rate
        return change

    return jacobian


def _valued(call: Call, input: Tensor, linear: Callable[[Tensor], Any]) -> Affine:
    """Give a linear map the offset that meets the operation's value."""
    if call.options.norm_freeze != "none":
        return Affine(linear)
    return Affine(linear, nonzero(call.output - linear(input)))
