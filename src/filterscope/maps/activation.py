"""The activation map of filters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from filterscope.maps._capture import (
    Activation,
    Filters,
    Size,
    check_size,
    resized,
    run_and_capture,
)


def activation_map(
    model: nn.Module,
    images: Tensor,
    layer: str | nn.Module,
    filters: Filters = None,
    *,
    size: Size = "input",
    activation: Activation = torch.relu,
) -> Tensor:
    """Show where on the images each filter of a layer is active.

    The network runs once, in eval mode and without gradient; its train flags are restored.

    Args:
        model: Any network, called as ``model(images)``.
        images: (N, C, H, W), prepared as the network expects them.
        layer: The layer, by name or as the module; it gives maps (N, K, h, w).
        filters: One filter, or several in the order of the result; None for all K.
        size: "input" interpolates bilinearly (corners not aligned) to the images' H x W, a pair
            to that height and width; None gives the layer's own h x w.
        activation: Rectifies maps that are read before their ReLU; None leaves signed maps.

    Returns:
        (N, F, H, W), detached, on the images' device.

    Raises:
        TypeError: An argument of a wrong type.
        ValueError: A layer that is unknown, gives no map or does not run exactly once, filters
            out of range, or an impossible size.

    Source: Liang et al., ECCV 2020, appendix H.1.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        ...                       nn.Flatten(), nn.Linear(8, 5))
        >>> images = torch.rand(2, 3, 12, 12)
        >>> activation_map(model, images, "1", [7, 0]).shape
        torch.Size([2, 2, 12, 12])
        >>> activation_map(model, images, "1", size=None).shape
        torch.Size([2, 8, 10, 10])
    """
    check_size(size)
    maps = run_and_capture(model, images, layer, filters, activation)[1]
    with torch.no_grad():
        return resized(maps, images, size)
