"""Rows, columns and singular vectors drawn: 0 is mid grey, and the scale is stated."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from filterscope.linear import SingularTriplets
from filterscope.report.theme import FORMULA, Theme

GREY, REACH = 128, 127
"""The value of a pixel that stands for 0, and how far the strongest lies from it."""

Side = Literal["input", "output"]

_COLUMNS = 5


def signed_picture(
    picture: Tensor | np.ndarray, scale: float | None = None
) -> tuple[np.ndarray, float]:
    """Draw signed values in the picture's own colours, symmetric about 0.

    Args:
        picture: (H, W), (1, H, W) or (3, H, W). One channel gives greys.
        scale: Size that is at full strength; None for the largest that occurs. Larger values are
            cut off.

    Returns:
        RGB (H, W, 3) uint8, in which 0 is 128, `scale` 255 and minus `scale` 1, channel by
        channel; and the scale. A picture of zeros is all 128, of scale 0.

    Raises:
        ValueError: Another shape, values that are not finite, a scale that is not positive.

    Examples:
        >>> pixels, scale = signed_picture(np.array([[0.0, -2.0, 1.0]]))
        >>> pixels[0, :, 0], scale
        (array([128,   1, 192], dtype=uint8), 2.0)
    """
    values = picture.detach().cpu().numpy() if isinstance(picture, Tensor) else picture
    values = np.asarray(values, np.float64)
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or len(values) not in (1, 3) or not values.size:
        raise ValueError(f"`picture` must be (H, W), (1, H, W) or (3, H, W), got {picture.shape}")
    if not np.isfinite(values).all():
        raise ValueError("`picture` has values that are not finite")
    if scale is not None and not 0 < scale < np.inf:
        raise ValueError(f"`scale` must be positive and finite, got {scale!r}")
    largest = float(np.abs(values).max()) if scale is None else float(scale)
    strength = (values / largest).clip(-1, 1) if largest else np.zeros_like(values)
    pixels = (GREY + np.floor(REACH * strength + 0.5)).astype(np.uint8)
    return np.repeat(pixels, 3 // len(pixels), 0).transpose(1, 2, 0), largest


def eigen_figure(
    triplets: SingularTriplets, theme: Theme, side: Side = "input", most: int = 10
) -> Figure:
    """Draw eigen-inputs v_k, or eigen-outputs times their value s_k u_k.

    Args:
        triplets: Of an image network: 1 or 3 channels on that side.
        theme: Colours.
        side: "input" for v_k, "output" for s_k u_k.
        most: So many at most, the first ones.

    Raises:
        ValueError: An unknown side, fewer than one picture, no picture on that side.
    """
    if side not in ("input", "output"):
        raise ValueError(f'`side` must be "input" or "output", got {side!r}')
    if most < 1:
        raise ValueError(f"`most` must be at least 1, got {most!r}")
    vectors = triplets.right if side == "input" else triplets.left
    count = min(most, len(vectors))
    rows, columns = -(-count // _COLUMNS), min(count, _COLUMNS)
    figure = Figure(figsize=(1.9 * columns + 0.4, 2.35 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    coefficients = triplets.coefficients()
    for k, axis in enumerate(axes):
        axis.axis("off")
        if k >= count:
            continue
        value = float(triplets.values[k])
        picture = vectors[k] if side == "input" else vectors[k] * value
        name = f"v$_{{{k + 1}}}$" if side == "input" else f"s$_{{{k + 1}}}$u$_{{{k + 1}}}$"
        scale = _show(axis, picture)
        note = f"s = {value:.4g}" if side == "output" else f"a = {float(coefficients[k]):.3g}"
        axis.set_title(f"{name}, {note}\n±{scale:.2g}", fontsize=7.5, gid=FORMULA)
    figure.suptitle(_convention(side), fontsize=8, color=theme.ink)
    return figure


def _convention(side: Side) -> str:
    what = "Eigen-inputs v" if side == "input" else "Eigen-outputs s·u"
    return (
        f"{what}: grey is 0, ± the strongest value of each picture;\n"
        "sign such that the largest entry of u is positive"
    )


def reconstruction_figure(
    triplets: SingularTriplets, theme: Theme, steps: tuple[int, ...] = (0, 1, 3, 10)
) -> Figure:
    """Draw the output as it grows from the constant part by singular triplets.

    Args:
        triplets: Of an image network.
        theme: Colours.
        steps: How many triplets each picture is made from; those beyond k are left out.

    Raises:
        ValueError: No step within k, or no picture.
    """
    shown = [step for step in steps if 0 <= step <= len(triplets.values)]
    if not shown:
        raise ValueError(f"`steps` must hold one in [0, {len(triplets.values)}], got {steps!r}")
    pictures = {
        **{f"r + {step} triplets" if step else "r": triplets.reconstruct(step) for step in shown},
        "F x0": triplets.linear,
        "r + F x0": triplets.constant + triplets.linear,
    }
    figure = Figure(figsize=(1.9 * len(pictures) + 0.4, 2.7), layout="constrained")
    for axis, (name, picture) in zip(
        figure.subplots(1, len(pictures), squeeze=False)[0], pictures.items(), strict=True
    ):
        axis.axis("off")
        axis.set_title(f"{name}\n±{_show(axis, picture):.3g}", fontsize=7.5)
    figure.suptitle("Grey is 0, ± the strongest value of each picture", fontsize=8, color=theme.ink)
    return figure


def _show(axis: Any, picture: Tensor) -> float:
    """Draw a signed picture; give its scale."""
    pixels, scale = signed_picture(picture)
    axis.imshow(pixels, interpolation="nearest")
    return scale
