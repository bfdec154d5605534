"""Singular triplets of F: what a network sees most, and what it makes of it."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.linear.checks import check_choice
from filterscope.linear.lanczos import Triplets, largest_triplets
from filterscope.linear.restriction import Restricted, Window

if TYPE_CHECKING:
    from filterscope.linear.interpreter import LinearInterpreter

SvdMethod = Literal["lanczos", "block"]

_BLOCK = 4


@dataclass(frozen=True, repr=False)
class SingularTriplets(Brief):
    """The largest singular triplets of F, F v_k = s_k u_k, the largest first.

    Signs are such that the entry of each u_k that is largest by size is positive. Where singular
    values all but coincide, single vectors are arbitrary, and only their span means something.

    Attributes:
        left: Eigen-outputs u_k, (k, *output), of length 1; zero outside of the output's window.
        values: s_k, (k,), float64.
        right: Eigen-inputs v_k, (k, *input), of length 1; zero outside of the window.
        residuals: ||F v_k - s_k u_k|| and ||F^T u_k - s_k v_k|| over s_1, (k, 2), float64,
            measured after the iteration.
        products: How many F v and how many F^T u the iteration took; the measurement of the
            residuals took k more of each.
        tolerance: Largest residual that was asked for.
        image: x0, (*input); zero outside of the window.
        linear: F x0 of that, (*output), zero outside of the output's window.
        constant: y less that, (*output): r, and with a window what the rest of x0 adds.
    """

    left: Tensor
    values: Tensor
    right: Tensor
    residuals: Tensor
    products: tuple[int, int]
    tolerance: float
    image: Tensor
    linear: Tensor
    constant: Tensor

    @property
    def is_converged(self) -> bool:
        """Whether all residuals are within the tolerance."""
        return bool((self.residuals <= self.tolerance).all())

    def coefficients(self, x0: Tensor | None = None) -> Tensor:
        """How much of each eigen-input an image holds: a_k = <v_k, x0>, (k,), float64.

        Args:
            x0: (*input) or (1, *input); None for the image of the interpreter.

        Raises:
            ValueError: Another shape.
        """
        x0 = self.image if x0 is None else x0
        shape = tuple(self.image.shape)
        if tuple(x0.shape) not in (shape, (1, *shape)):
            raise ValueError(f"`x0` must be {shape}, got {tuple(x0.shape)}")
        flat = x0.reshape(-1).to(self.right).double()
        found: Tensor = self.right.flatten(1).double() @ flat
        return found.to(self.values)

    def reconstruct(self, j: int | None = None) -> Tensor:
        """The output from the first j triplets: the constant + sum_{i<=j} s_i a_i u_i, (*output).

        Args:
            j: From 0 (the constant alone) to k; None for all.

        Raises:
            ValueError: Out of range.
        """
        j = len(self.values) if j is None else j
        if not isinstance(j, int) or isinstance(j, bool) or not 0 <= j <= len(self.values):
            raise ValueError(f"`j` must be in [0, {len(self.values)}], got {j!r}")
        weights = (self.values * self.coefficients())[:j].to(self.left)
        part: Tensor = torch.tensordot(weights, self.left[:j], dims=1)
        return self.constant + part

    @property
    def image_energy(self) -> Tensor:
        """Share of |F x0|^2 that the first 1, ..., k triplets give, (k,), float64.

        NaN where F x0 is zero.
        """
        whole = self.linear.double().square().sum().to(self.values)
        return _shares((self.values * self.coefficients()).square(), whole)

    def map_energy(self, total: float) -> Tensor:
        """Share of F's energy that the first 1, ..., k triplets hold, (k,), float64.

        Args:
            total: The sum of all squared singular values, of `map_energy` in this module.

        Raises:
            ValueError: No positive number.
        """
        if not total > 0 or not math.isfinite(total):
            raise ValueError(f"`total` must be positive and finite, got {total!r}")
        return _shares(self.values.square(), torch.as_tensor(total).to(self.values))


def _shares(parts: Tensor, whole: Tensor) -> Tensor:
    return parts.cumsum(0) / torch.where(whole > 0, whole, torch.nan)


def singular_triplets(
    interpreter: LinearInterpreter,
    k: int,
    *,
    window: Window | None = None,
    output_window: Window | None = None,
    method: SvdMethod = "lanczos",
    tolerance: float = 1e-4,
    seed: int = 0,
    max_products: int | None = None,
) -> SingularTriplets:
    """Find the k largest singular triplets of F, by products F v and F^T u alone.

    Args:
        interpreter: Of one image.
        k: How many, at most the rank of F.
        window: (top, left, height, width): F from this window of the input alone. Singular vectors
            are local, so a window shows what a part of a large picture is about.
        output_window: The same for the output.
        method: "lanczos" (default) goes on from one vector, with the fewest products; "block" from
            four at a time, which suits accelerators and maps with repeated values: channels that
            a network treats alike repeat each value, and Lanczos finds out by a second start, which
            now and then misses one.
        tolerance: Largest residual over s_1; below about 1e-6 float32 cannot follow.
        seed: Of the random start; the same seed gives the same triplets.
        max_products: F v and F^T u together, after which the iteration ends with a warning;
            None for 500 + 100 k.

    Returns:
        The triplets, with the residuals of each.

    Raises:
        TypeError: `k` is no integer.
        ValueError: Several images, `k` below 1 or above the rank of F, a window outside of the
            picture, an unknown method, a tolerance that is not positive, or too few products
            for k vectors.

    Source: Navarrete Michelini et al., ICCV 2019, section 5; the paper names no solver.

    Examples:
        >>> import filterscope as fs
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU())
        >>> triplets = fs.LinearInterpreter(model, torch.rand(1, 1, 8, 8)).svd(3)
        >>> triplets.right.shape, triplets.left.shape
        (torch.Size([3, 1, 8, 8]), torch.Size([3, 4, 8, 8]))
        >>> triplets.is_converged
        True
    """
    check_choice("method", method, get_args(SvdMethod))
    if not isinstance(k, int) or isinstance(k, bool):
        raise TypeError(f"`k` must be an integer, got {k!r}")
    if not tolerance > 0:
        raise ValueError(f"`tolerance` must be positive, got {tolerance!r}")
    operator = Restricted(interpreter, window, output_window)
    if not 1 <= k <= min(operator.sizes):
        outputs, inputs = operator.sizes
        raise ValueError(f"`k` must be in [1, {min(operator.sizes)}], since F is {outputs} x "
                         f"{inputs}; got {k}")  # fmt: skip
    found = largest_triplets(
        operator.forward, operator.adjoint, operator.sizes, k, interpreter.images,
        block=_BLOCK if method == "block" else 1, tolerance=tolerance,
        max_products=max_products, seed=seed,
    )  # fmt: skip
    if len(found.values) < k:
        raise ValueError(
            f"`max_products` must leave room for {k} triplets, got {max_products}, after which "
            f"there are {len(found.values)}"
        )
    _check_rank(found, operator.sizes)
    return _measured(interpreter, operator, found, tolerance)


def _check_rank(found: Triplets, sizes: tuple[int, int]) -> None:
    """Refuse values that are zero to rounding, whose vectors would be arbitrary."""
    largest = float(found.values[0])
    smallest = max(sizes) ** 0.5 * torch.finfo(found.left.dtype).eps * largest
    rank = int((found.values > smallest).sum())
    if rank < len(found.values):
        raise ValueError(
            f"`k` must be at most the rank of F, which is {rank}, got {len(found.values)}"
        )


def _measured(
    interpreter: LinearInterpreter, operator: Restricted, found: Triplets, tolerance: float
) -> SingularTriplets:
    """Fix the signs, measure the residuals, and put the vectors in their place."""
    extreme = found.left.gather(1, found.left.abs().argmax(1, keepdim=True))
    left, right = found.left * extreme.sign(), found.right * extreme.sign()
    values = found.values.to(left)[:, None]
    gaps = (operator.forward(right) - values * left, operator.adjoint(left) - values * right)
    norms = torch.stack([gap.double().norm(dim=1) for gap in gaps], 1).cpu()
    image = operator.image[None]
    linear = operator.output_picture(operator.forward(image))[0]
    triplets = SingularTriplets(
        operator.output_picture(left),
        found.values,
        operator.input_picture(right),
        norms / found.values[0],
        found.products,
        tolerance,
        operator.input_picture(image)[0],
        linear,
        interpreter.output[0] - linear,
    )
    if not triplets.is_converged:
        worst = float(triplets.residuals.max())
        warnings.warn(
            f"after {sum(found.products)} products the largest residual is {worst:.2g} of the "
            f"largest singular value, above the tolerance {tolerance:g}",
            stacklevel=3,
        )
    return triplets
