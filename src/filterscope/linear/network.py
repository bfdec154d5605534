"""A network's modules and tensors by name, looked up once, and what changes while it runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from numpy.random import mtrand
from torch import Tensor, nn

from filterscope.core.contexts import evaluating


class Network:
    """A model with the names of its parts.

    Args:
        model: Any network.

    Attributes:
        model: The network.
        paths: Dotted path of each module.
        tensors: Name and tensor of each parameter and buffer, each once.

    Examples:
        >>> network = Network(nn.Sequential(nn.Linear(1, 1), nn.ReLU()))
        >>> list(network.paths.values()), [name for name, _ in network.tensors]
        (['', '0', '1'], ['0.weight', '0.bias'])
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.paths: dict[nn.Module, str] = {}
        self._visit(model, "")
        self.tensors = list(self._tensors())

    def _visit(self, module: nn.Module, path: str) -> None:
        if module in self.paths:
            return
        self.paths[module] = path
        for name, child in module.named_children():
            self._visit(child, f"{path}.{name}" if path else name)

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        seen: set[int] = set()
        for module, path in self.paths.items():
            for name, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield (f"{path}.{name}" if path else name), tensor

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Eval mode, and no parameter asks for gradients, so that only the image's are followed."""
        in_eval = not any(module.training for module in self.paths)
        asking = [tensor for _, tensor in self.tensors if tensor.requires_grad]
        # gradients are the caller's to switch on: no hooks may stand among what is read
        with nullcontext() if in_eval else evaluating(self.model):
            try:
                for tensor in asking:
                    tensor.requires_grad_(False)
                yield
            finally:
                for _, tensor in self.tensors:
                    if tensor.grad_fn is not None:
                        tensor.detach_()  # the network wrote into a buffer of its own
                for tensor in asking:
                    tensor.requires_grad_(True)


class Snapshot:
    """What two passes of a network could differ by: generators, tensors and attributes.

    Args:
        network: The network.
        device: Where it runs.
    """

    def __init__(self, network: Network, device: torch.device) -> None:
        self._network = network
        self._device = device
        self._generators = _generators(device)
        self._versions = [tensor._version for _, tensor in network.tensors]
        self._attributes = [_attributes(module) for module in network.paths]

    def is_current(self) -> bool:
        """Whether nothing was drawn at random, written or remembered since."""
        if [tensor._version for _, tensor in self._network.tensors] != self._versions:
            return False
        now = _generators(self._device)
        if not all(map(_same, now, self._generators)):
            return False
        attributes = map(_attributes, self._network.paths)
        return all(
            len(one) == len(kept) and all(one.get(key) is value for key, value in kept.items())
            for one, kept in zip(attributes, self._attributes, strict=True)
        )


def _attributes(module: nn.Module) -> dict[str, Any]:
    return vars(module) | module._buffers


def _generators(device: torch.device) -> list[Any]:
    """States of the global generators of random numbers."""
    states: list[Any] = [torch.get_rng_state(), random.getstate()]
    numpy: Any = mtrand.get_state()
    states += [numpy[1].tobytes(), numpy[2:]]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _same(one: Any, other: Any) -> bool:
    return torch.equal(one, other) if isinstance(one, Tensor) else bool(one == other)
