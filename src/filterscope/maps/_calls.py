"""A call of a primitive operation, and the table of rules for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from filterscope.maps._places import Places

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Arguments:
    """An operation, its arguments by their names, and the places of those that have some."""

    name: str
    given: dict[str, Any]
    known: Callable[[Tensor], Places | None]
    num_axes: int
    with_mirrors: bool = False

    def __getitem__(self, name: str) -> Any:
        return self.given[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or the default where the operation does not have it or it is None."""
        value = self.given.get(name)
        return default if value is None else value

    def places(self, name: str) -> Places | None:
        """The places of a tensor argument; None where it does not depend on the image."""
        value = self.given.get(name)
        return self.known(value) if isinstance(value, Tensor) else None

    def main(self) -> tuple[Tensor, Places] | None:
        """The tensor that is worked on, where it and no other argument depends on the image."""
        name = "self" if "self" in self.given else "input"
        places, tensor = self.places(name), self.given.get(name)
        if places is None or not isinstance(tensor, Tensor):
            return None
        if any(self.places(other) for other in self.given if other != name):
            return None
        return tensor, places

    def all(self) -> list[Places]:
        """The places of all tensors that have some, in lists, too."""
        values: list[Any] = []
        for value in self.given.values():
            values.extend(value if isinstance(value, (list, tuple)) else [value])
        found = [self.known(value) for value in values if isinstance(value, Tensor)]
        return [places for places in found if places is not None]


# A rule gets the arguments, the shape of an output and its position among the outputs; None says
# that it does not know.
Rule = Callable[[Arguments, Shape, int], Places | None]
RULES: dict[str, Rule] = {}
# These read no values, only sizes and types.
CONSTANT = frozenset(
    {"new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided", "zeros_like",
     "ones_like", "full_like", "empty_like", "rand_like", "randn_like"}
)  # fmt: skip


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a function into the table as the rule of these operations."""

    def enter(found: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, found))
        return found

    return enter


def find_rule(name: str, pointwise: bool) -> Rule | None:
    """The rule of an operation; None where there is none.

    Args:
        name: Without the underscore of its in-place form.
        pointwise: Whether PyTorch marks the operation as working place by place.
    """
    return RULES.get(name) or (RULES["add"] if pointwise else None)
