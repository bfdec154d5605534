"""Gated classifiers in folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from filterscope.core.pretrained import (
    NETWORK,
    SavedForm,
    fill_network,
    load_strictly,
    read_tensors,
    saved_form,
    stored_value,
)
from filterscope.gates.gate import ClassGate
from filterscope.gates.placement import Activation

if TYPE_CHECKING:
    from filterscope.gates.classifier import GatedClassifier

GATED = "gated-classifier"


def gated_form(net: GatedClassifier) -> SavedForm:
    """Tell what is written of a gated classifier: the classifier as it is, and the gate.

    Args:
        net: The classifier; what it wraps may have a form of its own, as part templates have.

    Raises:
        ValueError: An `activation` that is a function of your own.
    """
    if net.activation is not None and net.activation is not torch.relu:
        raise ValueError(
            f"an `activation` that is a function of your own cannot be saved, got {net.activation}"
        )
    inner = saved_form(net.model)
    config = {
        "kind": GATED,
        "layer": net.layer_name,
        "num_classes": net.gate.num_classes,
        "num_filters": net.gate.num_filters,
        "density_bound": net.gate.density_bound,
        "learnable": net.gate.learnable,
        "rectified": net.activation is not None,
    }
    if inner.config["kind"] == NETWORK:
        config |= {name: value for name, value in inner.config.items() if name != "kind"}
    else:
        config["wrapped"] = inner.config
    return SavedForm(config, {**inner.weights, "gate": net.gate.state_dict()})


def fill_gated(config: Mapping[str, Any], folder: str | Path, model: nn.Module) -> None:
    """Fill a plain classifier with the weights of a saved gated one.

    Args:
        config: The folder's configuration.
        folder: What ``save_pretrained`` wrote.
        model: Of the saved architecture; changed in place.

    Raises:
        FileNotFoundError: The weights are missing.
        ValueError: No gated classifier, one around another kind of network, or weights that do
            not fit.
    """
    if config.get("kind") != GATED:
        raise ValueError(f"{folder} holds a {config.get('kind')!r}, not a gated classifier")
    if "wrapped" in config:
        raise ValueError(
            f"{folder} holds a gate around a network with part templates; read it with "
            "`filterscope.from_pretrained`"
        )
    fill_network(model, config, folder)


def stored_gate(config: Mapping[str, Any], folder: str | Path) -> tuple[str, ClassGate, Activation]:
    """Read layer, gate and activation of a saved gated classifier.

    Args:
        config: The folder's configuration.
        folder: What ``save_pretrained`` wrote.

    Raises:
        FileNotFoundError: ``gate.safetensors`` is missing.
        ValueError: It is damaged or does not fit the configuration.
    """
    file = Path(folder) / "gate.safetensors"
    tensors = read_tensors(file)
    num_classes = stored_value(config, "num_classes", int, folder)
    num_filters = stored_value(config, "num_filters", int, folder)
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != {"matrix": (num_classes, num_filters)}:  # before a gate of any size is made
        raise ValueError(f"{file} must hold a `matrix` of {num_classes} x {num_filters}: {found}")
    density_bound = stored_value(config, "density_bound", float, folder)
    try:
        gate = ClassGate(num_classes, num_filters, density_bound)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    gate.matrix.requires_grad_(stored_value(config, "learnable", bool, folder))
    load_strictly(gate, tensors, str(file))
    activation = torch.relu if stored_value(config, "rectified", bool, folder) else None
    return stored_value(config, "layer", str, folder), gate, activation
