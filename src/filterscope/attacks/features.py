"""What every convolution of a network sees in images, pooled: the features that betray attacks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating, forward_hook, pool_features

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True)
class ConvolutionLayer:
    """Where a convolution's features stand in a row of features.

    Attributes:
        name: Dotted name of the module; its second call in one forward ends in " (2)".
        start: First column.
        stop: Column after the last one.
    """

    name: str
    start: int
    stop: int

    @property
    def columns(self) -> slice:
        """The convolution's columns.

        Examples:
            >>> ConvolutionLayer("conv1", 0, 16).columns
            slice(0, 16, None)
        """
        return slice(self.start, self.stop)


def convolution_features(
    model: nn.Module,
    images: Tensor,
    batch_size: int = 128,
    *,
    normalize: Callable[[Tensor], Tensor] | None = None,
    activation: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Tensor, tuple[ConvolutionLayer, ...]]:
    """Average the output of every convolution over its positions, all in one forward pass.

    The outputs are those of the convolutions themselves, before norm and rectifier: the paper says
    "after every convolution" and no more.

    Args:
        model: Any network with convolutions. It runs in eval mode without gradients, and its train
            flags are restored.
        images: (N, channels, H, W), on any device; batches travel to the network's.
        batch_size: Images in a forward pass.
        normalize: What prepares `images` for the network, as mean and deviation; None: nothing.
        activation: Applied to a convolution's output before its average, as `torch.relu`; None
            takes the output as it is.

    Returns:
        Features (N, D) float32 on the device of `images`, and the columns of each convolution in
        the order in which the network calls them. ResNet-20 for CIFAR has 19 convolutions and
        D = 16 * 7 + 32 * 6 + 64 * 6 = 688.

    Raises:
        TypeError: Images that are no floating-point tensor.
        ValueError: No images, no batch size, a network that calls no convolution or other ones for
            another batch, or features that are not finite.

    Source: Liang et al., ECCV 2020, section 5.2 and appendix I.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
        >>> features, layers = convolution_features(model, torch.rand(5, 3, 8, 8))
        >>> features.shape, [(layer.name, layer.start, layer.stop) for layer in layers]
        (torch.Size([5, 6]), [('0', 0, 4), ('2', 4, 6)])
    """
    _check_arguments(images, batch_size)
    device = next(iter(model.parameters()), images).device
    rows: list[Tensor] = []
    found: tuple[ConvolutionLayer, ...] = ()
    with evaluating(model), _pooled_outputs(model, activation) as seen:
        for batch in torch.split(images, batch_size):
            seen.clear()
            batch = batch.to(device)
            # a copy, because a network may work in place on what it is given
            model(batch.clone() if normalize is None else normalize(batch))
            layers = _layers(seen)
            if rows and layers != found:
                raise ValueError("`model` calls other convolutions for another batch")
            found = layers
            rows.append(torch.cat([pooled for _, pooled in seen], dim=1).float())
    features = torch.cat(rows).to(images.device)
    broken = int((~torch.isfinite(features)).any(1).sum())
    if broken:
        raise ValueError(f"the features of {broken} of {len(images)} images are not finite")
    return features, found


@contextmanager
def _pooled_outputs(
    model: nn.Module, activation: Callable[[Tensor], Tensor] | None
) -> Iterator[list[tuple[str, Tensor]]]:
    """Collect name and pooled output of each call of a convolution."""
    seen: list[tuple[str, Tensor]] = []

    def hook(name: str) -> Callable[..., None]:
        def collect(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            # pooled at once: a later step may rewrite the output in place
            seen.append((name, pool_features(output.detach(), activation)))

        return collect

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, _CONVOLUTIONS):
                hooks.enter_context(forward_hook(module, hook(name)))
        yield seen


def _layers(seen: list[tuple[str, Tensor]]) -> tuple[ConvolutionLayer, ...]:
    if not seen:
        raise ValueError("`model` calls no convolution")
    layers: list[ConvolutionLayer] = []
    calls: dict[str, int] = {}
    start = 0
    for name, pooled in seen:
        calls[name] = calls.get(name, 0) + 1
        told = name if calls[name] == 1 else f"{name} ({calls[name]})"
        stop = start + pooled.shape[1]
        layers.append(ConvolutionLayer(told, start, stop))
        start = stop
    return tuple(layers)


def _check_arguments(images: Tensor, batch_size: int) -> None:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"`images` must be a floating-point tensor, got {given}")
    if images.dim() < 3 or not images.numel():
        raise ValueError(
            f"`images` must be (N, channels, H, W) and not empty, got {tuple(images.shape)}"
        )
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
