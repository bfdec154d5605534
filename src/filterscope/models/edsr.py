"""EDSR, the residual super-resolution network, in the layout of its authors' weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_MEAN = (0.4488, 0.4371, 0.4040)  # of the training set DIV2K, of pixels from 0 to 1
_RANGE = 255.0


class _MeanShift(nn.Conv2d):
    """Adds a constant colour; a convolution because the weights are published as one."""

    def __init__(self, sign: int) -> None:
        super().__init__(3, 3, 1)
        with torch.no_grad():
            self.weight.copy_(torch.eye(3).reshape(3, 3, 1, 1))
            assert self.bias is not None
            self.bias.copy_(sign * _RANGE * torch.tensor(_MEAN))
        self.requires_grad_(False)


class _ResidualBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, filters: int, residual_scale: float) -> None:
        super().__init__()
        self.body = nn.Sequential(_same(filters, filters), nn.ReLU(), _same(filters, filters))
        self.residual_scale = residual_scale

    def forward(self, x: Tensor) -> Tensor:
        """(N, filters, H, W) to the same."""
        y: Tensor = self.body(x)
        return x + (y if self.residual_scale == 1 else y * self.residual_scale)


class Edsr(nn.Module):
    """Residual blocks on the small picture, then pixel shuffles.

    It takes and gives RGB from 0 to 255. The keys are those of the authors' PyTorch release:
    ``sub_mean``, ``head.0``, ``body.{i}.body.{0,2}``, ``tail.0.{0,2}``, ``tail.1``, ``add_mean``.

    Args:
        scale: Output side over input side: 2, 3 or 4.
        blocks: Residual blocks. 16 (default) is the authors' baseline, 32 the full network.
        filters: Of each convolution. 64 (default) is the baseline, 256 the full network.
        residual_scale: Factor of each block's branch: 1 (default) for the baseline, 0.1 for the
            full network. Not in the weights.

    Raises:
        ValueError: Another scale.

    Source: Lim et al., "Enhanced Deep Residual Networks for Single Image Super-Resolution",
    CVPR workshops 2017.

    Examples:
        >>> model = Edsr(2, blocks=1, filters=4)
        >>> model(torch.zeros(1, 3, 8, 8)).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(
        self, scale: int, blocks: int = 16, filters: int = 64, residual_scale: float = 1.0
    ) -> None:
        super().__init__()
        if scale not in (2, 3, 4):
            raise ValueError(f"`scale` must be 2, 3 or 4, got {scale}")
        self.scale = scale
        self.sub_mean = _MeanShift(-1)
        self.add_mean = _MeanShift(1)
        self.head = nn.Sequential(_same(3, filters))
        residual = [_ResidualBlock(filters, residual_scale) for _ in range(blocks)]
        self.body = nn.Sequential(*residual, _same(filters, filters))
        self.tail = nn.Sequential(_upscaling(filters, scale), _same(filters, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, 3, scale H, scale W)."""
        x = self.head(self.sub_mean(x))
        y: Tensor = self.add_mean(self.tail(x + self.body(x)))
        return y

    @classmethod
    def for_weights(cls, tensors: Mapping[str, Tensor], *, full: bool = False) -> Edsr:
        """Build the network whose scale a state dict has; the weights are not loaded.

        Args:
            tensors: The weights.
            full: Whether they are of the full network rather than the baseline.

        Raises:
            ValueError: There is no upscaling layer of that network.
        """
        filters = 256 if full else 64
        first = tensors.get("tail.0.0.weight")
        factor = {4 * filters: 2, 9 * filters: 3}.get(0 if first is None else len(first), 0)
        if first is None or not factor:
            found = "none" if first is None else str(tuple(first.shape))
            raise ValueError(
                f"expected tail.0.0.weight of {4 * filters} filters (x2, x4) or {9 * filters} (x3),"
                f" got {found}"
            )
        scale = 4 if "tail.0.2.weight" in tensors else factor
        return cls.full(scale) if full else cls(scale)

    @classmethod
    def full(cls, scale: int) -> Edsr:
        """Build the large network: 32 blocks of 256 filters whose branches count a tenth."""
        return cls(scale, blocks=32, filters=256, residual_scale=0.1)


def _same(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _upscaling(filters: int, scale: int) -> nn.Sequential:
    factors = [2, 2] if scale == 4 else [scale]
    layers: list[nn.Module] = []
    for factor in factors:
        layers += [_same(filters, factor**2 * filters), nn.PixelShuffle(factor)]
    return nn.Sequential(*layers)
