"""CycleGAN's generator of residual blocks, in the layout of its authors' weights."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

_STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")


class _ResidualBlock(nn.Module):
    """Two convolutions with instance norm beside the identity."""

    def __init__(self, filters: int, dropout: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(filters, filters, 3),
            nn.InstanceNorm2d(filters),
            nn.ReLU(),
            *([nn.Dropout(0.5)] if dropout else []),
            nn.ReflectionPad2d(1),
            nn.Conv2d(filters, filters, 3),
            nn.InstanceNorm2d(filters),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, filters, H, W) to the same."""
        y: Tensor = self.conv_block(x)
        return x + y


class CycleGanGenerator(nn.Module):
    """Image to image: down by four, residual blocks, up again, tanh.

    It takes and gives RGB from -1 to 1, in sides that four divides. Its instance norms take the
    image's own statistics. The keys are those of the authors' PyTorch release: ``model.{1,4,7}``,
    ``model.{10..18}.conv_block.{1,5}``, ``model.{19,22,26}``.

    Args:
        blocks: Residual blocks; 9 (default) for pictures of 256 pixels, 6 for 128.
        filters: Of the first convolution (64, the authors').
        dropout: Whether blocks have a dropout layer, which moves their second convolution to
            ``conv_block.6``; it does nothing in eval mode.

    Source: Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
    Networks", ICCV 2017; blocks after Johnson et al., ECCV 2016.

    Examples:
        >>> import torch
        >>> CycleGanGenerator(filters=2)(torch.zeros(1, 3, 16, 16)).shape
        torch.Size([1, 3, 16, 16])
    """

    def __init__(self, blocks: int = 9, filters: int = 64, *, dropout: bool = False) -> None:
        super().__init__()
        wide, wider = 2 * filters, 4 * filters
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            *_normed(nn.Conv2d(3, filters, 7), filters),
            *_normed(nn.Conv2d(filters, wide, 3, stride=2, padding=1), wide),
            *_normed(nn.Conv2d(wide, wider, 3, stride=2, padding=1), wider),
            *[_ResidualBlock(wider, dropout) for _ in range(blocks)],
            *_normed(_doubling(wider, wide), wide),
            *_normed(_doubling(wide, filters), filters),
            nn.ReflectionPad2d(3),
            nn.Conv2d(filters, 3, 7),
            nn.Tanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the same shape, where four divides H and W."""
        y: Tensor = self.model(x)
        return y

    @classmethod
    def for_weights(cls, tensors: Mapping[str, Tensor]) -> CycleGanGenerator:
        """Build the network that a state dict belongs to; the weights are not loaded.

        Raises:
            ValueError: There are no residual blocks.
        """
        firsts = [name for name in tensors if name.endswith(".conv_block.1.weight")]
        if not firsts:
            raise ValueError("expected residual blocks (model.10.conv_block.1.weight), got none")
        dropout = any(name.endswith(".conv_block.6.weight") for name in tensors)
        return cls(len(firsts), dropout=dropout)

    @staticmethod
    def without_statistics(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Leave out the running statistics that files of old PyTorch hold.

        The generator was trained, and is meant, to take the statistics of the image itself.
        """
        return {name: t for name, t in tensors.items() if not name.endswith(_STATISTICS)}


def _normed(layer: nn.Module, filters: int) -> list[nn.Module]:
    return [layer, nn.InstanceNorm2d(filters), nn.ReLU()]


def _doubling(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
