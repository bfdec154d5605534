"""Operations that are linear as they stand: views, copies, sums, averages, resampling."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from filterscope.linear.rules.table import Affine, Call, affine_operation, rule


@rule(
    "T", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "avg_pool1d",
    "avg_pool2d", "avg_pool3d", "broadcast_to", "channel_shuffle", "chunk", "clone", "contiguous",
    "cumsum", "diagonal", "expand", "expand_as", "flatten", "flip", "fliplr",
    "flipud", "fold", "gather", "getitem", "index_select", "interpolate", "mT", "masked_select",
    "max_unpool1d", "max_unpool2d", "max_unpool3d", "mean", "moveaxis", "movedim", "narrow",
    "native_channel_shuffle", "neg", "negative", "permute", "pixel_shuffle", "pixel_unshuffle",
    "positive", "ravel", "repeat", "repeat_interleave", "reshape", "reshape_as",
    "roll", "rot90", "select", "split", "split_with_sizes", "squeeze", "sum", "swapaxes",
    "swapdims", "t", "take_along_dim", "tensor_split", "tile", "transpose", "tril", "triu",
    "unbind", "unflatten", "unfold", "unsqueeze", "upsample", "upsample_bilinear",
    "upsample_nearest", "view_as",
)  # fmt: skip
def same_operation(call: Call, *_args: Any, **_kwargs: Any) -> Affine:
    """The operation itself; what it makes of a gate is a gate."""
    return Affine(call.again(), is_gate=all(call.gates), own_gradient=True)


@rule("data", "detach", "requires_grad", "alias", "identity")
def identity(call: Call, _input: Tensor, *_args: Any) -> Affine:
    """The same values; that gradients would stop here is no matter of the frozen map."""
    return Affine(lambda x: x, is_gate=all(call.gates))


@rule("view")
def view(call: Call, input: Tensor, *shape: Any, **_kwargs: Any) -> Affine:
    """A view; as a reshape, because a probe may lie in memory in another order."""
    if any(isinstance(size, torch.dtype) for size in shape):
        raise call.refusal("it reads the digits as another type")
    linear = call.again(function=Tensor.reshape)
    return Affine(linear, is_gate=all(call.gates), own_gradient=True)


@rule("to", "type", "type_as", "float", "double", "half", "bfloat16", "long", "int", "short",
      "char", "byte", "bool", "cpu", "cuda")  # fmt: skip
def conversion(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine | None:
    """A conversion that keeps all digits."""
    if isinstance(call.output, (bool, int, float)):
        raise call.refusal("it takes values that depend on the image out of PyTorch")
    if not isinstance(call.output, Tensor) or not call.output.is_floating_point():
        return None
    if call.output.dtype.itemsize < input.dtype.itemsize:
        raise call.refusal(f"it reduces the precision to {call.output.dtype}")
    return same_operation(call)


@rule("cat", "concat", "concatenate", "stack", "hstack", "vstack", "dstack")
def joined(call: Call, *_args: Any, **_kwargs: Any) -> Affine:
    """Tensors side by side; those that do not depend on the image are a constant."""
    return affine_operation(call)


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
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    train: bool = False,
) -> Affine:
    """The identity; drawing at random is refused."""
    if p and (training or train):
        raise call.refusal("it draws at random although the network is in eval mode")
    return Affine(lambda x: x, is_gate=all(call.gates), own_gradient=True)
