"""Looking after a computation: ending it between operations, weighing what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from filterscope.explorer.errors import Superseded


class Tally:
    """The memory that operations made and that is still in use.

    Args:
        without: Tensors whose memory does not count: a network's weights.

    Examples:
        >>> tally = Tally()
        >>> with Watch(lambda: False, tally):
        ...     kept = torch.ones(100) * 2
        >>> tally.bytes
        400
    """

    def __init__(self, without: Iterable[Tensor] = ()) -> None:
        self._without = {tensor.untyped_storage()._cdata for tensor in without}
        self._found: dict[int, tuple[StorageWeakRef, int]] = {}

    def add(self, made: Any) -> None:
        """Count what an operation returned."""
        if isinstance(made, Tensor):
            storage = made.untyped_storage()
            if storage._cdata not in self._without:
                self._found[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        elif isinstance(made, (tuple, list)):
            for part in made:
                self.add(part)

    @property
    def bytes(self) -> int:
        """Memory of all that is still in use."""
        self._found = {
            key: (reference, size)
            for key, (reference, size) in self._found.items()
            if not reference.expired()
        }
        return sum(size for _, size in self._found.values())


class Watch(TorchDispatchMode):
    """Stands below autograd while something is computed, in forward and in backward passes.

    Args:
        is_over: Whether the computation is no longer wanted; asked before each operation.
        tally: Counts what the operations make.

    Raises:
        Superseded: From the operation before which `is_over` said so.
    """

    def __init__(self, is_over: Callable[[], bool], tally: Tally) -> None:
        TorchDispatchMode.__init__(self)
        self._is_over, self._tally = is_over, tally

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run one operation."""
        if self._is_over():
            raise Superseded
        made = function(*args, **(kwargs or {}))
        self._tally.add(made)
        return made


def network_tensors(model: torch.nn.Module) -> list[Tensor]:
    """Parameters and buffers of a network."""
    return [*model.parameters(), *model.buffers()]
