"""F as a SciPy operator on flat vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def linear_operator(
    apply: Map, adjoint: Map, inputs: Sequence[int], outputs: Sequence[int], like: Tensor
) -> LinearOperator:
    """Wrap a map of tensors and its adjoint for SciPy's solvers.

    Args:
        apply: From probes (P, *inputs) to (P, *outputs).
        adjoint: From probes (P, *outputs) to (P, *inputs).
        inputs: Shape of an image.
        outputs: Shape of its output.
        like: A tensor with the precision and device of the probes.
    """
    forward, backward = _flat(apply, inputs, like), _flat(adjoint, outputs, like)
    return LinearOperator(
        (math.prod(outputs), math.prod(inputs)),
        matvec=forward,
        rmatvec=backward,
        matmat=forward,
        rmatmat=backward,
        dtype=like.new_zeros(0).cpu().numpy().dtype,
    )


def _flat(function: Map, shape: Sequence[int], like: Tensor) -> Callable[[Any], Any]:
    """The map on a NumPy vector (n,) or on the columns of a matrix (n, P)."""

    def call(columns: Any) -> Any:
        single = columns.ndim == 1
        # torch takes no negative strides, which SciPy's reversed singular vectors have
        columns = np.ascontiguousarray(columns)
        probes = torch.as_tensor(columns[:, None] if single else columns).T
        found = function(probes.to(like).reshape(-1, *shape)).flatten(1)
        return (found[0] if single else found.T).cpu().numpy()

    return call
