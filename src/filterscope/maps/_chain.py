"""The modules through which an image goes, one after the other, on its way to a layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import forward_hook
from filterscope.maps._follow import Follower
from filterscope.maps._places import Places
from filterscope.maps._reach import SAME, Reach


@dataclass(frozen=True)
class Stage:
    """A module that works on the neighbourhood of each place.

    Attributes:
        module: The module, called with one tensor.
        reaches: Which places of its input a place of its output reads, along both axes.
        clean: Its input for the untouched image, (1, C, h, w).
        output: Its output, (1, K, h', w').
    """

    module: nn.Module
    reaches: tuple[Reach, Reach]
    clean: Tensor
    output: Tensor

    @property
    def pointwise(self) -> bool:
        """Whether each place of the output reads the same place of the input alone."""
        return self.reaches == (SAME, SAME)


def find_chain(model: nn.Module, image: Tensor, layer: nn.Module) -> list[Stage] | None:
    """Find modules that, run one after the other, make the layer's map of an image.

    The finest such modules are taken: a residual block is one, since its sum has two inputs. The
    model must be in eval mode, with gradients off.

    Args:
        model: Any network.
        image: (1, C, H, W).
        layer: A module that runs once.

    Returns:
        The stages; None where there are no such modules, or one of them is not local: it works
        on the whole map, or enlarges it.
    """
    calls: list[_Call] = []
    found: list[tuple[tuple[int, int], Tensor]] = []

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        found.append((_key(output), output.clone()))

    with _watched(model, calls), forward_hook(layer, hook):
        model(image)
    target, maps = found[0]
    modules = _path(calls, _key(image), target)
    stages = modules and _stages(modules, image)
    # a network that does more than its modules show is found out here
    return stages if stages and torch.allclose(stages[-1].output, maps, rtol=1e-4) else None


@dataclass(frozen=True)
class _Call:
    """A call of a module with one tensor; tensors are kept, so that no other gets their number."""

    module: nn.Module
    before: tuple[int, int]
    after: tuple[int, int]
    tensors: tuple[Tensor, Tensor]


def _key(tensor: Tensor) -> tuple[int, int]:
    """What tells a tensor from others, and from itself after a change in place."""
    return id(tensor), tensor._version


@contextmanager
def _watched(model: nn.Module, calls: list[_Call]) -> Iterator[None]:
    """Collect the calls of all modules within, in the order in which they end."""
    running: list[tuple[int, int] | None] = []

    def enter(_module: nn.Module, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        alone = len(inputs) == 1 and not kwargs and isinstance(inputs[0], Tensor)
        running.append(_key(inputs[0]) if alone else None)

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        before = running.pop()
        if before is not None and isinstance(output, Tensor):
            calls.append(_Call(module, before, _key(output), (inputs[0], output)))

    with ExitStack() as stack:
        for module in model.modules():
            handle = module.register_forward_pre_hook(enter, with_kwargs=True)
            stack.callback(handle.remove)
            stack.enter_context(forward_hook(module, leave))
        yield


def _path(
    calls: list[_Call], start: tuple[int, int], target: tuple[int, int]
) -> list[nn.Module] | None:
    """The longest chain of calls from one tensor to another."""
    paths: dict[tuple[int, int], list[nn.Module]] = {start: []}
    for call in calls:
        before = paths.get(call.before)
        if before is not None and call.before != call.after:
            known = paths.get(call.after)
            if known is None or len(known) <= len(before):
                paths[call.after] = [*before, call.module]
    return paths.get(target) or None


def _stages(modules: list[nn.Module], image: Tensor) -> list[Stage] | None:
    stages = []
    clean = image
    for module in modules:
        given = clean.clone()  # the module may write into it
        with Follower(given, with_mirrors=True) as follower:
            output = module(given)
        reaches = _local(follower.places(output)) if isinstance(output, Tensor) else None
        if reaches is None:
            return None
        # what it gives may be what it was given, into which a later call could write
        stages.append(Stage(module, reaches, clean, output))
        clean = output
    return stages


def _local(places: Places | None) -> tuple[Reach, Reach] | None:
    """The reaches, where they are whole numbers and nothing mixes the map."""
    if places is None or places.whole or len(places.dims) != 4:
        return None
    if [places.axes(dim) for dim in range(4)] != [set(), set(), {0}, {1}]:
        return None
    rows, columns = places.reaches
    if rows is None or columns is None:
        return None
    numbers = [n for r in (rows, columns) for n in (r.low, r.high, r.step)]
    return (rows, columns) if all(n.denominator == 1 for n in numbers) else None
