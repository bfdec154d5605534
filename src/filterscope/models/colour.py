"""Red, green and blue to luminance and two colour differences, and back."""

from __future__ import annotations

import torch
from torch import Tensor

# ITU-R BT.601 at full range, as JPEG (JFIF) and Pillow have it.
_RED, _GREEN, _BLUE = 0.299, 0.587, 0.114
_CENTRE = 128.0


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Split colours into luminance Y and the differences Cb and Cr (BT.601, full range).

    Args:
        rgb: (..., 3, H, W) floating point, 0 to 255.

    Returns:
        (..., 3, H, W): Y, Cb, Cr from 0 to 255, where 128 is no colour; not rounded (Pillow
        cuts the fractions off).

    Raises:
        ValueError: Another shape, or integers.

    Examples:
        >>> white = torch.full((3, 1, 1), 255.0)
        >>> [round(value) for value in rgb_to_ycbcr(white).flatten().tolist()]
        [255, 128, 128]
    """
    _check("rgb", rgb)
    red, green, blue = rgb.unbind(-3)
    light = _RED * red + _GREEN * green + _BLUE * blue
    to_blue = (blue - light) / (2 - 2 * _BLUE) + _CENTRE
    to_red = (red - light) / (2 - 2 * _RED) + _CENTRE
    return torch.stack((light, to_blue, to_red), -3)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """Undo `rgb_to_ycbcr`.

    Args:
        ycbcr: (..., 3, H, W) floating point, 0 to 255.

    Returns:
        (..., 3, H, W): red, green, blue; neither rounded nor limited to 0 to 255, beyond which
        some values of Y, Cb and Cr lie.

    Raises:
        ValueError: Another shape, or integers.

    Examples:
        >>> rgb = torch.tensor([200.0, 100.0, 50.0]).reshape(3, 1, 1)
        >>> torch.allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb)
        True
    """
    _check("ycbcr", ycbcr)
    light, to_blue, to_red = ycbcr.unbind(-3)
    red = light + (2 - 2 * _RED) * (to_red - _CENTRE)
    blue = light + (2 - 2 * _BLUE) * (to_blue - _CENTRE)
    green = (light - _RED * red - _BLUE * blue) / _GREEN
    return torch.stack((red, green, blue), -3)


def luminance(rgb: Tensor) -> Tensor:
    """The luminance Y of colours (BT.601, full range).

    Args:
        rgb: (..., 3, H, W) floating point, in any range.

    Returns:
        (..., 1, H, W) in the range of `rgb`.

    Raises:
        ValueError: Another shape, or integers.
    """
    _check("rgb", rgb)
    weights = rgb.new_tensor([_RED, _GREEN, _BLUE]).reshape(3, 1, 1)
    return (rgb * weights).sum(-3, keepdim=True)


def _check(name: str, picture: Tensor) -> None:
    if picture.dim() < 3 or picture.shape[-3] != 3:
        raise ValueError(f"`{name}` must be (..., 3, H, W), got {tuple(picture.shape)}")
    if not picture.is_floating_point():
        raise ValueError(f"`{name}` must be floating point, got {picture.dtype}")
