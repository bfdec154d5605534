"""What a trained network is put together from: classifier, part templates, gate."""

from __future__ import annotations

from torch import nn

from filterscope.gates import ClassGate, GatedClassifier
from filterscope.parts import PartTemplateNetwork


def plain_classifier(network: nn.Module) -> nn.Module:
    """The plain classifier, with its own keys, without its gate; templates mask it by hooks.

    Examples:
        >>> plain_classifier(GatedClassifier(nn.Sequential(nn.Conv2d(3, 4, 1)), "0", 2, 4))
        Sequential(
          (0): Conv2d(3, 4, kernel_size=(1, 1), stride=(1, 1))
        )
    """
    inner = _without_gate(network)
    inner = inner.model if isinstance(inner, PartTemplateNetwork) else inner
    assert isinstance(inner, nn.Module)
    return inner


def part_network(network: nn.Module) -> PartTemplateNetwork | None:
    """The network with part templates, without its gate; None without templates."""
    inner = _without_gate(network)
    return inner if isinstance(inner, PartTemplateNetwork) else None


def gate_of(network: nn.Module) -> ClassGate | None:
    """The gate of a gated network; None without."""
    return network.gate if isinstance(network, GatedClassifier) else None


def _without_gate(network: nn.Module) -> nn.Module:
    inner = network.model if isinstance(network, GatedClassifier) else network
    assert isinstance(inner, nn.Module)
    return inner
