"""Which module is running: the dotted path of the innermost one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)


class Running:
    """The module that is running, and what a module has just returned.

    Args:
        names: Dotted path of each module of the network.

    Attributes:
        on_output: Called with the path of each module of the network and with what it returned.
    """

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        self.on_output: Callable[[str, Any], None] | None = None
        self._names = names
        self._paths: list[str] = []

    def path(self) -> str:
        """The dotted path of the innermost running module; empty outside of the network."""
        return self._paths[-1] if self._paths else ""

    def enter(self, module: nn.Module, _inputs: Any) -> None:
        """A module starts; one that is no part of the network counts for the one around it."""
        self._paths.append(self._names.get(module, self.path()))

    def leave(self, module: nn.Module, _inputs: Any, output: Any) -> None:
        """A module ends, with an output of None where it raised an error."""
        self._paths.pop()
        if self.on_output is not None and module in self._names:
            self.on_output(self._names[module], output)


@contextmanager
def module_paths(names: Mapping[nn.Module, str]) -> Iterator[Running]:
    """Know, inside the context, which of these modules is running.

    The hooks are global ones, which see every call of a module that is used several times, and
    are gone when the context ends.
    """
    running = Running(names)
    handles = [
        register_module_forward_pre_hook(running.enter),
        register_module_forward_hook(running.leave, always_call=True),
    ]
    try:
        yield running
    finally:
        for handle in handles:
            handle.remove()
