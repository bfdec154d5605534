"""Weights that MatConvNet saved, as tensors of a network with the same layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from filterscope.core.mat_files import read_mat
from filterscope.models.classic import PixelRange

_IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


def read_matconvnet(file: Path, model: nn.Module) -> dict[str, Tensor]:
    """Read a ``.mat`` file of MatConvNet for a network whose layers come in the same order.

    The n-th convolution of the file goes into the n-th convolution or linear layer of the
    network; kernels are turned from height, width, input, output, and a convolution that covers
    the whole map becomes a linear layer. A network that ends earlier takes what it has layers
    for. The mean that the file takes from images is the average of its picture for each channel.
    It goes into the network's `PixelRange`; a network without one, as torchvision's VGG-16, has
    both the range and the mean multiplied into its first convolution. There the padding stands
    for the mean of ImageNet rather than the file's, which differ by less than one in 255.

    The file is read as arrays; nothing in it is run.

    Args:
        file: A network as ``vl_simplenn`` takes it: the cell array ``layers``, perhaps below
            ``net``, with ``type``, ``weights`` (or ``filters`` and ``biases``), ``stride`` and
            ``pad``, and the mean in ``meta.normalization.averageImage``.
        model: Gives the names and kinds of the layers; stays as it is.

    Returns:
        Tensors by the network's names.

    Raises:
        ValueError: A damaged file, another structure, fewer layers, or another stride, padding or
            kernel: VGG-M and VGG-S differ in nothing else.
    """
    targets = [
        (name, layer)
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    if not targets:
        raise ValueError("`model` has no convolution")
    content = _load(file)
    try:
        return _tensors(content, model, targets, file)
    except Exception as error:  # whatever the file holds instead of what is expected
        if isinstance(error, ValueError) and str(file) in str(error):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{file} is no network of MatConvNet: {reason}") from error


def _tensors(
    content: dict[str, Any], model: nn.Module, targets: Sequence[tuple[str, nn.Module]], file: Path
) -> dict[str, Tensor]:
    layers = [layer for layer in _layers(content, file) if _text(layer, "type") == "conv"]
    fitting = list(_pairs(layers, targets, file, getattr(model, "filterscope_new_layers", ())))
    tensors: dict[str, Tensor] = {}
    for source, name, target in fitting:
        kernel, bias = _weights(source, name, file)
        _refuse_other_geometry(source, name, target, file)
        if isinstance(target, nn.Linear):
            kernel = kernel.flatten(1)
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = kernel, bias
    _take_mean(tensors, model, fitting[0][1], _mean(content, file))
    return tensors


def _load(file: Path) -> dict[str, Any]:
    content = read_mat(file)
    net = content.get("net")
    if isinstance(net, np.ndarray) and net.dtype.names is not None and net.size:
        return {name: net.flat[0][name] for name in net.dtype.names}
    return content


def _layers(content: dict[str, Any], file: Path) -> list[Any]:
    """The structs of the cell array ``layers``."""
    cells = content.get("layers")
    if not isinstance(cells, np.ndarray) or not cells.size:
        raise ValueError(f"{file} is no network of MatConvNet: it has no `layers`")
    layers = [np.atleast_1d(cell).flat[0] for cell in cells.flat]
    if not all(isinstance(layer, np.void) and "type" in _names(layer) for layer in layers):
        raise ValueError(f"{file} is no network of MatConvNet: a layer has no `type`")
    return layers


def _names(struct: Any) -> tuple[str, ...]:
    return getattr(struct.dtype, "names", None) or ()


def _text(layer: Any, entry: str) -> str:
    return str(np.asarray(layer[entry]).ravel()[0])


def _pairs(
    layers: list[Any], targets: Sequence[tuple[str, nn.Module]], file: Path, new: tuple[str, ...]
) -> Iterator[tuple[Any, str, nn.Module]]:
    """Pair the layers of the file with the network's; new layers on top have no counterpart."""
    taken = [(name, layer) for name, layer in targets if name.split(".")[0] not in new]
    if len(layers) < len(taken) or (not new and len(layers) > len(taken)):
        raise ValueError(
            f"{file} has {len(layers)} convolutions, the network {len(taken)} layers to fill"
        )
    for source, (name, target) in zip(layers, taken, strict=False):
        yield source, name, target


def _weights(layer: Any, name: str, file: Path) -> tuple[Tensor, Tensor]:
    """Kernel (output, input, height, width) and bias (output,) of a convolution."""
    if "weights" in _names(layer):
        cells = np.asarray(layer["weights"]).ravel()
        if len(cells) < 2:
            raise ValueError(f"{file}: the layer for `{name}` has no weights")
        kernel, bias = cells[0], cells[1]
    elif {"filters", "biases"} <= set(_names(layer)):
        kernel, bias = layer["filters"], layer["biases"]
    else:
        raise ValueError(f"{file}: the layer for `{name}` has no weights")
    kernel, bias = np.asarray(kernel), np.asarray(bias)
    if kernel.dtype.kind not in "fiu" or bias.dtype.kind not in "fiu" or kernel.ndim > 4:
        raise ValueError(f"{file}: the layer for `{name}` has weights that are no numbers")
    kernel = kernel.reshape(kernel.shape + (1,) * (4 - kernel.ndim))  # MATLAB drops last ones
    turned = torch.from_numpy(kernel.astype(np.float32).transpose(3, 2, 0, 1).copy())
    return turned, torch.from_numpy(bias.astype(np.float32).ravel().copy())


def _refuse_other_geometry(layer: Any, name: str, target: nn.Module, file: Path) -> None:
    """Compare stride and padding where the file says them."""
    if not isinstance(target, nn.Conv2d):
        return
    padding = target.padding if isinstance(target.padding, tuple) else (0, 0)
    height, width = padding
    for entry, own in (
        ("stride", list(target.stride)),
        ("pad", [height, height, width, width]),  # top, bottom, left, right
    ):
        if entry not in _names(layer) or not np.asarray(layer[entry]).size:
            continue
        values = [int(value) for value in np.asarray(layer[entry]).ravel()]
        values = values * len(own) if len(values) == 1 else values
        if values != own:
            raise ValueError(
                f"{file} does not fit: the layer for `{name}` has {entry} {values}, the network's "
                f"has {own}"
            )


def _mean(content: dict[str, Any], file: Path) -> Tensor:
    """What the file takes from images: (3,), red, green, blue, 0 to 255."""
    place: Any = content
    for step in ("meta", "normalization", "averageImage"):
        if isinstance(place, dict):
            inner = place.get(step)
        else:
            inner = place[step] if step in _names(place) else None
        if inner is None and step == "meta":
            continue  # before 2015 the description lay beside the layers
        if inner is None:
            raise ValueError(f"{file} does not say which mean its images lose (averageImage)")
        place = inner if step == "averageImage" else np.atleast_1d(inner).flat[0]
    picture = np.asarray(place, dtype=np.float64)
    if picture.ndim == 3 and picture.shape[2] == 3:
        means = picture.mean((0, 1))
    elif picture.size == 3:
        means = picture.ravel()
    else:
        raise ValueError(f"{file}: averageImage of shape {picture.shape}, expected (H, W, 3)")
    return torch.from_numpy(means)


def _take_mean(tensors: dict[str, Tensor], model: nn.Module, first: str, mean: Tensor) -> None:
    """Note the range and mean of the file's images in the network's own input."""
    own = [name for name, layer in model.named_modules() if isinstance(layer, PixelRange)]
    if own:
        tensors[f"{own[0]}.scale"] = PixelRange().scale
        tensors[f"{own[0]}.shift"] = PixelRange.shift_for(mean.tolist())
        return
    kernel, bias = tensors[f"{first}.weight"].double(), tensors[f"{first}.bias"].double()
    centre, spread = 255 * _IMAGENET.double()
    moved = (kernel * (centre - mean).reshape(1, -1, 1, 1)).sum((1, 2, 3))
    tensors[f"{first}.weight"] = (kernel * spread.reshape(1, -1, 1, 1)).float()
    tensors[f"{first}.bias"] = (bias + moved).float()
