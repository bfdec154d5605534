"""Numbers about rows, columns and singular vectors: how local, how spread, how fine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from filterscope.linear.restriction import Restricted, Window

if TYPE_CHECKING:
    from filterscope.linear.interpreter import LinearInterpreter

_CHUNK = 16


def energy_within(picture: Tensor, position: Sequence[float], radius: float) -> float:
    """Measure which share of a picture's energy lies near a position; 1 minus it is off-diagonal.

    Args:
        picture: (H, W) or (C, H, W), such as a row or a column.
        position: (row, column) in pixels of this picture, of which (0, 0) is the centre of the
            first; `matching_position` carries one over between pictures of different sizes.
        radius: In pixels of this picture; a pixel counts whole if its centre is not farther.

    Returns:
        Share of the sum of squares in [0, 1]; NaN for a picture of zeros.

    Raises:
        ValueError: No picture, values that are not finite, a negative radius.

    Source: Navarrete Michelini et al., ICCV 2019, call filters of super-resolution "sparse" and
    those of image-to-image networks "off-diagonal"; the number is this library's.

    Examples:
        >>> energy_within(torch.ones(3, 3), (1, 1), 1)
        0.556
    """
    power = _power(picture)
    if len(position) != 2 or not all(map(math.isfinite, position)):
        raise ValueError(f"`position` must be (row, column), got {position!r}")
    if not radius >= 0:
        raise ValueError(f"`radius` must be at least 0, got {radius!r}")
    rows, columns = (
        torch.arange(side, dtype=torch.float64, device=power.device) - place
        for side, place in zip(power.shape, position, strict=True)
    )
    near = rows[:, None] ** 2 + columns**2 <= radius**2 * (1 + 1e-12)
    return _ratio(power[near].sum(), power.sum())


def matching_position(
    position: Sequence[float], sides: Sequence[int], others: Sequence[int]
) -> tuple[float, float]:
    """Find where a pixel's centre lies in a picture of other sides that shows the same.

    Args:
        position: (row, column) in a picture of `sides`.
        sides: Height and width.
        others: Height and width of the other picture.

    Examples:
        >>> matching_position((0, 1), (2, 2), (4, 4))
        (0.5, 2.5)
    """
    first, second = (
        (place + 0.5) * other / side - 0.5
        for place, side, other in zip(position, sides, others, strict=True)
    )
    return first, second


def participation_ratio(picture: Tensor) -> float:
    """Count over how many entries a picture is spread: (sum v^2)^2 / sum v^4.

    Args:
        picture: Any shape.

    Returns:
        From 1 (a single entry) to the number of entries (all of one size); NaN for zeros.

    Raises:
        ValueError: Values that are not finite, or none.

    Examples:
        >>> participation_ratio(torch.tensor([1.0, -1.0, 0.0]))
        2.0
    """
    squares = _finite(picture).square()
    largest = squares.max()
    squares = squares / torch.where(largest > 0, largest, 1)  # fourth powers may underflow
    return _ratio(squares.sum() ** 2, squares.square().sum())


def radial_frequency(picture: Tensor) -> float:
    """Measure how fine a picture is: its mean radial frequency, weighted by power.

    Args:
        picture: (H, W) or (C, H, W); the power of the channels adds up.

    Returns:
        Cycles a pixel, from 0 (flat) to 0.707 (a chequerboard); NaN for zeros. The picture counts
        as periodic.

    Raises:
        ValueError: No picture, or values that are not finite.

    Examples:
        >>> radial_frequency(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        0.707
    """
    values = _finite(picture)
    if values.dim() not in (2, 3):
        raise ValueError(f"`picture` must be (H, W) or (C, H, W), got {tuple(values.shape)}")
    power = torch.fft.fft2(values).abs().square()
    vertical, horizontal = (
        torch.fft.fftfreq(side, dtype=torch.float64, device=power.device)
        for side in values.shape[-2:]
    )
    radius = (vertical[:, None] ** 2 + horizontal**2).sqrt()
    return _ratio((power * radius).sum(), power.sum())


def residual_ratio(interpreter: LinearInterpreter) -> float:
    """Measure the constant part against the output, |r| / |y|, over all outputs.

    Args:
        interpreter: Of one image.

    Returns:
        Ratio of the two lengths; above 1 where F x0 and r work against each other, NaN for an
        output of zeros.

    Raises:
        ValueError: Several images.
    """
    interpreter._check_single()
    constant, output = interpreter.residual.double(), interpreter.output.double()
    return _ratio(constant.norm(), output.norm())


class MapEnergy(NamedTuple):
    """The sum of all squared singular values of F, or an estimate of it.

    Attributes:
        value: The sum.
        error: Standard error of the estimate; 0 where it is exact.
    """

    value: float
    error: float


def map_energy(
    interpreter: LinearInterpreter,
    *,
    window: Window | None = None,
    output_window: Window | None = None,
    probes: int = 64,
    seed: int = 0,
) -> MapEnergy:
    """Measure F's energy, the sum of its squared entries and of all its squared singular values.

    Random signs z give |F z|^2, whose mean over all z is the energy. Where there are no more
    inputs than probes, the columns are summed, which is exact.

    Args:
        interpreter: Of one image.
        window: As in `svd`.
        output_window: As in `svd`.
        probes: How many products F z, at least 2.
        seed: Of the signs.

    Raises:
        ValueError: Fewer than two probes; as in `svd`.

    Examples:
        >>> import filterscope as fs
        >>> model = torch.nn.Conv2d(1, 1, 1)
        >>> _ = torch.nn.init.constant_(model.weight, 2.0)
        >>> map_energy(fs.LinearInterpreter(model, torch.rand(1, 1, 4, 4)))
        MapEnergy(value=64.0, error=0.0)
    """
    if not isinstance(probes, int) or isinstance(probes, bool) or probes < 2:
        raise ValueError(f"`probes` must be an integer of at least 2, got {probes!r}")
    operator = Restricted(interpreter, window, output_window)
    inputs, like = operator.sizes[1], interpreter.images
    is_exact = inputs <= probes
    signs = torch.eye(inputs)
    if not is_exact:
        generator = torch.Generator().manual_seed(seed)
        signs = torch.randint(0, 2, (probes, inputs), generator=generator) * 2.0 - 1
    energies = torch.cat(
        [operator.forward(some.to(like)).double().square().sum(1) for some in signs.split(_CHUNK)]
    )
    if is_exact:
        return MapEnergy(float(energies.sum()), 0.0)
    return MapEnergy(float(energies.mean()), float(energies.std() / probes**0.5))


def _power(picture: Tensor) -> Tensor:
    """Squares of a picture, summed over channels, (H, W)."""
    values = _finite(picture)
    if values.dim() not in (2, 3):
        raise ValueError(f"`picture` must be (H, W) or (C, H, W), got {tuple(values.shape)}")
    squares = values.square()
    return squares.sum(0) if squares.dim() == 3 else squares


def _finite(picture: Tensor) -> Tensor:
    values = picture.detach().double()
    if not values.numel() or not bool(torch.isfinite(values).all()):
        raise ValueError("`picture` must hold values, and finite ones")
    return values


def _ratio(part: Tensor, whole: Tensor) -> float:
    return float(part / whole) if float(whole) else math.nan
