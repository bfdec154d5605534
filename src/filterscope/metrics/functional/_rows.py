"""Rows of a matrix, made ready for their lengths."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDING = 1e-13
"""Of a cosine in float64: what differs by less is equal."""


def scaled_rows(matrix: Tensor) -> Tensor:
    """Divide rows by their largest entry where its square would vanish or overflow in float64.

    Cosines do not change by that; all other rows stay as they are, to the bit.

    Args:
        matrix: (N, K) float64.

    Examples:
        >>> scaled_rows(torch.tensor([[1e-200, 0.0], [3.0, 4.0]], dtype=torch.float64))
        tensor([[1., 0.],
                [3., 4.]], dtype=torch.float64)
    """
    if not matrix.numel():
        return matrix
    largest = matrix.abs().amax(dim=1, keepdim=True)
    is_extreme = (largest > 1e100) | ((largest > 0) & (largest < 1e-100))
    return matrix / torch.where(is_extreme, largest, 1.0)
