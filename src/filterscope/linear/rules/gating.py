"""Products of two input-dependent tensors: one is frozen at the image, if that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.rules.local import Local, Pointwise
from filterscope.linear.rules.table import Affine, Call, nonzero, rule

ADVICE = (
    "it multiplies tensors that both depend on the image; `freeze_gates=True` freezes gates "
    "and attention at the image"
)


_PRODUCTS = ("mul", "multiply")


def gated_product(call: Call) -> Affine | UnsupportedOperation:
    """The factor that is a gate keeps its value; the map is linear in the other one."""
    if len(call.inputs) == 1:
        return Affine(
            call.again(),
            is_gate=all(call.gates),
            has_weights=call.name not in _PRODUCTS,
            own_gradient=True,
            local=_pointwise(call, call.inputs[0]),
        )
    if not call.options.freeze_gates:
        raise call.refusal(ADVICE)
    if len(call.inputs) != 2 or not any(call.gates):
        # the scores of attention are needed by a softmax alone, which is frozen
        return call.refusal("none of its factors is a gate, such as the output of a sigmoid")
    left, right = call.inputs
    frozen = right if call.gates[1] and not _smaller_gate(call) else left
    kept = left if frozen is right else right
    return Affine(call.again(frozen=[frozen]), inputs=(kept,), local=_pointwise(call, kept))


def _pointwise(call: Call, kept: Tensor) -> Local | None:
    """A product of elements, with one of them for each element of the output."""
    if call.name not in _PRODUCTS or kept.shape != call.output.shape:
        return None
    left, right = (call.args + tuple(call.kwargs.values()))[:2]
    return Pointwise(right if left is kept else left)


def _smaller_gate(call: Call) -> bool:
    """Whether both factors are gates and the left one is the smaller."""
    left, right = call.inputs
    return all(call.gates) and left.numel() < right.numel()


@rule("softmax")
def softmax(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> None:
    """Attention: frozen at the image where gates are."""
    if call.options.freeze_gates:
        return
    raise call.refusal(
        "a softmax is no linear operation: take the logits for the output, or freeze attention "
        "with `freeze_gates=True`"
    )


@rule("scaled_dot_product_attention")
def attention(
    call: Call, query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any
) -> Affine:
    """softmax(Q K^T) V: linear in V once the attention is frozen."""
    if not call.options.freeze_gates:
        raise call.refusal(ADVICE)
    if not call.depends(value):
        raise call.refusal("its values are constant: only its attention depends on the image")
    eye = _identity_like(value)
    weights = F.scaled_dot_product_attention(query, key, eye, *args, **kwargs)
    return Affine(lambda v: weights @ v, inputs=(value,))


@rule("multi_head_attention_forward")
def multi_head_attention(
    call: Call, query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: int, num_heads: int,
    in_proj_weight: Tensor | None, in_proj_bias: Tensor | None, bias_k: Tensor | None,
    bias_v: Tensor | None, add_zero_attn: bool, dropout_p: float, out_proj_weight: Tensor,
    out_proj_bias: Tensor | None, *_args: Any, need_weights: bool = True, **kwargs: Any,
) -> Affine:  # fmt: skip
    """Projection, frozen attention, projection: linear in the values."""
    if not call.options.freeze_gates:
        raise call.refusal(ADVICE)
    if need_weights or bias_k is not None or add_zero_attn or not call.depends(value):
        raise call.refusal("only attention with `need_weights=False` and plain values is known")
    weighted = {"need_weights": True, "average_attn_weights": False}
    leaves = call.again(
        function=lambda *args, **named: call.function(*args, **{**named, **weighted})
    )
    weights = leaves(*call.inputs)[1]
    matrix, bias = kwargs.get("v_proj_weight"), None
    if in_proj_weight is not None:
        matrix = in_proj_weight[-embed_dim_to_check:]
    if in_proj_bias is not None:
        bias = in_proj_bias[-embed_dim_to_check:]
    assert matrix is not None
    attend = _attention_map(weights, matrix, out_proj_weight, num_heads)
    offset = attend(torch.zeros_like(value), bias)
    offset = offset if out_proj_bias is None else offset + out_proj_bias
    return Affine(attend, nonzero(offset), inputs=(value,), has_weights=True)


def _attention_map(
    weights: Tensor, matrix: Tensor, out_matrix: Tensor, num_heads: int
) -> Callable[..., Tensor]:
    """From values (S, N, E) to outputs (L, N, E) by attention (N, heads, L, S)."""

    def attend(value: Tensor, bias: Tensor | None = None) -> Tensor:
        projected = F.linear(value, matrix, bias)
        projected = projected.view(*value.shape[:2], num_heads, -1)
        mixed = torch.einsum("nhls,snhd->lnhd", weights, projected)
        return F.linear(mixed.flatten(-2), out_matrix)

    return attend


def _identity_like(value: Tensor) -> Tensor:
    length = value.shape[-2]
    eye = value.new_zeros(*value.shape[:-2], length, length)
    eye.diagonal(dim1=-2, dim2=-1).fill_(1)
    return eye
