"""Part templates put into a network by the names of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.core.layers import find_layer
from filterscope.parts.categories import Statistic
from filterscope.parts.network import PartTemplateNetwork
from filterscope.parts.settings import ShapelessOptions
from filterscope.parts.templates import Shape

_DEFAULT_SIDE = 224


def add_part_templates(
    model: nn.Module,
    layers: Sequence[str | nn.Module],
    categories: Sequence[str],
    shape: Shape = "l1",
    *,
    class_shares: Sequence[float] | None = None,
    class_statistic: Statistic = "peak",
    example_input: Tensor | None = None,
    **templates: Unpack[ShapelessOptions],
) -> PartTemplateNetwork:
    """Put part templates on the output of layers of any convolutional network.

    Choose layers whose output is a rectified square map that no residual sum passes by: for a
    residual network a whole block, such as "layer4.2", whose output comes after the sum and its
    ReLU; for AlexNet and VGG the ReLU after the last convolution.

    Args:
        model: The network: torchvision's, timm's, your own. It is changed (hooks), not copied.
        layers: The layers, by name or as modules; each runs once in a forward pass.
        categories: Names of the object categories that filters are divided among; one name stands
            against everything else.
        shape: See `part_templates`.
        class_shares: See `PartTemplates`.
        class_statistic: See `PartTemplates`.
        example_input: A batch (N, channels, H, W) to see the maps once; None is 224 x 224 zeros.
        **templates: `space`, `beta`, `gamma`, `mu` and `learn_beta`, see `PartTemplates`.

    Returns:
        The network with part templates; ``net.unwrap()`` gives the plain one back.

    Raises:
        TypeError: A layer or categories of a wrong type.
        ValueError: An unknown layer (with the near names), one that gives no square map or does
            not run once, or empty or repeated lists.

    Source: Zhang et al., CVPR 2018, section 5 (implementation details).

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        >>> net = add_part_templates(model, layers=["1"], categories=["bird"])
        >>> net.layer_names, net.templates[0].num_filters
        (('1',), 8)
    """
    _check_lists(layers, categories)
    names = [find_layer(model, layer)[0] for layer in layers]
    if len(set(names)) < len(names):
        raise ValueError(f"`layers` must be different, got {', '.join(names)}")
    sizes = _watch(model, names, example_input)
    return PartTemplateNetwork(
        model,
        list(sizes),
        list(sizes.values()),
        categories,
        class_shares=class_shares,
        class_statistic=class_statistic,
        shape=shape,
        **templates,
    )


def _check_lists(layers: Sequence[str | nn.Module], categories: Sequence[str]) -> None:
    for name, values in (("layers", layers), ("categories", categories)):
        if isinstance(values, (str, nn.Module)) or not isinstance(values, Sequence):
            raise TypeError(f"`{name}` must be a list, got {type(values).__name__}")
        if not values:
            raise ValueError(f"`{name}` must not be empty")
    if not all(isinstance(category, str) for category in categories):
        raise TypeError(f"`categories` must be names, got {list(categories)}")
    if len(set(categories)) < len(categories):
        raise ValueError(f"`categories` must be different, got {list(categories)}")


def _watch(model: nn.Module, names: Sequence[str], example_input: Tensor | None) -> dict[str, int]:
    """Run the network once; give the layers' numbers of filters in the order of running."""
    seen: dict[str, list[Any]] = {name: [] for name in names}
    order: list[str] = []

    def hook(name: str) -> Any:
        def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
            seen[name].append(output.shape if isinstance(output, Tensor) else None)
            order.append(name)

        return note

    example = _default_example(model) if example_input is None else example_input
    handles = [model.get_submodule(n).register_forward_hook(hook(n), prepend=True) for n in names]
    try:
        with evaluating(model):
            model(example)
    except (RuntimeError, ValueError, AssertionError) as error:  # timm asserts its image sizes
        if example_input is not None:
            raise
        raise ValueError(
            f"the network does not take images of {_DEFAULT_SIDE} x {_DEFAULT_SIDE}: give an "
            f"`example_input` ({error})"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    for name, shapes in seen.items():
        if len(shapes) != 1:
            raise ValueError(
                f"layer {name!r} ran {len(shapes)} times in a forward pass; it must run once"
            )
        _check_map(name, shapes[0])
    return {name: seen[name][0][1] for name in order}


def _check_map(name: str, shape: Any) -> None:
    if shape is None or len(shape) != 4 or shape[2] != shape[3] or shape[2] < 2:
        came = "no tensor" if shape is None else tuple(shape)
        raise ValueError(
            f"layer {name!r} must give square maps (N, K, n, n) of 2 x 2 units or more, it gives "
            f"{came} here; give an `example_input` of the size that is meant, or another layer"
        )


def _default_example(model: nn.Module) -> Tensor:
    """One image of zeros for the network's first convolution."""
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise ValueError(f"{type(model).__name__} has no convolution: give an `example_input`")
    weight = first.weight
    shape = (1, first.in_channels, _DEFAULT_SIDE, _DEFAULT_SIDE)
    return torch.zeros(shape, device=weight.device, dtype=weight.dtype)
