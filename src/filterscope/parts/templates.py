"""Part templates: what a feature map should look like when its part sits at one unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from filterscope.parts.coverage import warn_of_coverage

NamedShape = Literal["l1", "l2", "uniform_l1", "uniform_l2"]
ShapeFunction = Callable[[Tensor, Tensor], Tensor]
Shape = NamedShape | ShapeFunction
Space = Literal["index", "normalized"]


def part_templates(
    size: int = 14,
    shape: Shape = "l1",
    space: Space = "normalized",
    beta: float = 2.0,
    gamma: float = 2.0,
    tau: float | None = None,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Make the bank of positive templates of a square map, one for each unit mu.

    A template is the peak value at mu and falls with the distance d from mu, down to the negative
    of the peak: ``max(1 - beta d, -1)`` ("l1", "l2"), or +1 where ``beta d < gamma`` and -1
    elsewhere ("uniform_l1", "uniform_l2").

    Args:
        size: n, side of the map in units, at least 2.
        shape: Which distance and which fall; or a function of two tensors, the offsets from mu
            down and to the right as shares of the map's side, that gives finite values of their
            broadcast shape (`space`, `beta` and `gamma` are then not used).
        space: How d is counted: "normalized" in coordinates that run from -1 to 1, as the
            authors' code does it; "index" in units divided by n, as the papers print it.
        beta: Slope. 2 is where the authors' code starts; with "index" the paper has 4 for l1.
        gamma: Threshold of the uniform shapes; 2 is where the sloped template meets its floor.
        tau: Peak value; None means 1, which the mask of the forward pass uses. The paper's
            likelihood has 0.5 / n squared.
        device: Where the bank is made.
        dtype: Of the bank.

    Returns:
        The bank, (n n, n, n); template k has its peak at row k // n, column k % n.

    Raises:
        TypeError: A size that is no integer.
        ValueError: A size below 2, an unknown shape or space, a number that is not positive and
            finite, or a function that gives other shapes or non-finite values.

    Warns:
        UserWarning: Over 95 % of the bank's cells are positive, so that the templates hardly
            depend on mu.

    Source: Zhang et al., CVPR 2018, section 3; Ong and Liu, section 3.

    Examples:
        >>> bank = part_templates(size=6)
        >>> bank.shape, bank[14, 2].tolist()
        (torch.Size([36, 6, 6]), [-0.60, 0.20, 1.0, 0.20, -0.60, -1.0])
    """
    _check_size(size)
    check_template(shape, space, beta, gamma)
    if tau is not None and not (math.isfinite(tau) and tau > 0):
        raise ValueError(f"`tau` must be positive and finite, got {tau!r}")
    bank = template_bank(size, shape, space, beta, gamma, device=device)
    warn_of_coverage(bank)
    return (bank if tau is None else bank * tau).to(dtype)


def check_template(shape: Shape, space: Space, beta: float, gamma: float) -> None:
    """Refuse what describes no template."""
    if not callable(shape) and shape not in get_args(NamedShape):
        raise ValueError(
            f"`shape` must be one of {', '.join(get_args(NamedShape))} or a function, got {shape!r}"
        )
    if space not in get_args(Space):
        raise ValueError(f"`space` must be 'index' or 'normalized', got {space!r}")
    for name, number in (("beta", beta), ("gamma", gamma)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"`{name}` must be positive and finite, got {number!r}")


def template_bank(
    size: int,
    shape: Shape,
    space: Space,
    beta: float,
    gamma: float,
    *,
    device: torch.device | str | None = None,
) -> Tensor:
    """Compute the bank with peak 1, (n n, n, n), in the widest dtype of the device."""
    rows, columns = unit_offsets(size, device)
    if callable(shape):
        return _of_function(shape, rows / size, columns / size)
    # multiplied before it is divided: a distance exactly on a threshold stays on it
    fall = beta * _distance(rows, columns, shape) * _per_unit(space)
    fall = fall / (size if space == "index" else size - 1)
    if shape.startswith("uniform"):
        return torch.where(fall < gamma, 1.0, -1.0).to(fall)
    return (1 - fall).clamp_min(-1)


def distance_bank(
    size: int, shape: Shape, space: Space, *, device: torch.device | str | None = None
) -> Tensor:
    """Compute the distance of each unit from each mu, (n n, n, n): what beta multiplies."""
    rows, columns = unit_offsets(size, device)
    distance = _distance(rows, columns, shape) * _per_unit(space)
    return distance / (size if space == "index" else size - 1)


def unit_offsets(size: int, device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """Offsets of each unit from each mu, in units: down (n n, n, 1) and right (n n, 1, n)."""
    narrow = torch.device(device or "cpu").type == "mps"  # which has no float64
    wide = torch.float32 if narrow else torch.float64
    line = torch.arange(size, device=device, dtype=wide)
    offsets = line - line[:, None]
    return offsets.repeat_interleave(size, 0)[:, :, None], offsets.repeat(size, 1)[:, None, :]


def _of_function(shape: ShapeFunction, rows: Tensor, columns: Tensor) -> Tensor:
    """Values of a user's function, one for each unit from each mu."""
    values, expected = shape(rows, columns), torch.broadcast_shapes(rows.shape, columns.shape)
    if values.dim() != 3 or torch.broadcast_shapes(values.shape, expected) != expected:
        raise ValueError(f"`shape` must give values of {expected}, got {tuple(values.shape)}")
    if not torch.compiler.is_compiling() and not bool(torch.isfinite(values).all()):
        raise ValueError("`shape` must give finite values, got NaN or infinite ones")
    return values.expand(expected)


def _distance(rows: Tensor, columns: Tensor, shape: Shape) -> Tensor:
    if shape in ("l1", "uniform_l1"):
        return rows.abs() + columns.abs()
    return (rows.square() + columns.square()).sqrt()


def _per_unit(space: Space) -> float:
    """Numerator of the length of one unit: 1 / n, or 2 / (n - 1) where the map spans [-1, 1]."""
    return 1.0 if space == "index" else 2.0


def _check_size(size: int) -> None:
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"`size` must be an integer, got {type(size).__name__}")
    if size < 2:
        raise ValueError(f"`size` must be at least 2: a single unit has no template, got {size}")
