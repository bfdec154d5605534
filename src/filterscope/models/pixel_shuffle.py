"""The four-layer super-resolution network that ends in a pixel shuffle (ESPCN)."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor, nn
from torch.nn import functional as F


class PixelShuffleNet(nn.Module):
    """Four convolutions on the small picture, the last of which paints scale x scale pixels.

    It takes and gives luminance from 0 to 1. The keys are those of PyTorch's super-resolution
    example: ``conv1`` to ``conv4``.

    Args:
        scale: Output side over input side.

    Raises:
        ValueError: A scale below 1.

    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network", CVPR 2016; layers as in PyTorch's example.

    Examples:
        >>> import torch
        >>> PixelShuffleNet(3)(torch.zeros(1, 1, 8, 8)).shape
        torch.Size([1, 1, 24, 24])
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        if scale < 1:
            raise ValueError(f"`scale` must be at least 1, got {scale}")
        self.scale = scale
        self.conv1 = nn.Conv2d(1, 64, 5, padding=2)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv3 = nn.Conv2d(64, 32, 3, padding=1)
        self.conv4 = nn.Conv2d(32, scale**2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 1, H, W) to (N, 1, scale H, scale W)."""
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = F.relu(self.conv3(x))
        return F.pixel_shuffle(self.conv4(x), self.scale)

    @classmethod
    def for_weights(cls, tensors: Mapping[str, Tensor]) -> PixelShuffleNet:
        """Build the network whose scale a state dict has; the weights are not loaded.

        Raises:
            ValueError: The last layer is missing, or paints no square.
        """
        last = tensors.get("conv4.weight")
        scale = 0 if last is None or not last.dim() else isqrt(len(last))
        if last is None or not scale or scale**2 != len(last):
            found = "none" if last is None else str(tuple(last.shape))
            raise ValueError(f"expected conv4.weight of shape (scale^2, 32, 3, 3), got {found}")
        return cls(scale)
