"""Contexts that switch something on a model and put it back, on error too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm


@contextmanager
def evaluating(model: nn.Module, *, grad: bool = False) -> Iterator[nn.Module]:
    """Put `model` in eval mode; afterwards every submodule has the train flag that it had.

    Args:
        model: The network to switch.
        grad: Whether gradients are recorded inside, of instance norms with
            `row_major_gradients`. Off by default.

    Yields:
        The same network.
    """
    flags = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.set_grad_enabled(grad), row_major_gradients(model if grad else None):
            yield model
    finally:
        for module, flag in flags:
            module.training = flag


@contextmanager
def row_major_gradients(model: nn.Module | None) -> Iterator[None]:
    """Hand the instance norms of what runs inside gradients that lie in memory row by row.

    On the CPU PyTorch 2.15 misreads one that lies there channels last, as convolutions with
    weights in that format give it, where the batch is one image: the gradient behind
    `torch.nn.functional.instance_norm` is wrong then, without a word. Of norms that are no modules
    nothing is known here.

    Args:
        model: The network; None does nothing.
    """
    with ExitStack() as stack:
        for module in [] if model is None else model.modules():
            if isinstance(module, _InstanceNorm):
                stack.enter_context(forward_hook(module, _ask_for_rows))
        yield


def _ask_for_rows(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient.contiguous())


@contextmanager
def forward_hook(module: nn.Module, hook: Callable[..., Any]) -> Iterator[None]:
    """Put a forward hook on `module` for the length of the context."""
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def captured_features(
    layer: nn.Module, activation: Callable[[Tensor], Tensor] | None = torch.relu
) -> Iterator[list[Tensor]]:
    """Collect the pooled features of `layer`, one tensor (N, K) a forward pass of the network.

    The map is pooled inside the hook, because a later in-place operation may rewrite it.

    Args:
        layer: The layer whose output is read.
        activation: Applied to the map before pooling; None leaves signed maps as they are.

    Yields:
        A list that grows by one (N, K) tensor with each forward pass.
    """
    seen: list[Tensor] = []

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        seen.append(pool_features(output, activation))

    with forward_hook(layer, hook):
        yield seen


def pool_features(
    output: Tensor, activation: Callable[[Tensor], Tensor] | None = torch.relu
) -> Tensor:
    """Average a feature map over its positions: (N, K, *positions) to (N, K).

    Args:
        output: What a layer gave, (N, K) or (N, K, ...).
        activation: Applied before the average, so that maps read before their ReLU are rectified.

    Returns:
        Pooled features, (N, K).

    Raises:
        ValueError: Something else than such a tensor.

    Examples:
        >>> import torch
        >>> pool_features(torch.tensor([[[-1.0, 3.0]]]))
        tensor([[1.5000]])
    """
    if not isinstance(output, Tensor) or output.dim() < 2:
        came = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"a layer must give maps (N, K, ...) or features (N, K), it gives {came}")
    features = output if activation is None else activation(output)
    return features.flatten(2).mean(2) if features.dim() > 2 else features
