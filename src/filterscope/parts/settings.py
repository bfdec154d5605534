"""What a layer's templates are like, checked once and used everywhere."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypedDict, get_args

import torch
from torch import Tensor

from filterscope.parts.coverage import warn_of_coverage
from filterscope.parts.fitting import FittedTemplate
from filterscope.parts.peaks import Mu
from filterscope.parts.templates import (
    Shape,
    Space,
    check_template,
    distance_bank,
    template_bank,
)

# Banks of this process, by settings, size, device and dtype; the oldest leaves when it is full.
_banks: dict[tuple[Hashable, ...], Tensor] = {}
_MOST_BANKS = 16


class ShapelessOptions(TypedDict, total=False):
    """The keywords that describe templates beside their shape; see `TemplateSettings`."""

    space: Space
    beta: float
    gamma: float
    mu: Mu
    learn_beta: bool


class TemplateOptions(ShapelessOptions, total=False):
    """The keywords that describe templates; see `TemplateSettings`."""

    shape: Shape


@dataclass(frozen=True)
class TemplateSettings:
    """The templates of a layer.

    Attributes:
        shape: See `part_templates`.
        space: See `part_templates`.
        beta: See `part_templates`; where a learned beta starts.
        gamma: See `part_templates`.
        mu: Which unit a template is centred on, see `peak_units`.
        learn_beta: Whether each filter's beta follows the spread of its maps; for "l1" and "l2"
            in the normalized space, as in the authors' code.
    """

    shape: Shape = "l1"
    space: Space = "normalized"
    beta: float = 2.0
    gamma: float = 2.0
    mu: Mu = "argmax"
    learn_beta: bool = False

    def __post_init__(self) -> None:
        check_template(self.shape, self.space, self.beta, self.gamma)
        if self.mu not in get_args(Mu):
            raise ValueError(f"`mu` must be 'argmax' or 'centroid', got {self.mu!r}")
        if self.learn_beta and (self.shape not in ("l1", "l2") or self.space != "normalized"):
            raise ValueError(
                "`learn_beta` needs the shape 'l1' or 'l2' in the space 'normalized', got "
                f"{self.shape!r} in {self.space!r}"
            )

    def bank(self, maps: Tensor) -> Tensor:
        """Templates with peak 1 for square maps (N, K, n, n), as (n n, n n) in their dtype."""
        return self._kept("templates", maps)

    def distances(self, maps: Tensor) -> Tensor:
        """Distances that a learned beta multiplies, as (n n, n n)."""
        return self._kept("distances", maps)

    def to_options(self) -> TemplateOptions:
        """The settings as keywords."""
        return TemplateOptions(
            shape=self.shape,
            space=self.space,
            beta=self.beta,
            gamma=self.gamma,
            mu=self.mu,
            learn_beta=self.learn_beta,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file; `from_json` reads them.

        Raises:
            ValueError: A shape that is a function of your own.
        """
        if callable(self.shape) and not isinstance(self.shape, FittedTemplate):
            raise ValueError(f"a `shape` that is a function cannot be saved, got {self.shape!r}")
        shape: Any = self.shape
        if isinstance(self.shape, FittedTemplate):
            shape = list(self.shape.borders)
        return {**self.to_options(), "shape": shape}

    def to_description(self) -> dict[str, Any]:
        """Plain values to compare by; all functions of your own look alike."""
        own = callable(self.shape) and not isinstance(self.shape, FittedTemplate)
        known = replace(self, shape="uniform_l1") if own else self
        return {**known.to_json(), **({"shape": "a function of your own"} if own else {})}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TemplateSettings:
        """Read what `to_json` gave.

        Raises:
            ValueError: Values that are out of range, or borders of a fitted shape that are none.
            TypeError: Values of another type, or settings of another name.
            KeyError: There is no shape.
        """
        shape = values["shape"]
        if isinstance(shape, list):
            borders = tuple(float(border) for border in shape)
            if not borders or not all(low <= high for low, high in pairwise((0.0, *borders))):
                raise ValueError("a fitted `shape` must hold rising borders from 0 on")
            shape = FittedTemplate(borders)
        return cls(**values | {"shape": shape})

    def _kept(self, kind: str, maps: Tensor) -> Tensor:
        """Look the bank up, or make it: it is the same for every batch."""
        size, device, dtype = maps.shape[-1], maps.device, maps.dtype
        if torch.compiler.is_compiling() or type(maps) is not Tensor:
            return self._made(kind, size, device, dtype)
        # a learned beta changes the templates, not the distances
        key = (replace(self, mu="argmax"), kind, size, str(device), dtype)
        if key not in _banks:
            with torch.inference_mode(False):  # such tensors may not be saved for a backward pass
                bank = self._made(kind, size, device, dtype)
            if kind == "templates":
                warn_of_coverage(bank)
            if len(_banks) >= _MOST_BANKS:
                _banks.pop(next(iter(_banks)))
            _banks[key] = bank
        return _banks[key]

    def _made(self, kind: str, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        if kind == "distances":
            bank = distance_bank(size, self.shape, self.space, device=device)
        else:
            bank = template_bank(size, self.shape, self.space, self.beta, self.gamma, device=device)
        return bank.flatten(1).to(dtype)
