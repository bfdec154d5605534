"""Small networks that several modules of tests read."""

from collections.abc import Callable

from torch import Tensor, nn


class Unit(nn.Module):
    """A function, behind a step that changes nothing: what it reads is not the image itself."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(1 * x)


class FlatUnit(Unit):
    """The same with its output in one row, (1, M)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).flatten()[None]


class Residual(nn.Module):
    """Mean shifts, residual blocks and enlargement, as in EDSR."""

    def __init__(self, blocks: int = 2, width: int = 6) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(True),
                          nn.Conv2d(width, width, 3, padding=1)) for _ in range(blocks)
        )  # fmt: skip
        self.tail = nn.Sequential(nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2),
                                  nn.Conv2d(width, 3, 3, padding=1))  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = start = self.head(x - 0.4)
        for block in self.blocks:
            x = block(x) + x
        return self.tail(x + start) + 0.4
