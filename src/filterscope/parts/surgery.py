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
    new_conv: bool = False,
    second_mask: str = "after_pool",
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
        categories: Names of the object categories that filters are divided among; one name for
            one category against everything else.
        shape: See `part_templates`.
        new_conv: Whether a new 3 x 3 convolution with ReLU, of as many channels, comes after the
            last of `layers`, as the papers have it.
        second_mask: Where the map of the new convolution is masked: "after_pool" (the authors'
            code) at the pooling layer that follows, "before_pool" (the paper) where it is made,
            or the name of a layer.
        class_shares: See `PartTemplates`.
        class_statistic: See `PartTemplates`.
        example_input: A batch for the model, (N, channels, H, W), to see its maps once; None
            takes one image of 224 x 224 zeros.
        **templates: `space`, `beta`, `gamma`, `mu` and `learn_beta`, see `PartTemplates`.

    Returns:
        The network with part templates; ``net.unwrap()`` gives the plain one back.

    Raises:
        TypeError: A layer or categories of a wrong type.
        ValueError: No layer, an unknown one (with the near names), one that gives no square map
            or does not run once, no or repeated categories, or no pooling layer to mask after.

    Source: Zhang et al., CVPR 2018, section 5 (implementation details).

    Example:
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
    names = list(sizes)
    last, mask_new_conv = len(names) - 1, new_conv and second_mask == "before_pool"
    if new_conv and not mask_new_conv:
        pool = _second_layer(model, names[-1], second_mask)
        if pool in names:
            raise ValueError(f"`second_mask` is at {pool!r}, which is one of `layers` already")
        sizes = _watch(model, [*names, pool], example_input)
        if list(sizes)[-1] != pool:
            raise ValueError(f"`second_mask` is at {pool!r}, which runs before {names[-1]!r}")
    return PartTemplateNetwork(
        model,
        list(sizes),
        list(sizes.values()),
        categories,
        new_conv=last if new_conv else None,
        mask_new_conv=mask_new_conv,
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


def _second_layer(model: nn.Module, last: str, second_mask: str) -> str:
    """Find the layer after which the new convolution's map is masked."""
    if second_mask != "after_pool":
        return find_layer(model, second_mask)[0]
    modules = list(model.named_modules())
    start = [name for name, _ in modules].index(last)
    pools = [n for n, m in modules[start + 1 :] if isinstance(m, (nn.MaxPool2d, nn.AvgPool2d))]
    if pools:
        return str(pools[0])
    raise ValueError(
        f"`second_mask` is 'after_pool', but no pooling layer comes after {last!r}: choose "
        "'before_pool', or name a layer"
    )


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
    except RuntimeError as error:
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
