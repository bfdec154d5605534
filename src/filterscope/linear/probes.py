"""Indices into an output or an input, and batches of probes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from filterscope.core.integers import as_integers

PROBES_AT_ONCE = 16

Index = int | tuple[int, ...]


def flat_index(index: Index, shape: Sequence[int], name: str = "index") -> int:
    """Turn an index into a tensor of that shape into a flat one.

    Args:
        index: A flat position, or one position an axis, as `numpy.unravel_index` gives them.
        shape: The shape of one image's output or input.
        name: How an error calls the index.

    Raises:
        TypeError: Neither an integer nor a tuple of integers.
        ValueError: Out of range, or another number of axes.

    Examples:
        >>> flat_index((1, 2), (3, 4)), flat_index(6, (3, 4))
        (6, 6)
    """
    positions = as_integers(index if isinstance(index, tuple) else (index,))
    if positions is None:
        raise TypeError(f"`{name}` must be an integer or a tuple of integers, got {index!r}")
    sizes = tuple(shape) if isinstance(index, tuple) else (math.prod(shape),)
    if len(positions) != len(sizes) or not all(
        0 <= k < size for k, size in zip(positions, sizes, strict=True)
    ):
        raise ValueError(
            f"`{name}` must be in [0, {math.prod(shape) - 1}] or one position for each axis of "
            f"{tuple(shape)}, got {index!r}"
        )
    flat = 0
    for k, size in zip(positions, sizes, strict=True):
        flat = flat * size + k
    return flat


def unit(index: Index, like: Tensor) -> Tensor:
    """One at an index, zero elsewhere, in the shape of the one image's row of `like` (1, ...)."""
    return units_at([flat_index(index, like.shape[1:])], like)[0]


def units_at(positions: Sequence[int], like: Tensor) -> Tensor:
    """For each image a one at its flat position, zero elsewhere, in the shape of `like` (N, ...).

    Examples:
        >>> units_at([2, 0], torch.rand(2, 3))
        tensor([[0., 0., 1.],
                [1., 0., 0.]])
    """
    units = torch.zeros_like(like, memory_format=torch.contiguous_format)
    units.view(len(positions), -1)[range(len(positions)), list(positions)] = 1
    return units


def target_positions(target: Index | list[int] | Tensor, output: Tensor) -> list[int]:
    """Flat positions in the output (N, ...), one for each image.

    Args:
        target: A list or tensor with one for each image; for one image the index itself will do.
        output: The output, of whose shape the positions are.

    Raises:
        TypeError: A position that is no integer.
        ValueError: Out of range, or another number of positions than of images.
    """
    listed: Any = target.tolist() if isinstance(target, Tensor) else target
    if not isinstance(listed, list):
        if len(output) != 1:
            raise ValueError(
                "`target` must be a list or tensor with one position for each image; there are "
                f"{len(output)} images"
            )
        listed = [listed]
    if len(listed) != len(output):
        raise ValueError(
            f"`target` must hold one position for each of {len(output)} images, got {len(listed)}"
        )
    return [flat_index(one, output.shape[1:], "target") for one in listed]


def map_probes(
    function: Callable[[Tensor], Tensor], probes: Tensor, like: Tensor, name: str
) -> Tensor:
    """Apply a map to probes with any leading axes.

    Args:
        function: Maps probes (P, N, ...), at most `PROBES_AT_ONCE` at once, to (P, M, ...).
        probes: (..., N, ...) with any leading axes; where N is 1, that axis may be missing.
        like: The images or the output, (N, ...): shape, precision and device of the probes.
        name: How an error calls the probes.

    Returns:
        The results, with the leading axes of `probes`.

    Raises:
        TypeError: The probes are no floating-point tensor.
        ValueError: A shape that does not end as asked, or no probe at all.
    """
    if not isinstance(probes, Tensor) or not probes.is_floating_point():
        came = probes.dtype if isinstance(probes, Tensor) else type(probes).__name__
        raise TypeError(f"`{name}` must be a floating-point tensor, got {came}")
    single = len(like) == 1
    ends = tuple(like.shape[1:] if single else like.shape)
    leading = probes.shape[: probes.dim() - len(ends)]
    if probes.dim() < len(ends) or tuple(probes.shape[len(leading) :]) != ends:
        wanted = ", ".join(map(str, ends))
        raise ValueError(f"`{name}` must be (..., {wanted}), got {tuple(probes.shape)}")
    if not probes.numel():
        raise ValueError(f"`{name}` holds no probe: {tuple(probes.shape)}")
    flat = probes.to(like).reshape(-1, *like.shape)
    mapped = torch.cat([function(part) for part in torch.split(flat, PROBES_AT_ONCE)])
    return mapped.reshape(*leading, *mapped.shape[2 if single else 1 :])
