"""One registry over our architectures, torchvision's classifiers and timm's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn

from filterscope.core.gate_points import GatePoint, gate_point
from filterscope.core.names import unknown_name
from filterscope.models.cifar_alexnet import CifarAlexNet
from filterscope.models.cifar_resnet import CifarResNet, bottleneck_resnet_for_cifar
from filterscope.models.classic import CLASSIC_SIZES, ClassicNet
from filterscope.models.part_networks import PART_SIZES, PartNetwork
from filterscope.models.weights import freeze as freeze_parameters
from filterscope.models.weights import load_weights

TIMM = "timm:"

_OURS: dict[str, Callable[[int], nn.Module]] = {
    **{f"resnet{depth}": partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110)},
    "resnet50_cifar": partial(bottleneck_resnet_for_cifar, [3, 4, 6, 3]),
    "resnet101_cifar": partial(bottleneck_resnet_for_cifar, [3, 4, 23, 3]),
    "alexnet_cifar": CifarAlexNet,
    **{name: partial(ClassicNet, name) for name in CLASSIC_SIZES},
    **{name: partial(PartNetwork, name) for name in PART_SIZES},
}
_SIZES = {**CLASSIC_SIZES, **PART_SIZES}
"""Image sizes of ours; the others take CIFAR's."""

# Their training forward would give a named tuple with auxiliary logits.
_NO_AUXILIARY = {"aux_logits": False, "init_weights": True}
_TORCHVISION_OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": _NO_AUXILIARY,
    "inception_v3": _NO_AUXILIARY,
}


@dataclass(frozen=True)
class ModelInfo:
    """What the registry knows of an architecture.

    Attributes:
        name: As `create_model` takes it.
        gate_point: Gate layer, K, activation and kind of head; None where it is not known.
        image_size: Side of the images the architecture was made for, in pixels.
        source: Whose implementation it is.
    """

    name: str
    gate_point: GatePoint | None
    image_size: int
    source: str


def list_models(pattern: str = "*") -> list[str]:
    """List the names that `create_model` takes.

    Args:
        pattern: A shell pattern such as ``"resnet*"``; ``"timm:resnet*"`` lists timm's.

    Returns:
        Sorted names.

    Examples:
        >>> list_models("resnet*_cifar")
        ['resnet101_cifar', 'resnet50_cifar']
    """
    if pattern.startswith(TIMM):
        names: Iterable[str] = [TIMM + name for name in _timm().list_models()]
    else:
        names = [*_OURS, *torchvision.models.list_models(module=torchvision.models)]
    return sorted(name for name in names if fnmatch(name, pattern))


def create_model(
    name: str,
    num_classes: int,
    *,
    weights: str | Path | None = None,
    freeze: Iterable[str] = (),
) -> nn.Module:
    """Build a classifier for RGB images.

    Args:
        name: One of `list_models`, or ``timm:NAME``.
        num_classes: C.
        weights: Weights to start from, see `load_weights`; initial weights are random otherwise.
        freeze: Names of layers whose parameters are not trained.

    Returns:
        The network, in train mode; ``model.filterscope_architecture`` says how it was built.

    Raises:
        ValueError: An unknown name (with the near ones), weights or layers that do not fit.
        ModuleNotFoundError: A timm name without timm.

    Examples:
        >>> create_model("resnet20", num_classes=10).layer3[2].conv2.weight.shape
        torch.Size([64, 64, 3, 3])
    """
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1, got {num_classes}")
    model: Any = _build(name, num_classes)
    model.filterscope_architecture = {"name": name, "num_classes": num_classes}
    if weights is not None:
        left_out = load_weights(model, weights)
        if left_out and not hasattr(model, "filterscope_new_layers"):
            warnings.warn(
                f"{weights} is for another number of classes; its head ({', '.join(left_out)}) is "
                "left out",
                stacklevel=2,
            )
    freeze_parameters(model, freeze)
    built: nn.Module = model
    return built


def model_info(name: str) -> ModelInfo:
    """Tell what the registry knows of an architecture.

    Args:
        name: As `create_model` takes it.

    Examples:
        >>> model_info("vgg16").gate_point
        GatePoint(layer='features.29', num_filters=512, activation='relu', head='mlp')
    """
    with torch.random.fork_rng(devices=[]):
        model: Any = create_model(name, 10)
    if name.startswith(TIMM):
        return ModelInfo(name, gate_point(model), model.default_cfg["input_size"][-1], "timm")
    if name in _OURS:
        return ModelInfo(name, gate_point(model), _SIZES.get(name, 32), "filterscope")
    return ModelInfo(name, gate_point(model), _published_size(name), "torchvision")


def _published_size(name: str) -> int:
    """The smallest side that torchvision's published weights of an architecture take."""
    weights = torchvision.models.get_model_weights(name)
    return min(int(entry.transforms.keywords["crop_size"]) for entry in weights)


def _build(name: str, num_classes: int) -> nn.Module:
    if name in _OURS:
        return _OURS[name](num_classes)
    if name.startswith(TIMM):
        return _build_timm(name, num_classes)
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise unknown_name("model", name, list_models(), "filterscope list models")
    options = _TORCHVISION_OPTIONS.get(name, {})
    model: nn.Module = torchvision.models.get_model(name, num_classes=num_classes, **options)
    return model


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "models named timm:NAME need timm: pip install filterscope[timm]"
        ) from error
    return timm


def _build_timm(name: str, num_classes: int) -> nn.Module:
    timm = _timm()
    short = name.removeprefix(TIMM)
    if not timm.is_model(short):
        raise unknown_name("model", name, [TIMM + known for known in timm.list_models()])
    model: Any = timm.create_model(short, pretrained=False, num_classes=num_classes)
    model.filterscope_gate_point = _timm_gate_point(model)
    built: nn.Module = model
    return built


@torch.no_grad()
def _timm_gate_point(model: Any) -> GatePoint | None:
    """Find the module whose output enters the global pool, by watching one forward pass."""
    pool = next(
        (part for n, part in model.named_modules() if n.rsplit(".", 1)[-1] == "global_pool"), None
    )
    if pool is None:
        return None
    outputs: list[tuple[str, Any]] = []
    pooled: list[Any] = []
    handles = [
        part.register_forward_hook(lambda _m, _i, out, n=n: outputs.append((n, out)))
        for n, part in model.named_modules()
        if n
    ]
    handles.append(pool.register_forward_pre_hook(lambda _m, inputs: pooled.append(inputs[0])))
    training = model.training
    generator = torch.Generator().manual_seed(0)  # the global generator is the caller's
    side = model.default_cfg["input_size"][-1]
    try:
        logits = model.eval()(torch.randn(1, 3, side, side, generator=generator))
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    maps = [(n, out) for n, out in outputs if torch.is_tensor(out) and out.dim() == 4]
    if pooled and pooled[0].dim() == 4 and pooled[0].shape[2:].numel() == 1:
        # fully connected layers written as convolutions (VGG): the last true map lies before them
        pooled = [out for n, out in maps if "." not in n and out.shape[2:].numel() > 1][-1:]
    same = [name for name, out in maps if pooled and out is pooled[0]]
    if not same:
        return None
    features, head = pooled[0], model.get_classifier()
    is_linear = (
        isinstance(head, nn.Linear)
        and head.in_features == features.shape[1]
        and torch.allclose(head(features.mean((2, 3))), logits, atol=1e-5)
    )
    return GatePoint(
        layer=same[-1],
        num_filters=features.shape[1],
        activation="relu" if bool((features >= 0).all()) else None,
        head="gap-linear" if is_linear else "mlp",
    )
