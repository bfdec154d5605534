"""Where a gate goes, how features are rectified, and how many filters there are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from filterscope.core.contexts import captured_features, evaluating
from filterscope.core.gate_points import GatePoint
from filterscope.core.layers import find_layer
from filterscope.gates.gate import ClassGate

Activation = Callable[[Tensor], Tensor] | None


def chosen_layer(
    model: nn.Module, layer: str | nn.Module | None, known: GatePoint | None
) -> tuple[str, nn.Module]:
    """Find the layer that was asked for, or the known one, and say which."""
    if layer is not None:
        return find_layer(model, layer)
    if known is None:
        raise ValueError(
            f"`layer` is needed: the place of the gate is not known for {type(model).__name__}"
        )
    warnings.warn(f"gating layer {known.layer!r} of {type(model).__name__}", stacklevel=4)
    return find_layer(model, known.layer)


def chosen_activation(
    activation: Literal["auto", "relu"] | Activation, known: GatePoint | None
) -> Activation:
    """Resolve the function that rectifies a map before it is pooled."""
    if activation == "auto":
        activation = "relu" if known is None else known.activation
    if activation == "relu":
        return torch.relu
    if activation is not None and not callable(activation):
        raise ValueError(
            f"`activation` must be 'auto', 'relu', None or a function, got {activation!r}"
        )
    return activation


def count_filters(
    model: nn.Module, layer: nn.Module, example_input: Tensor | None, known: GatePoint | None
) -> int:
    """Find K: one forward pass of the example, else the known architecture's number."""
    if example_input is not None:
        with evaluating(model), captured_features(layer, None) as seen:
            model(example_input)
        if len(seen) != 1:
            raise ValueError(f"`layer` ran {len(seen)} times in a forward pass; it must run once")
        return seen[0].shape[1]
    if known is not None:
        return known.num_filters
    raise ValueError(
        "the number of filters is not known: give `num_filters`, or an `example_input` to count "
        "them on"
    )


def placed_gate(
    gate: ClassGate,
    model: nn.Module,
    num_classes: int | None,
    num_filters: int | None,
    density_bound: float | None,
) -> ClassGate:
    """Bring a gate to the device and the mode of a model; refuse what contradicts the gate."""
    given = {"num_classes": num_classes, "num_filters": num_filters, "density_bound": density_bound}
    for name, value in given.items():
        own = getattr(gate, name)
        if value is not None and value != own:
            raise ValueError(f"`{name}` is {value}, but that of `gate` is {own}")
    device = next((p.device for p in model.parameters()), gate.matrix.device)
    return gate.to(device).train(model.training)
