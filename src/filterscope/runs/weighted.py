"""Architectures with weights: from a file, from their publisher, or random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from filterscope.core.names import unknown_name
from filterscope.data import Transform
from filterscope.models import count_classes, create_model, list_models, load_weights
from filterscope.models.registry import TIMM


@dataclass(frozen=True)
class Weighted:
    """An architecture with weights.

    Attributes:
        model: The network.
        transform: What the publisher of these weights, or of the architecture's first ones, does
            with an image.
        source: Where the weights come from, in words.
        is_trained: Whether they are other than random.
    """

    model: nn.Module
    transform: Transform
    source: str
    is_trained: bool = True


def check_name(name: str) -> None:
    """Refuse a misspelt name; of timm's, building the network tells.

    Raises:
        ValueError: An unknown name, with the near ones.
    """
    if not name.startswith(TIMM) and name not in list_models():
        raise unknown_name("model", name, list_models(), "filterscope list models")


def randomly(name: str, num_classes: int | None, seed: int) -> Weighted:
    """Random weights by a seed; None classes are the architecture's usual number."""
    model = _built(name, num_classes or _usual_classes(name), seed)
    source = f"random weights (seed {seed})"
    return Weighted(model, _transform(name, model), source, is_trained=False)


def from_file(name: str, file: str | Path) -> Weighted:
    """Weights of a file, for as many classes as its head has.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A damaged file, or weights that do not fit.
    """
    if not Path(file).is_file():  # told before a large network is built
        raise FileNotFoundError(f"weights {file} do not exist")
    model = _built(name, _usual_classes(name))
    num_classes = count_classes(model, file)
    if num_classes is None:
        raise ValueError(f"{file} has no head that fits {name}")
    if num_classes != _usual_classes(name):
        model = _built(name, num_classes)
    left_out = load_weights(model, file)
    if left_out:
        raise ValueError(f"the head in {file} ({', '.join(left_out)}) does not fit {name}")
    return Weighted(model, _transform(name, model), f"weights {file}")


def published(name: str, which: str) -> Weighted:
    """Weights that torchvision or timm publishes, downloaded unless they are in its cache.

    Args:
        name: The architecture.
        which: "default", or the name of a set of weights.

    Raises:
        ValueError: An unknown name.
        ConnectionError: Weights that could not be fetched.
    """
    if name.startswith(TIMM):
        return _published_by_timm(name, which)
    if name not in _torchvisions():
        _built(name, 1)  # raises for unknown names
        raise ValueError(f"there are no published weights of {name}; give a file as `weights`")
    entries = torchvision.models.get_model_weights(name)
    known = {entry.name.lower(): entry for entry in entries}
    entry = entries.DEFAULT if which.lower() == "default" else known.get(which.lower())
    if entry is None:
        raise unknown_name("`pretrained`", which, ["default", *(one.name for one in entries)])
    try:
        model: nn.Module = torchvision.models.get_model(name, weights=entry)
    except (OSError, RuntimeError) as error:
        raise ConnectionError(f"{entry} could not be fetched from {entry.url}: {error}") from error
    return Weighted(model, _preset(entry), f"torchvision's {entry}")


def _published_by_timm(name: str, which: str) -> Weighted:
    short = name.removeprefix(TIMM) + ("" if which.lower() == "default" else f".{which}")
    _built(name, 1)  # raises where timm is missing or the name is not known
    import timm

    try:
        model: Any = timm.create_model(short, pretrained=True)
    except Exception as error:  # the hub's client raises many kinds
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        raise ConnectionError(f"timm's {short} could not be fetched: {first}") from error
    return Weighted(model, _transform(name, model), f"timm's {short}")


def _built(name: str, num_classes: int, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # the global generator is the caller's
        torch.manual_seed(seed)
        return create_model(name, num_classes)


def _torchvisions() -> list[str]:
    return list(torchvision.models.list_models(module=torchvision.models))


def _is_for_cifar(name: str) -> bool:
    return not name.startswith(TIMM) and name not in _torchvisions()


def _usual_classes(name: str) -> int:
    return 10 if _is_for_cifar(name) else 1000


def _transform(name: str, model: Any) -> Transform:
    """What the publisher of the architecture's first weights does with an image."""
    if _is_for_cifar(name):
        return Transform(image_size=32)
    if not name.startswith(TIMM):
        return _preset(next(iter(torchvision.models.get_model_weights(name))))
    config = model.default_cfg
    size = int(config["input_size"][-1])
    return Transform(
        image_size=size,
        resize=int(size / config["crop_pct"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def _preset(entry: Any) -> Transform:
    preset = entry.transforms()
    return Transform(
        image_size=int(preset.crop_size[0]),
        resize=int(preset.resize_size[0]),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
