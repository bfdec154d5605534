"""Signs of life of an attack while it lasts."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

EVERY = 10.0
"""Seconds between two lines."""


class Counted:
    """A preparation of pixels that counts the images that pass, and tells of them now and then.

    All that an attack asks of a network passes here, whatever the attack is.

    Args:
        name: Of the attack.
        prepare: What is done to the pixels (N, C, H, W).
        tell: Is given a line every `EVERY` seconds, at the earliest; None: nobody is told.

    Examples:
        >>> import torch
        >>> counted = Counted("pgd", lambda pixels: 2 * pixels, None)
        >>> float(counted(torch.ones(3, 1, 2, 2)).mean()), counted.images
        (2.0, 3)
    """

    def __init__(
        self, name: str, prepare: Callable[[Tensor], Tensor], tell: Callable[[str], None] | None
    ) -> None:
        self.name, self.prepare, self.tell = name, prepare, tell
        self.images = 0
        self.begun = self.told = time.monotonic()

    def __call__(self, pixels: Tensor) -> Tensor:
        """Count, tell, prepare."""
        self.images += len(pixels)
        now = time.monotonic()
        if self.tell is not None and now - self.told >= EVERY:
            self.told = now
            self.tell(
                f"{self.name}: the network has answered {self.images} images in "
                f"{now - self.begun:.0f} s"
            )
        return self.prepare(pixels)
