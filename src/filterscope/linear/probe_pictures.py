"""Rows and columns of F as pictures: what an output pixel reads, what an input pixel paints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from filterscope.linear.checks import check_choice

if TYPE_CHECKING:
    from filterscope.linear.interpreter import LinearInterpreter

Colour = Literal["white", "channels", "block"]
Pixel = tuple[int, int]


def pixel_row(interpreter: LinearInterpreter, pixel: Pixel, colour: Colour = "white") -> Tensor:
    """Read what an output pixel is made from: its row of F, the receptive filter.

    Args:
        interpreter: Of one image (1, C, H, W) with an output (1, C', H', W').
        pixel: (row, column) of the output.
        colour: A pixel has a row for each of its channels. "white" (default) adds them up; the
            paper leaves it open. "channels" gives each. "block" gives channel c of the row of
            channel c: what each colour reads of itself; it wants as many channels in the output
            as in the image.

    Returns:
        (C, H, W); with "channels" (C', C, H, W).

    Raises:
        TypeError: A pixel that is no pair of integers.
        ValueError: No picture, several images, a pixel out of range, an unknown colour mode.

    Examples:
        >>> import filterscope as fs
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 12, 1), torch.nn.PixelShuffle(2))
        >>> interpreter = fs.LinearInterpreter(model, torch.rand(1, 3, 8, 8))
        >>> pixel_row(interpreter, (5, 2)).shape
        torch.Size([3, 8, 8])
    """
    units = _units(interpreter, pixel, colour, interpreter.output)
    return _coloured(interpreter.adjoint(units), colour)


def pixel_column(interpreter: LinearInterpreter, pixel: Pixel, colour: Colour = "white") -> Tensor:
    """Read what an input pixel paints: its column of F, the projective filter.

    Args:
        interpreter: Of one image (1, C, H, W) with an output (1, C', H', W').
        pixel: (row, column) of the image.
        colour: As in `pixel_row`: "white" paints with all channels of the pixel at once,
            "channels" with each, "block" gives what each colour paints of itself.

    Returns:
        (C', H', W'); with "channels" (C, C', H', W').

    Raises:
        TypeError: A pixel that is no pair of integers.
        ValueError: No picture, several images, a pixel out of range, an unknown colour mode.
    """
    units = _units(interpreter, pixel, colour, interpreter.images)
    return _coloured(interpreter.apply(units), colour)


def _units(interpreter: LinearInterpreter, pixel: Pixel, colour: Colour, picture: Tensor) -> Tensor:
    """Ones at a pixel, (C, H, W) in all channels or (C, C, H, W) in one each."""
    check_choice("colour", colour, get_args(Colour))
    interpreter._check_single()
    shapes = tuple(interpreter.images.shape[1:]), tuple(interpreter.output.shape[1:])
    if any(len(shape) != 3 for shape in shapes):
        raise ValueError(
            f"`interpreter` must be of a picture (C, H, W) and give one, got {shapes[0]} and "
            f"{shapes[1]}"
        )
    if colour == "block" and shapes[0][0] != shapes[1][0]:
        raise ValueError(
            '`colour` "block" wants as many channels in the output as in the image, got '
            f"{shapes[1][0]} and {shapes[0][0]}"
        )
    row, column = checked_pixel(pixel, picture.shape[2:])
    channels, height, width = picture.shape[1:]
    if colour == "white":
        units = picture.new_zeros(channels, height, width)
        units[:, row, column] = 1
        return units
    units = picture.new_zeros(channels, channels, height, width)
    units[range(channels), range(channels), row, column] = 1
    return units


def _coloured(pictures: Tensor, colour: Colour) -> Tensor:
    if colour == "block":
        return torch.stack([picture[channel] for channel, picture in enumerate(pictures)])
    return pictures


def checked_pixel(pixel: Pixel, sides: tuple[int, ...]) -> Pixel:
    """Refuse a pixel that is none of a picture with these sides.

    Raises:
        TypeError: No pair of integers.
        ValueError: Out of range.
    """
    whole = isinstance(pixel, tuple) and len(pixel) == 2
    if not whole or not all(isinstance(k, int) and not isinstance(k, bool) for k in pixel):
        raise TypeError(f"`pixel` must be a pair of integers (row, column), got {pixel!r}")
    if not all(0 <= k < side for k, side in zip(pixel, sides, strict=True)):
        raise ValueError(
            f"`pixel` must be in [0, {sides[0] - 1}] x [0, {sides[1] - 1}], got {pixel}"
        )
    return pixel
