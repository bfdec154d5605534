"""Largest singular triplets of a map by Golub-Kahan-Lanczos with full re-orthogonalisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]

BUDGET = 2**30
"""Bytes that the two bases may take before the iteration is restarted."""

# Ritz values are looked at after so many vectors; products cost far more than looking
_EVERY = 4
# each start takes this share of what is left of the tolerance, since what leaves the space of the
# triplets found so far is not followed any more
_SHARE = 0.6
# how many vectors a fresh start is followed for at most
_MOST_AFRESH = 40


@dataclass(frozen=True)
class Triplets:
    """Singular triplets of a map, the largest first.

    Attributes:
        left: u, (k, outputs).
        values: s, (k,), float64.
        right: v, (k, inputs).
        products: How many F v and how many F^T u were taken.
        is_converged: Whether the iteration ended by its own estimate of the residuals.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    products: tuple[int, int]
    is_converged: bool


def largest_triplets(
    forward: Map,
    adjoint: Map,
    sizes: tuple[int, int],
    k: int,
    like: Tensor,
    *,
    block: int = 1,
    tolerance: float = 1e-4,
    max_products: int | None = None,
    seed: int = 0,
    budget: int = BUDGET,
) -> Triplets:
    """Find the k largest singular triplets of a map F.

    A Krylov space of one vector holds one direction of each singular value, however often that
    value occurs. So once k triplets stand, a fresh random vector is followed beside them for about
    as long as it took to tell the first ones apart: what was missed comes up there, as a rule.

    Args:
        forward: From (P, inputs) to (P, outputs), F v.
        adjoint: From (P, outputs) to (P, inputs), F^T u.
        sizes: Outputs and inputs.
        k: From 1 to the smaller size.
        like: A tensor with the precision and device of the vectors.
        block: How many vectors each step adds. One takes the fewest products; accelerators take
            several in the time of one.
        tolerance: Largest ||F^T u - s v|| by the estimate, over the largest singular value.
        max_products: F v and F^T u together; None for 500 + 100 k.
        seed: Of the random start.
        budget: Bytes for both bases.

    Returns:
        The triplets.

    Source: Golub and Kahan, 1965; Baglama and Reichel, 2005, for the restart.

    Examples:
        >>> matrix = torch.diag(torch.tensor([3.0, 1.0, 2.0]))
        >>> found = largest_triplets(
        ...     lambda v: v @ matrix.T, lambda u: u @ matrix, (3, 3), 2, matrix)
        >>> found.values
        tensor([3.0000, 2.0000], dtype=torch.float64)
    """
    outputs, inputs = sizes
    is_flipped = outputs < inputs
    if is_flipped:
        forward, adjoint, outputs, inputs = adjoint, forward, inputs, outputs
    least = 2 * k + 3 * block + 10
    afford = budget // (like.element_size() * (inputs + outputs))
    room = min(inputs, max(least, min(afford, 20 * k + 40)))
    most = 500 + 100 * k if max_products is None else max_products
    space = _Space(forward, adjoint, (outputs, inputs), room, block, like, seed)
    is_converged = _iterate(space, k, tolerance, most)
    left, values, right = space.triplets(k)
    products = (space.taken, space.taken_back)
    if is_flipped:
        left, right, products = right, left, products[::-1]
    return Triplets(left, values, right, products, is_converged)


def _iterate(space: _Space, k: int, tolerance: float, most: int) -> bool:
    """Grow the space until k triplets stand and a fresh start finds no other."""
    history: list[tuple[int, np.ndarray]] = []
    before: np.ndarray | None = None
    allowed, until, looked = _SHARE * tolerance, k, 0
    while True:
        space.grow()
        is_over = space.is_complete or space.products + 2 * space.block > most
        is_due = space.taken >= until and space.taken - looked >= _EVERY
        if not (is_due or is_over or space.is_full):
            continue
        looked = space.taken
        values, residuals = space.ritz()
        standing = residuals <= allowed * values[0]
        if before is None:
            history.append((space.taken, values))
        if is_over:
            return space.is_complete or bool(standing[:k].all())
        if space.taken >= until and bool(standing[:k].all()):
            values, slack = values[:k], tolerance * values[0]
            if not (values > values[-1] + slack).any():
                return True  # all alike: what was missed would be, too
            if before is not None and bool((values <= before + slack).all()):
                return True
            before, allowed = values, allowed + _SHARE * (tolerance - allowed)
            until = space.taken + _effort(history, values, slack)
            space.restart(int(standing.cumprod().sum()))
            space.start_afresh()
        elif space.is_full:
            space.restart(max(k, k + (space.room - k) // 3))


def _effort(history: list[tuple[int, np.ndarray]], values: np.ndarray, slack: float) -> int:
    """How many vectors a fresh start is followed for.

    As many as it first took until half of the values above the last could be told from it, and
    half as many again, but no more than 40. In trials on maps whose values all occur twice or
    thrice one run in 80 missed one.
    """
    above = (int((values > values[-1] + slack).sum()) + 1) // 2
    told = (taken for taken, found in history if (found[:above] > values[-1]).sum() == above)
    return min(3 * next(told, history[-1][0]) // 2 + 6, _MOST_AFRESH)


class _Space:
    """Orthonormal bases V and U with F V = U B; vectors are rows.

    Args:
        forward: F, of the tall or square form.
        adjoint: F^T.
        sizes: Of u and of v.
        room: How many vectors fit.
        block: How many a step adds.
        like: Precision and device.
        seed: Of random vectors.
    """

    def __init__(
        self,
        forward: Map,
        adjoint: Map,
        sizes: tuple[int, int],
        room: int,
        block: int,
        like: Tensor,
        seed: int,
    ) -> None:
        self._forward, self._adjoint = forward, adjoint
        self._generator = torch.Generator().manual_seed(seed)
        self._right = like.new_zeros(room, sizes[1])
        self._left = like.new_zeros(room, sizes[0])
        self._small = np.zeros((room, room))
        # for each start, how F^T U leaves the span of V: (room, block) coefficients
        self._leaving: list[np.ndarray] = []
        self._scale = 0.0
        self.room, self.block = room, min(block, room)
        self.held = self.taken = self.taken_back = 0
        self.start_afresh()

    @property
    def products(self) -> int:
        """How many F v and F^T u were taken together."""
        return self.taken + self.taken_back

    @property
    def is_full(self) -> bool:
        """Whether no further vector fits."""
        return self.held + len(self._next) > len(self._right)

    @property
    def is_complete(self) -> bool:
        """Whether V spans all there is."""
        return self.held == self._right.shape[1]

    def start_afresh(self) -> None:
        """Go on with random vectors."""
        nothing = self._right.new_zeros(self.block, self._right.shape[1])
        self._next, _, _ = self._added(nothing, self._right[: self.held])
        self._leaving.append(np.zeros((len(self._small), self.block)))

    def grow(self) -> None:
        """Take F v and F^T u of the next block."""
        first, last = self.held, self.held + len(self._next)
        self._right[first:last] = self._next
        made = self._forward(self._next)
        self._left[first:last], old, new = self._added(made, self._left[:first])
        self._small[:first, first:last], self._small[first:last, first:last] = old, new
        back = self._adjoint(self._left[first:last])
        self._next, _, ahead = self._added(back, self._right[:last])
        self._leaving[-1][:] = 0
        self._leaving[-1][first:last, : len(ahead)] = ahead.T
        self.held = last
        self.taken += last - first
        self.taken_back += last - first

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """The singular values as they stand, and estimates of their residuals."""
        left, values, _ = np.linalg.svd(self._small[: self.held, : self.held])
        parts = [left.T @ one[: self.held] for one in self._leaving]
        return values, np.sqrt(sum((part**2).sum(1) for part in parts))

    def triplets(self, k: int) -> tuple[Tensor, Tensor, Tensor]:
        """The k largest triplets as they stand."""
        left, values, right = np.linalg.svd(self._small[: self.held, : self.held])
        found = [self._mixed(left.T, self._left, k), self._mixed(right, self._right, k)]
        u, v = (torch.nn.functional.normalize(one, dim=1) for one in found)
        return u, torch.from_numpy(values[:k].copy()), v

    def restart(self, keep: int) -> None:
        """Keep the best part of the space, and go on from where it was left."""
        keep = min(keep, self.room - 2 * self.block)
        left, values, right = np.linalg.svd(self._small[: self.held, : self.held])
        self._left[:keep] = self._mixed(left.T, self._left, keep)
        self._right[:keep] = self._mixed(right, self._right, keep)
        for one in self._leaving:
            one[:keep] = left[:, :keep].T @ one[: self.held]
            one[keep:] = 0
        self._small[:] = 0
        self._small[:keep, :keep] = np.diag(values[:keep])
        self.held = keep

    def _mixed(self, coefficients: np.ndarray, basis: Tensor, k: int) -> Tensor:
        return torch.from_numpy(coefficients[:k].copy()).to(basis) @ basis[: self.held]

    def _added(self, rows: Tensor, basis: Tensor) -> tuple[Tensor, np.ndarray, np.ndarray]:
        """Split rows into what lies in the span of a basis and new orthonormal vectors.

        Returns:
            The new vectors (as many as there is room for), and the rows' coefficients in the basis
            (basis, rows) and in the new vectors (new, rows).
        """
        old = rows.new_zeros(len(rows), len(basis))
        for _ in range(2):
            part = rows @ basis.T
            old, rows = old + part, rows - part @ basis
        room = min(len(rows), basis.shape[1] - len(basis))
        made = rows.new_zeros(room, rows.shape[1])
        within = np.zeros((room, len(rows)))
        for number in range(room):
            row = _without(rows[number], made[:number])
            size = float(row.norm())
            self._scale = max(self._scale, size)
            if size <= 4 * torch.finfo(row.dtype).eps * self._scale:
                row = self._random(basis, made[:number])
            made[number] = row / row.norm()
        if room:
            within = (made @ rows.T).double().cpu().numpy()
        return made, old.T.double().cpu().numpy(), within

    def _random(self, basis: Tensor, made: Tensor) -> Tensor:
        """A random unit vector, orthogonal to both."""
        drawn = torch.randn(basis.shape[1], generator=self._generator, dtype=torch.float64)
        row = drawn.to(basis)
        for _ in range(3):
            row = _without(_without(row, basis), made)
            row = row / row.norm()
        return row


def _without(row: Tensor, basis: Tensor) -> Tensor:
    for _ in range(2):
        row = row - (basis @ row) @ basis
    return row
