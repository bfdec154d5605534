"""Which module is running: the dotted path of the innermost one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)


@contextmanager
def module_paths(model: nn.Module) -> Iterator[Callable[[], str]]:
    """Know, inside the context, which module of `model` is running.

    The hooks are global ones, which see every call of a module that is used several times, and
    are gone when the context ends.

    Yields:
        A function that gives the dotted path of the innermost running module; empty for the
        network itself and outside of it.
    """
    names = {module: name for name, module in model.named_modules()}
    running: list[str] = []

    def enter(module: nn.Module, _inputs: Any) -> None:
        running.append(names.get(module, running[-1] if running else ""))

    def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
        running.pop()

    handles = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield lambda: running[-1] if running else ""
    finally:
        for handle in handles:
            handle.remove()
