"""Guards of the interpreter's arguments."""

from __future__ import annotations

import copy
from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from filterscope.linear.network import Network

_PRECISIONS = (torch.float32, torch.float64)

# the version of each weight at which its values were found finite, so that it is looked at once
_found_finite: MutableMapping[Tensor, int] = WeakTensorKeyDictionary()


class Versions:
    """What tells whether a network's weights and buffers are still those that were read.

    Args:
        network: The network.
    """

    def __init__(self, network: Network) -> None:
        # aliases on the same memory, whose version moves along when it is written to
        aliases = [(name, tensor.detach()) for name, tensor in network.tensors]
        self._found = [(name, alias, alias._version) for name, alias in aliases]

    def check(self) -> None:
        """Refuse weights that are no longer those.

        Raises:
            RuntimeError: One was written to; it is named.
        """
        for name, tensor, version in self._found:
            if tensor._version != version:
                raise RuntimeError(
                    f"{name} was changed after the interpreter was made; make a new one"
                )


def prepared_network(model: nn.Module, dtype: torch.dtype | None) -> Network:
    """Check a network and bring it to the asked precision, as a copy where that changes it.

    Raises:
        TypeError: No `nn.Module`, or one that is scripted or traced.
        ValueError: Half precision, mixed precisions, or weights that are not finite.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"`model` must be an nn.Module, got {type(model).__name__}")
    if dtype is not None and dtype not in _PRECISIONS:
        raise ValueError(f"`dtype` must be torch.float32 or torch.float64, got {dtype}")
    inner = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    network = Network(inner)
    for module, name in network.paths.items():
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                f"`model` holds a scripted or traced module ({name or 'itself'}), whose operations "
                "cannot be seen; give the Python network"
            )
    numbers = [(name, tensor) for name, tensor in network.tensors if tensor.is_floating_point()]
    _check_finite(numbers)
    if dtype is not None and any(tensor.dtype != dtype for _, tensor in numbers):
        return Network(copy.deepcopy(inner).to(dtype))
    return network


def prepared_images(images: Tensor, network: Network, dtype: torch.dtype | None) -> Tensor:
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
    found = {t.dtype for _, t in network.tensors if t.is_floating_point()}
    images = images.detach().to(dtype if dtype is not None else images.dtype)
    if images.dtype not in _PRECISIONS or found - {images.dtype}:
        named = ", ".join(str(one) for one in sorted({*found, images.dtype}, key=str))
        raise ValueError(
            f"`images` and `model` must have one precision, float32 or float64, got {named}; "
            "`dtype=torch.float32` converts both"
        )
    check_no_autocast(images)
    device = next((t.device for _, t in network.tensors), images.device)
    if device != images.device:
        raise ValueError(f"`images` are on {images.device}, the model is on {device}")
    return images


def _check_finite(numbers: Sequence[tuple[str, Tensor]]) -> None:
    """Refuse weights that are not finite."""
    waiting = [(n, t) for n, t in numbers if _found_finite.get(t) != t._version]
    sums = [tensor.detach().sum().double() for _, tensor in waiting]
    total = sum((one.to(sums[0]) for one in sums), torch.zeros(()))
    # a sum may overflow although its terms do not, so a doubtful one is looked at in full
    if not bool(torch.isfinite(torch.as_tensor(total))):
        for name, tensor in waiting:
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"`model` has values that are not finite in {name}")
    for _, tensor in waiting:
        _found_finite[tensor] = tensor._version


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Refuse an option that does not exist."""
    if value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(known)}, got {value!r}")


def check_no_autocast(images: Tensor) -> None:
    """Refuse to work while PyTorch rounds on its own."""
    if torch.is_autocast_enabled(images.device.type):
        raise RuntimeError("autocast is on, which would round the frozen network; leave it first")
