"""Whole numbers as PyTorch and NumPy give them."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from torch import Tensor


def as_integer(value: Any) -> int | None:
    """Give a whole number as Python's own, None for anything else.

    Args:
        value: An integer of Python or NumPy, or a tensor of integers without axes, as `argmax`
            gives it. A bool is none.

    Examples:
        >>> import numpy as np, torch
        >>> as_integer(np.int64(3)), as_integer(torch.tensor([1, 5]).argmax()), as_integer(True)
        (3, 1, None)
    """
    if isinstance(value, Tensor) and not value.dim():
        value = value.item()
    if isinstance(value, bool):
        return None
    return int(value) if isinstance(value, Integral) else None


def as_integers(values: Any) -> list[int] | None:
    """Give several whole numbers as a list of Python's own, None for anything else.

    Args:
        values: A sequence, tensor or array of one axis.

    Examples:
        >>> import numpy as np
        >>> as_integers(np.array([2, 0])), as_integers(range(2)), as_integers([0.5])
        ([2, 0], [0, 1], None)
    """
    listed = values.tolist() if hasattr(values, "tolist") else values
    if not isinstance(listed, (list, tuple, range)):
        return None
    numbers = [number for value in listed if (number := as_integer(value)) is not None]
    return numbers if len(numbers) == len(listed) else None
