"""Pools that select: the places of the largest values are frozen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from filterscope.linear.operations import Operation
from filterscope.linear.rules.table import Affine, Call, rule
from filterscope.linear.rules.windows import Selected

# PyTorch's own choice of places settles ties, ceil_mode and borders.
_WITH_PLACES: dict[str, tuple[Callable[..., Any], int]] = {
    "max_pool1d": (F.max_pool1d_with_indices, 1),
    "max_pool2d": (F.max_pool2d_with_indices, 2),
    "max_pool3d": (F.max_pool3d_with_indices, 3),
    "adaptive_max_pool1d": (F.adaptive_max_pool1d_with_indices, 1),
    "adaptive_max_pool2d": (F.adaptive_max_pool2d_with_indices, 2),
    "adaptive_max_pool3d": (F.adaptive_max_pool3d_with_indices, 3),
}


def _with_places(found: Operation, *args: Any, return_indices: bool = False, **kwargs: Any) -> Any:
    """Run a pool once, for its values and their places."""
    pool, _ = _WITH_PLACES[found.name.removesuffix("_with_indices")]
    values, places = pool(*args, **kwargs)
    both = return_indices or found.name.endswith("_with_indices")
    return ((values, places) if both else values), places


@rule(*_WITH_PLACES, *[f"{name}_with_indices" for name in _WITH_PLACES], run=_with_places)
def max_pool(call: Call, input: Tensor, *_args: Any, **_kwargs: Any) -> Affine:
    """A selection of input positions."""
    _, positions = _WITH_PLACES[call.name.removesuffix("_with_indices")]
    places: Tensor = call.extra
    flat = places.flatten(-positions)

    def select(x: Tensor) -> Tensor:
        return x.flatten(-positions).gather(-1, flat).view(places.shape)

    local = Selected(places, tuple(input.shape[-positions:])) if places.dim() > positions else None
    return Affine(select, own_gradient=True, local=local)
