"""Guards of the interpreter's arguments."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

_PRECISIONS = (torch.float32, torch.float64)


def prepared_model(model: nn.Module, dtype: torch.dtype | None) -> nn.Module:
    """Check a network and bring it to the asked precision, as a copy where that changes it.

    Raises:
        TypeError: No `nn.Module`, or one that is scripted or traced.
        ValueError: Half precision, mixed precisions, or weights that are not finite.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be an nn.Module, got {type(model).__name__}")
    inner = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    for name, module in inner.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"`model` holds a scripted or traced module ({name or 'itself'}), whose operations "
                "cannot be seen; give the Python network"
            )
    if dtype is not None and dtype not in _PRECISIONS:
        raise ValueError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}")
    numbers = [(name, t.detach()) for name, t in state(inner) if t.is_floating_point()]
    for name, tensor in numbers:
        if not bool(torch.isfinite(tensor.sum())):
            raise ValueError(f"`model` has values that are not finite in {name}")
    if dtype is not None and any(tensor.dtype != dtype for _, tensor in numbers):
        inner = copy.deepcopy(inner).to(dtype)
    return inner


def state(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers with their names."""
    yield from model.named_parameters()
    yield from model.named_buffers()


def prepared_images(images: Tensor, model: nn.Module, dtype: torch.dtype | None) -> Tensor:
    """Check images against the network; give them detached, in the precision of the network.

    Raises:
        TypeError: No tensor.
        ValueError: No batch, integers, values that are not finite, another device or precision.
    """
    if not isinstance(images, Tensor):
        raise TypeError(f"`images` must be a tensor, got {type(images).__name__}")
    if images.dim() < 2 or not images.numel():
        raise ValueError(f"`images` must be (N, ...) and not empty, got {tuple(images.shape)}")
    if not images.is_floating_point():
        raise ValueError(f"`images` must be floating point, got {images.dtype}")
    if not bool(torch.isfinite(images).all()):
        raise ValueError("`images` have values that are not finite")
    found = {t.dtype for _, t in state(model) if t.is_floating_point()}
    images = images.detach().to(dtype if dtype is not None else images.dtype)
    if images.dtype not in _PRECISIONS or found - {images.dtype}:
        named = ", ".join(str(one) for one in sorted({*found, images.dtype}, key=str))
        raise ValueError(
            f"`images` and `model` must have one precision, float32 or float64, got {named}; "
            "`dtype=torch.float32` converts both"
        )
    check_no_autocast(images)
    device = next((t.device for _, t in state(model)), images.device)
    if device != images.device:
        raise ValueError(f"`images` are on {images.device}, the model is on {device}")
    return images


def check_no_autocast(images: Tensor) -> None:
    """Refuse to work while PyTorch rounds on its own."""
    if torch.is_autocast_enabled(images.device.type):
        raise RuntimeError("autocast is on, which would round the frozen network; leave it first")
