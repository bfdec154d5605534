"""Operations that are linear as they stand: views, copies, sums, averages, resampling."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from filterscope.linear.rules.local import Channelwise, Joined, Pointwise, Shuffled
from filterscope.linear.rules.table import Affine, Call, affine_operation, rule, scaling
from filterscope.linear.rules.windows import Resampled


@rule(
    "T", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "broadcast_to", "cumsum", "diagonal",
    "expand", "flatten", "flip", "fliplr", "flipud", "fold", "gather", "getitem",
    "index_select", "mT", "masked_select", "max_unpool1d", "max_unpool2d", "max_unpool3d", "mean",
    "moveaxis", "movedim", "narrow", "permute", "ravel", "repeat",
    "repeat_interleave", "reshape", "roll", "rot90", "select", "split",
    "split_with_sizes", "squeeze", "sum", "swapaxes", "swapdims", "t", "take_along_dim",
    "tensor_split", "tile", "transpose", "tril", "triu", "unbind", "unflatten", "unfold",
    "unsqueeze",
)  # fmt: skip
def same_operation(call: Call, *_args: Any, **_kwargs: Any) -> Affine:
    """The operation itself; what it makes of a gate is a gate."""
    return Affine(call.again(), is_gate=all(call.gates), own_gradient=True)


@rule("neg", "negative")
def negative(call: Call, _input: Tensor) -> Affine:
    """Each value with the other sign."""
    return scaling(-1, is_gate=all(call.gates), own_gradient=True)


@rule("clone", "contiguous", "positive")
def copied(call: Call, _input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """The same values."""
    gate = all(call.gates)
    return Affine(lambda x: x, is_gate=gate, own_gradient=True, local=Pointwise())


@rule("pixel_shuffle", "pixel_unshuffle")
def shuffled(call: Call, input: Tensor, factor: int = 1, **kwargs: Any) -> Affine:
    """Channels that become positions, or the other way round."""
    enlarges = call.name == "pixel_shuffle"
    factor = kwargs.get("upscale_factor" if enlarges else "downscale_factor", factor)
    local = Shuffled(call.function, factor, enlarges) if input.dim() == 4 else None
    return Affine(call.again(), is_gate=all(call.gates), own_gradient=True, local=local)


@rule("interpolate")
def resampled(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """Resampling on a grid."""
    linear = call.again()
    small = input.dim() == 4 and max(input.shape[2:]) * input[0, 0].numel() < 2**24
    local = Resampled(linear, input) if small else None
    return Affine(linear, is_gate=all(call.gates), own_gradient=True, local=local)


@rule("getitem")
def part(call: Call, input: Tensor, index: Any) -> Affine:
    """A part of a tensor."""
    linear = call.again()
    chosen = index if isinstance(index, tuple) else (index,)
    of_channels = len(chosen) <= 2 and all(isinstance(one, slice) for one in chosen)
    local = Channelwise(linear) if of_channels and input.dim() > 2 else None
    return Affine(linear, is_gate=all(call.gates), own_gradient=True, local=local)


@rule("chunk", "split", "channel_shuffle")
def by_channels(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Affine:
    """Parts of a tensor, or its channels in another order."""
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    linear = call.again()
    of_channels = "shuffle" in call.name or dim % input.dim() == 1
    local = Channelwise(linear) if of_channels and input.dim() > 2 else None
    return Affine(linear, is_gate=all(call.gates), own_gradient=True, local=local)


@rule("data", "detach", "alias")
def identity(call: Call, _input: Tensor, *_args: Any) -> Affine:
    """The same values; that gradients would stop here is no matter of the frozen map."""
    return Affine(lambda x: x, is_gate=all(call.gates), local=Pointwise())


@rule("view")
def view(call: Call, input: Tensor, *shape: Any, **_kwargs: Any) -> Affine:
    """A view; as a reshape, because a probe may lie in memory in another order."""
    if any(isinstance(size, torch.dtype) for size in shape):
        raise call.refusal("it reads the digits as another type")
    linear = call.again(function=Tensor.reshape)
    return Affine(linear, is_gate=all(call.gates), own_gradient=True)


@rule("expand_as", "reshape_as", "view_as")
def shaped_like(call: Call, input: Tensor, other: Tensor) -> Affine | None:
    """In the shape of another tensor, of which nothing else counts."""
    if not call.depends(input):
        return None
    shape, gate = call.output.shape, call.gates[0]
    change = Tensor.expand if call.name == "expand_as" else Tensor.reshape
    return Affine(lambda x: change(x, shape), inputs=(input,), is_gate=gate, own_gradient=True)


@rule("type_as")
def typed_like(call: Call, input: Tensor, other: Tensor) -> Affine | None:
    """In the precision of another tensor, of which nothing else counts."""
    if not call.depends(input):
        return None
    if call.output.dtype.itemsize < input.dtype.itemsize:
        raise call.refusal(f"it reduces the precision to {call.output.dtype}")
    dtype = call.output.dtype
    return Affine(lambda x: x.to(dtype), inputs=(input,), is_gate=call.gates[0], own_gradient=True)


@rule("to", "type", "float", "double", "half", "bfloat16", "long", "int", "short",
      "char", "byte", "bool", "cpu", "cuda")  # fmt: skip
def conversion(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine | None:
    """A conversion that keeps all digits."""
    if not call.depends(input):
        return None
    if isinstance(call.output, (bool, int, float)):
        raise call.refusal("it takes values that depend on the image out of PyTorch")
    if not isinstance(call.output, Tensor) or not call.output.is_floating_point():
        return None
    if call.output.dtype.itemsize < input.dtype.itemsize:
        raise call.refusal(f"it reduces the precision to {call.output.dtype}")
    if len(call.inputs) == 1:
        return same_operation(call)
    dtype, gate = call.output.dtype, call.gates[0]
    return Affine(lambda x: x.to(dtype), inputs=(input,), is_gate=gate, own_gradient=True)


@rule("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack")
def joined(call: Call, tensors: Any, dim: int = 0, **kwargs: Any) -> Affine:
    """Tensors side by side; those that do not depend on the image are a constant."""
    positions = call.output.dim() - 2
    along_channels = call.name.startswith("c") and kwargs.get("axis", dim) in (1, -positions - 1)
    moving = positions > 0 and len(call.inputs) == len(tensors)
    found = affine_operation(call)
    return replace(found, local=Joined()) if along_channels and moving else found


@rule("grid_sample", "affine_grid")
def sampled(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """Resampling at fixed places."""
    call.only(input)
    return same_operation(call)


@rule("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
      "feature_dropout")  # fmt: skip
def dropout(
    call: Call,
    input: Tensor,
    p: float,
    training: bool = False,
    inplace: bool = False,
    *,
    train: bool = False,
) -> Affine:
    """The identity; drawing at random is refused. `torch.dropout` says `train` for `training`."""
    if p and (training or train):
        raise call.refusal("it draws at random although the network is in eval mode")
    gate = all(call.gates)
    return Affine(lambda x: x, is_gate=gate, own_gradient=True, local=Pointwise())
