"""What each primitive operation of PyTorch does to the places of its input.

Each rule enters itself into the table; importing this module fills it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filterscope.maps._calls import CONSTANT, Arguments, Shape, find_rule, rule
from filterscope.maps._places import Places, lost, merged
from filterscope.maps._reach import (
    Reach,
    adaptive_window,
    reach,
    resampled,
    shuffled,
    transposed_window,
    window,
)

__all__ = ["CONSTANT", "Arguments", "find_rule"]


def _many(values: Any, count: int, default: Sequence[int] = ()) -> list[int]:
    """One value for each of `count` dimensions, as PyTorch reads a number or a list of one."""
    listed = list(values) if isinstance(values, (list, tuple)) else [values]
    listed = listed or list(default)
    return listed * count if len(listed) == 1 else listed


def _dims(values: Any) -> list[int]:
    return list(values) if isinstance(values, (list, tuple)) else [values]


def _windows(places: Places, shape: Shape, reaches: Sequence[Reach]) -> Places:
    """Read the last dimensions as the reaches say."""
    first = len(shape) - len(reaches)
    for dim, later in enumerate(reaches, start=first):
        places = places.read(dim, later, shape[dim])
    return places


@rule(
    "add", "clone", "alias", "detach", "_to_copy", "lift_fresh", "copy", "hardswish", "expand",
    "_prelu_kernel", "native_dropout", "contiguous", "where", "masked_fill",
)  # fmt: skip
def _together(call: Arguments, shape: Shape, _position: int) -> Places:
    """Place by place; every operation that PyTorch marks as pointwise comes here, too."""
    return merged(call.all(), shape)


@rule("convolution")
def _convolution(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    kernel = call["weight"].shape[2:]
    names = ("stride", "padding", "dilation")
    settings = [_many(call[name], len(kernel)) for name in names]
    make = transposed_window if call["transposed"] else window
    reaches = [make(*each) for each in zip(kernel, *settings, strict=True)]
    # the channels stand before the places that the kernel runs over
    return _windows(found[1].renewed(-len(kernel) - 1, shape[-len(kernel) - 1]), shape, reaches)


def _pool(call: Arguments, shape: Shape, count: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    kernel = _many(call["kernel_size"], count)
    stride, padding = _many(call["stride"], count, kernel), _many(call["padding"], count)
    dilation = _many(call.get("dilation", 1), count)
    reaches = [window(*each) for each in zip(kernel, stride, padding, dilation, strict=True)]
    return _windows(found[1], shape, reaches)


@rule("max_pool2d_with_indices", "avg_pool2d")
def _pool2d(call: Arguments, shape: Shape, _position: int) -> Places | None:
    return _pool(call, shape, 2)


@rule("max_pool3d_with_indices", "avg_pool3d")
def _pool3d(call: Arguments, shape: Shape, _position: int) -> Places | None:
    return _pool(call, shape, 3)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_pool(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    count = len(_dims(call["output_size"]))
    sizes = found[0].shape[-count:]
    windows = [adaptive_window(n, m) for n, m in zip(sizes, shape[-count:], strict=True)]
    return _windows(found[1], shape, windows)


@rule(
    "upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d", "upsample_bicubic2d"
)
def _resampling(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    aligned = bool(call.get("align_corners", False))
    kind = "linear" if "align_corners" in call.given else "nearest"
    kind = {"_upsample_nearest_exact2d": "nearest-exact", "upsample_bicubic2d": "cubic"}.get(
        call.name, kind
    )
    scales = call.get("scale_factors", [call.get("scales_h"), call.get("scales_w")])
    sizes = zip(found[0].shape[-2:], shape[-2:], scales, strict=True)
    return _windows(found[1], shape, [resampled(kind, n, m, s, aligned) for n, m, s in sizes])


@rule("pixel_shuffle")
def _pixel_shuffle(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    factor = call["upscale_factor"]
    return _windows(found[1].renewed(-3, shape[-3]), shape, [shuffled(factor)] * 2)


@rule("pixel_unshuffle")
def _pixel_unshuffle(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    factor = call["downscale_factor"]
    return _windows(found[1].renewed(-3, shape[-3]), shape, [window(factor, factor, 0)] * 2)


@rule("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Arguments, shape: Shape, _position: int) -> Places | None:
    found = call.main()
    return found and found[1].renewed(1, shape[1])


@rule("constant_pad_nd", "reflection_pad2d", "replication_pad2d")
def _padding(call: Arguments, shape: Shape, _position: int) -> Places | None:
    """Before the border; what a mirror shows near it is left out of account unless asked for."""
    if (found := call.main()) is None:
        return None
    sizes = call.get("pad", call.get("padding"))
    before, after = sizes[::2][::-1], sizes[1::2][::-1]
    # a mirror shows as far inside as it reaches outside, a repeated border its last place
    depth = {"reflection_pad2d": 2, "replication_pad2d": 1}.get(call.name, 0) * call.with_mirrors
    sides = zip(before, after, strict=True)
    return _windows(found[1], shape, [reach(-n - depth * m, (depth - 1) * n, 1) for n, m in sides])


@rule("slice")
def _slice(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    tensor, places = found
    dim, start = call["dim"], call.get("start", 0)
    size = tensor.shape[dim]
    start = min(max(start + size if start < 0 else start, 0), size)
    return places.read(dim, reach(start, start, call["step"]), shape[dim])


@rule("select", "unbind")
def _select(call: Arguments, _shape: Shape, _position: int) -> Places | None:
    found = call.main()
    return found and found[1].without(call["dim"])


@rule("split", "split_with_sizes", "index_select", "flip", "roll", "repeat", "cumsum", "topk",
       "sort")  # fmt: skip
def _along(call: Arguments, shape: Shape, _position: int) -> Places | None:
    """Something along some dimensions, after which the places there are new ones."""
    if (found := call.main()) is None or len(shape) != found[0].dim():
        return None
    tensor, places = found
    named = call.get("dim", call.get("dims"))
    moved = [d for d in range(len(shape)) if shape[d] != tensor.shape[d]]
    for dim in (_dims(named) if named is not None else moved) or range(len(shape)):
        places = places.renewed(dim, shape[dim])
    return places


@rule("view", "_unsafe_view", "reshape", "_reshape_copy", "_reshape_alias")
def _view(call: Arguments, shape: Shape, _position: int) -> Places | None:
    found = call.main()
    return found and found[1].viewed(shape)


@rule("permute", "transpose", "t")
def _permute(call: Arguments, shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    order = list(range(len(shape)))
    if "dims" in call.given:
        order = [dim % len(order) for dim in call["dims"]]
    elif order:
        one, other = call.get("dim0", 0), call.get("dim1", -1)
        order[one], order[other] = order[other], order[one]
    return found[1].permuted(order)


@rule("unsqueeze")
def _unsqueeze(call: Arguments, _shape: Shape, _position: int) -> Places | None:
    found = call.main()
    return found and found[1].inserted(call["dim"])


@rule("squeeze")
def _squeeze(call: Arguments, _shape: Shape, _position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    tensor, places = found
    named = call.get("dim")
    dims = range(tensor.dim()) if named is None else _dims(named)
    return places.without(*(dim for dim in dims if tensor.shape[dim] == 1))


@rule("cat")
def _cat(call: Arguments, shape: Shape, _position: int) -> Places:
    dim = call["dim"]
    return merged([places.renewed(dim, shape[dim]) for places in call.all()], shape)


@rule("stack")
def _stack(call: Arguments, shape: Shape, _position: int) -> Places:
    dim = call["dim"]
    return merged([places.inserted(dim, shape[dim]) for places in call.all()], shape)


@rule(
    "mean", "sum", "prod", "amax", "amin", "max", "min", "var", "std", "var_mean", "logsumexp",
    "linalg_vector_norm", "norm", "any", "all", "argmax", "argmin",
)  # fmt: skip
def _reduction(call: Arguments, _shape: Shape, _position: int) -> Places | None:
    found = call.main()
    named = call.get("dim")
    if found is None or named is None or named == []:
        return None
    tensor, places = found
    if not call.get("keepdim", False):
        return places.without(*_dims(named))
    for dim in _dims(named):
        places = places.read(dim, window(tensor.shape[dim], tensor.shape[dim], 0), 1)
    return places


@rule("_softmax", "_log_softmax")
def _softmax(call: Arguments, _shape: Shape, _position: int) -> Places | None:
    found = call.main()
    return found and found[1].mixed(call["dim"])


@rule(
    "native_batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit",
    "cudnn_batch_norm", "miopen_batch_norm", "_batch_norm_with_update", "_batch_norm_no_update",
)  # fmt: skip
def _batch_norm(call: Arguments, shape: Shape, position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    if position:
        return lost(shape, call.num_axes)
    own = call.get("training", "no_training" not in call.name and "no_update" not in call.name)
    others = [dim for dim in range(len(shape)) if dim != 1]
    return found[1].mixed(*others) if own else found[1]


@rule("native_group_norm", "native_layer_norm")
def _norm(call: Arguments, shape: Shape, position: int) -> Places | None:
    if (found := call.main()) is None:
        return None
    if position:
        return lost(shape, call.num_axes)
    count = len(call["normalized_shape"]) if "normalized_shape" in call.given else len(shape) - 1
    return found[1].mixed(*range(len(shape) - count, len(shape)))


@rule("mm", "bmm", "addmm", "baddbmm")
def _product(call: Arguments, shape: Shape, _position: int) -> Places | None:
    """Rows of the first matrix stay, and columns of the second; what is summed over is mixed."""
    names = [name for name in ("self", "mat1", "batch1", "mat2", "batch2") if name in call.given]
    one, other = names[-2:]
    found = []
    if (rows := call.places(one)) is not None:
        found.append(rows.renewed(-1, shape[-1]))
    if (columns := call.places(other)) is not None:
        found.append(columns.renewed(-2, shape[-2]))
    offset = call.places("self") if len(names) == 3 else None
    return merged([*found, *([offset] if offset else [])], shape)
