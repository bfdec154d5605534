"""Constant memory that a network fills with values of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Filled:
    """Memory of constant tensors that input-dependent values were written to.

    Another tensor on the same memory, which was made before, is no constant any more.
    """

    def __init__(self) -> None:
        # by address: the storage, which keeps the address taken, and the one tensor written to
        self._found: dict[int, tuple[Any, Tensor | None]] = {}

    def __contains__(self, tensor: Tensor) -> bool:
        return bool(self._found) and tensor.untyped_storage().data_ptr() in self._found

    def add(self, target: Tensor) -> None:
        """Remember that a constant tensor was written to."""
        storage = target.untyped_storage()
        alone = storage.data_ptr() not in self._found
        self._found[storage.data_ptr()] = (storage, target if alone else None)

    def put_back(self, name: str, args: Sequence[Any]) -> None:
        """Forget a view that is now put where it already is, as ``out[i] += x`` does."""
        if name != "setitem" or not self._found or not isinstance(args[2], Tensor):
            return
        place = args[0].untyped_storage().data_ptr()
        if place in self._found and self._found[place][1] is args[2]:
            with torch.no_grad():
                view = args[0].detach()[args[1]]
            if view.data_ptr() == args[2].data_ptr() and view.stride() == args[2].stride():
                del self._found[place]
