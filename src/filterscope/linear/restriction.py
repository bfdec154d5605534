"""F on a window of the input and of the output."""

from __future__ import annotations

from types import EllipsisType
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from filterscope.linear.interpreter import LinearInterpreter

Window = tuple[int, int, int, int]
"""Top, left, height and width."""

Part = tuple[EllipsisType | slice, ...]


class Restricted:
    """F on a window of the input and of the output, on flat vectors.

    Args:
        interpreter: Of one image.
        window: Top, left, height and width within the input; None for all of it.
        output_window: The same within the output.

    Raises:
        ValueError: Several images, or a window that does not lie within the picture.
    """

    def __init__(
        self,
        interpreter: LinearInterpreter,
        window: Window | None = None,
        output_window: Window | None = None,
    ) -> None:
        interpreter._check_single()
        self._interpreter = interpreter
        self._input, self._output = interpreter.images[0], interpreter.output[0]
        self._inside = _inside(window, self._input, "window")
        self._seen = _inside(output_window, self._output, "output_window")
        self.sizes = (self._output[self._seen].numel(), self._input[self._inside].numel())

    def forward(self, v: Tensor) -> Tensor:
        """F v, from (P, inputs) to (P, outputs)."""
        return self._interpreter.apply(self.input_picture(v))[self._seen].flatten(1)

    def adjoint(self, u: Tensor) -> Tensor:
        """F^T u, from (P, outputs) to (P, inputs)."""
        return self._interpreter.adjoint(self.output_picture(u))[self._inside].flatten(1)

    def input_picture(self, v: Tensor) -> Tensor:
        """Vectors (P, inputs) in their place, (P, *input)."""
        return _placed(v, self._input, self._inside)

    def output_picture(self, u: Tensor) -> Tensor:
        """Vectors (P, outputs) in their place, (P, *output)."""
        return _placed(u, self._output, self._seen)

    @property
    def image(self) -> Tensor:
        """x0 in the window, (inputs,)."""
        return self._input[self._inside].flatten()


def _placed(vectors: Tensor, like: Tensor, inside: Part) -> Tensor:
    pictures = like.new_zeros(len(vectors), *like.shape)
    part = pictures[inside]
    part.copy_(vectors.view(part.shape))
    return pictures


def _inside(window: Window | None, like: Tensor, name: str) -> Part:
    """The part of a picture (C, H, W) that a window names."""
    if window is None:
        return (Ellipsis,)
    if like.dim() != 3:
        raise ValueError(f"`{name}` wants a picture (C, H, W), got one of {tuple(like.shape)}")
    is_four = isinstance(window, (tuple, list)) and len(window) == 4
    if not is_four or not all(type(one) is int for one in window):
        raise ValueError(f"`{name}` must be (top, left, height, width), got {window!r}")
    top, left, height, width = window
    _, rows, columns = like.shape
    if (
        min(top, left) < 0
        or min(height, width) < 1
        or top + height > rows
        or left + width > columns
    ):
        raise ValueError(
            f"`{name}` (top, left, height, width) must lie within {rows} x {columns}, got {window}"
        )
    return Ellipsis, slice(top, top + height), slice(left, left + width)
