"""Occlusion: how much of a filter's activation goes when a part of the image is covered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating, forward_hook
from filterscope.core.layers import find_layer
from filterscope.maps._capture import (
    Activation,
    Filters,
    check_images,
    filter_numbers,
    run_and_capture,
)
from filterscope.maps._chain import find_chain
from filterscope.maps._tiles import Span, TiledChain

Recompute = Literal["auto", "changed", "full"]


@dataclass(frozen=True)
class Occluder:
    """What covers the image, and where.

    Attributes:
        size: Side of the square, in pixels; 33 as in the published code of interpretable CNNs,
            for images of 224 pixels.
        stride: Pixels from one position to the next, from the top left corner on; 9 as there.
        value: What the pixels are set to, in the units of the prepared images: one number, or one
            for each colour. 0 is the mean image where the images are prepared by subtracting it.
    """

    size: int = 33
    stride: int = 9
    value: float | Sequence[float] = 0.0

    def __post_init__(self) -> None:
        """Refuse impossible numbers."""
        for name in ("size", "stride"):
            number = getattr(self, name)
            if type(number) is not int or number < 1:
                raise ValueError(f"`{name}` must be a positive integer, got {number!r}")

    def positions(self, image_size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """First rows and first columns of the positions that lie within an image, int64.

        Examples:
            >>> Occluder(size=3, stride=2).positions((8, 5))
            (tensor([0, 2, 4]), tensor([0, 2]))
        """
        if self.size > min(image_size):
            raise ValueError(f"`size` {self.size} is larger than the image {tuple(image_size)}")
        rows, columns = (torch.arange(0, side - self.size + 1, self.stride) for side in image_size)
        return rows, columns

    def patch(self, images: Tensor) -> Tensor:
        """The square that covers, (C, size, size)."""
        colours = images.shape[1]
        value = torch.as_tensor(self.value, dtype=images.dtype, device=images.device)
        if value.dim() > 1 or (value.dim() == 1 and len(value) != colours):
            raise ValueError(f"`value` must be a number, or one for each of {colours} colours")
        return value.reshape(-1, 1, 1).expand(colours, self.size, self.size)


def occlusion_drops(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    *,
    occluder: Occluder | None = None,
    activation: Activation = torch.relu,
    recompute: Recompute = "auto",
    batch_size: int = 32,
) -> Tensor:
    """Cover the images square by square; give how much of each filter's activation goes.

    One run serves all filters, and ends at the layer. Where local modules (residual blocks, too)
    form a chain from the image to it, only what the square touches of each map is computed anew.

    Args:
        model: Any network, run in eval mode; its train flags are restored.
        images: (N, C, H, W), prepared as the network expects them.
        layer: The layer, by name or as the module; it gives maps (N, K, h, w).
        filters: One filter or several, in the order of the result; None for all K.
        occluder: What covers the image, and where; None for `Occluder()`.
        activation: Rectifies maps; None leaves signed ones.
        recompute: "changed" computes what the square touches alone; "full" whole images, of any
            network; "auto" the former where it can.
        batch_size: Positions at a time; memory grows with it, not with images or positions.

    Returns:
        Drops of the map's sum at each of `Occluder.positions`, (N, F, rows, columns), on the
        images' device; below zero where it rises.

    Raises:
        TypeError: As `activation_map`.
        ValueError: A layer or filters as `activation_map` refuses them, an occluder larger than
            the image, or "changed" without a chain of local modules.

    Source: Zhang et al., CVPR 2018, section 4.1; B. Zhou et al., ICLR 2015.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
        >>> images = torch.rand(2, 3, 20, 24)
        >>> occlusion_drops(model, images, "1", [7, 0], occluder=Occluder(5, stride=5)).shape
        torch.Size([2, 2, 4, 4])
    """
    occluder = occluder or Occluder()
    check_images(images)
    _check_settings(recompute, batch_size)
    rows, columns = occluder.positions(images.shape[2:])
    grid = torch.cartesian_prod(rows, columns).reshape(-1, 2).unbind(dim=1)
    spans = (Span(grid[0], occluder.size), Span(grid[1], occluder.size))
    patch, module = occluder.patch(images), find_layer(model, layer)[1]
    at = [slice(first, first + batch_size) for first in range(0, len(grid[0]), batch_size)]
    drops = []
    with torch.inference_mode(False):
        for image in images.detach().clone().split(1):
            read = _reader(model, image, module, filters, activation)
            with evaluating(model):
                lost = _changed_or_full(model, image, module, read, spans, patch, recompute)
                found = torch.cat([lost(positions) for positions in at])
            drops.append(found.T.reshape(-1, len(rows), len(columns)))
    return torch.stack(drops)


def _check_settings(recompute: Recompute, batch_size: int) -> None:
    if recompute not in ("auto", "changed", "full"):
        raise ValueError(f'`recompute` must be "auto", "changed" or "full", got {recompute!r}')
    if type(batch_size) is not int or batch_size < 1:
        raise ValueError(f"`batch_size` must be a positive integer, got {batch_size!r}")


Read = Callable[[Tensor], Tensor]


def _reader(
    model: nn.Module, image: Tensor, layer: nn.Module, filters: Filters, activation: Activation
) -> Read:
    """What takes the asked filters out of a map and rectifies them; layer and filters checked."""
    run_and_capture(model, image, layer, filters, activation)
    index = None
    if filters is not None:
        index = torch.tensor(filter_numbers(filters), device=image.device)

    def read(maps: Tensor) -> Tensor:
        chosen = maps.clone() if index is None else maps.index_select(1, index)
        return chosen if activation is None else activation(chosen)

    return read


def _changed_or_full(
    model: nn.Module,
    image: Tensor,
    layer: nn.Module,
    read: Read,
    spans: tuple[Span, Span],
    patch: Tensor,
    recompute: Recompute,
) -> Callable[[slice], Tensor]:
    """A function that gives the drops (P, F) of some positions, computed in one of the two ways."""
    stages = None if recompute == "full" else find_chain(model, image, layer)
    chain = None if stages is None else TiledChain(stages, spans)
    if chain is not None and not chain.is_faithful():
        chain = None
    if chain is None and recompute == "changed":
        raise ValueError(
            'recompute="changed" needs a chain of local modules from the image to `layer`, which '
            f'{type(model).__name__} does not have; use "full"'
        )
    if chain is not None:

        def tiled(at: slice) -> Tensor:
            count = len(spans[0].starts[at])
            before, after = chain.run(patch.expand(count, -1, -1, -1).clone(), at)
            return (read(before) - read(after)).sum(dim=(2, 3))

        return tiled

    (clean,) = _maps_up_to(model, image, layer)
    untouched = read(clean)

    def whole(at: slice) -> Tensor:
        starts = list(zip(*(span.starts[at].tolist() for span in spans), strict=True))
        covered = image.repeat(len(starts), 1, 1, 1)
        height, width = patch.shape[1:]
        for each, (row, column) in zip(covered, starts, strict=True):
            each[:, row : row + height, column : column + width] = patch
        (maps,) = _maps_up_to(model, covered, layer)
        return (untouched - read(maps)).sum(dim=(2, 3))

    return whole


class _Reached(Exception):
    """The layer has given its map; what comes behind it need not run."""


def _maps_up_to(model: nn.Module, images: Tensor, layer: nn.Module) -> list[Tensor]:
    """The map of a layer; the network stops there."""
    seen: list[Tensor] = []

    def stop(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        seen.append(output)
        raise _Reached

    with forward_hook(layer, stop), suppress(_Reached):
        model(images)
    return seen
