"""One forward pass that keeps the map of a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.contexts import evaluating, forward_hook
from filterscope.core.integers import as_integer, as_integers
from filterscope.core.layers import find_layer

Activation = Callable[[Tensor], Tensor] | None
Filters = int | Sequence[int] | Tensor | None
Size = Literal["input"] | tuple[int, int] | None


def run_and_capture(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    activation: Activation = torch.relu,
    *,
    grad: bool = False,
) -> tuple[Any, Tensor]:
    """Run the network once in eval mode; give its output and the map of a layer, (N, F, h, w).

    Args:
        model: Any network.
        images: (N, C, H, W).
        layer: Name of the layer, or the module.
        filters: Which channels of the map, in the order asked for; None for all.
        activation: Applied to the map.
        grad: Whether gradients are recorded.

    Raises:
        TypeError: `images`, `layer` or `filters` of a wrong type.
        ValueError: `images` that are no batch, an unknown layer, one that gives no feature map or
            does not run once, or filters that it does not have.
    """
    check_images(images)
    name, module = find_layer(model, layer)
    seen: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        # copied here, because a later in-place ReLU may rewrite the map
        chosen = _chosen(output, filters, name)
        seen.append(chosen if activation is None else activation(chosen))

    with evaluating(model, grad=grad), forward_hook(module, hook):
        output = model(images)
    if len(seen) != 1:
        raise ValueError(
            f"layer {name!r} ran {len(seen)} times in a forward pass; choose one that runs once"
        )
    return output, seen[0]


def resized(maps: Tensor, images: Tensor, size: Size) -> Tensor:
    """Bring maps (N, F, h, w) to the images' size, to another, or leave them as they are."""
    if size is None:
        return maps
    shape = tuple(images.shape[2:]) if size == "input" else size
    return F.interpolate(maps, size=shape, mode="bilinear", align_corners=False)


def check_size(size: Size) -> None:
    """Refuse a size that is neither "input", None nor two positive integers."""
    if size is None or size == "input":
        return
    pair = isinstance(size, tuple) and len(size) == 2
    if not pair or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f'`size` must be "input", None or (height, width), got {size!r}')


def check_images(images: Tensor) -> None:
    """Refuse what is no batch (N, C, H, W) of floating-point images."""
    if not isinstance(images, Tensor):
        raise TypeError(f"`images` must be a tensor, got {type(images).__name__}")
    if images.dim() != 4 or not images.numel():
        raise ValueError(f"`images` must be (N, C, H, W), got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"`images` must be floating point, got {images.dtype}")


def _chosen(output: Any, filters: Filters, name: str) -> Tensor:
    """Copy the asked channels of a layer's output."""
    if not isinstance(output, Tensor) or output.dim() != 4:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"`layer` {name!r} must give a map (N, K, h, w), it gives {came}")
    if filters is None:
        return output.clone()
    index = filter_numbers(filters)
    if not index or not 0 <= min(index) <= max(index) < output.shape[1]:
        raise ValueError(
            f"`filters` must lie in [0, {output.shape[1] - 1}], the filters of layer {name!r}, "
            f"got {index}"
        )
    return output.index_select(1, torch.tensor(index, device=output.device))


def filter_numbers(filters: int | Sequence[int] | Tensor) -> list[int]:
    """List the filters that were asked for.

    Raises:
        TypeError: They are no integers.
    """
    single = as_integer(filters)
    listed = as_integers(filters) if single is None else [single]
    if listed is None:
        raise TypeError(f"`filters` must be integers, got {filters!r}")
    return listed
