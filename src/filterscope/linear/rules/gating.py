"""Products of two input-dependent tensors: one is frozen at the image, if that was asked for."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.rules.table import Affine, Call, rule

ADVICE = (
    "it multiplies tensors that both depend on the image; `freeze_gates=True` freezes gates "
    "and attention at the image"
)


def gated_product(call: Call) -> Affine | UnsupportedOperation:
    """The factor that is a gate keeps its value; the map is linear in the other one."""
    if len(call.inputs) == 1:
        return Affine(call.again(), is_gate=all(call.gates), has_weights=call.name != "mul")
    if not call.options.freeze_gates:
        raise call.refusal(ADVICE)
    if len(call.inputs) != 2 or not any(call.gates):
        # the scores of attention are needed by a softmax alone, which is frozen
        return call.refusal("none of its factors is a gate, such as the output of a sigmoid")
    left, right = call.inputs
    frozen = right if call.gates[1] and not _smaller_gate(call) else left
    kept = left if frozen is right else right
    return Affine(call.again(frozen=[frozen]), inputs=(kept,))


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


def _identity_like(value: Tensor) -> Tensor:
    length = value.shape[-2]
    eye = value.new_zeros(*value.shape[:-2], length, length)
    eye.diagonal(dim1=-2, dim2=-1).fill_(1)
    return eye
