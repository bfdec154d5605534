"""What is computed from the image and yet does not move with it, and what would leak values."""

from __future__ import annotations

from typing import Any

from filterscope.linear.rules.table import Call, Entry, rule

LEAK = "it takes values that depend on the image out of PyTorch"


@rule(
    "gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal",
    "not_equal", "isnan", "isinf", "isfinite", "logical_and", "logical_or", "logical_not",
    "logical_xor", "argmax", "argmin", "argsort", "sign", "sgn", "signbit", "floor", "ceil",
    "round", "trunc", "fix", "floor_divide", "bucketize", "searchsorted", "any",
    "all", "nonzero", "count_nonzero", "zeros_like", "ones_like", "empty_like",
    "new_zeros", "new_ones", "new_empty",
)  # fmt: skip
def piecewise_constant(call: Call, *_args: Any, **_kwargs: Any) -> None:
    """A comparison, a place, a rounding: constant around the image."""
    return


@rule("full_like", "new_full", "new_tensor", "heaviside")
def filled(call: Call, input: Any, *_args: Any, **_kwargs: Any) -> None:
    """A constant in the shape or precision of a tensor; other values must not be the image's."""
    call.only(input)


@rule(
    "size", "dim", "numel", "stride", "storage_offset", "is_contiguous",
    "is_floating_point", "is_complex", "is_same_size", "is_inference", "get_device", "element_size",
    "len", "result_type", "shape", "dtype", "device", "ndim", "layout", "is_cuda",
    "is_cpu", "is_meta", "is_mps", "is_mkldnn", "is_sparse", "is_sparse_csr", "is_quantized",
    "is_nested", "is_leaf", "itemsize", "nbytes", "names", "name", "has_names", "grad", "grad_fn",
    "dim_order", "version", "is_pinned", "is_shared", "repr", "format",
    "requires_grad", "retains_grad",
)  # fmt: skip
def description(call: Call, *_args: Any, **_kwargs: Any) -> None:
    """A property of the tensor that is no value of it."""
    return


def is_description(entry: Entry | None) -> bool:
    """Whether an operation only asks for a property."""
    return entry is not None and entry.function is description


def is_leak(entry: Entry | None) -> bool:
    """Whether an operation takes values out of PyTorch, so that it is not even to be run."""
    return entry is not None and entry.function is leak


@rule("item", "tolist", "numpy", "array", "complex", "is_nonzero", "equal", "allclose")
def leak(call: Call, *_args: Any, **_kwargs: Any) -> None:
    """A number that Python gets hold of is lost to the map."""
    raise call.refusal(LEAK)
