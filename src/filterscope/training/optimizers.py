"""Optimizers of weights and gate, kept apart.

One optimizer with momentum for both would move the gate in standard epochs, without a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from filterscope.core.heads import head_name
from filterscope.core.names import unknown_name
from filterscope.training.network import Network
from filterscope.training.schedule import Phase
from filterscope.training.settings import TrainSettings

HEAD = "head"
"""Stands for the layer that gives the logits, in `gated_freeze`."""


@dataclass(frozen=True)
class Optimizers:
    """The optimizers of a run.

    Attributes:
        weights: Of the network's weights.
        gated_weights: Of the weights in gated epochs, where these have moments and a rate of
            their own; else None and `weights` serves both.
        gate: Adam of the gate's matrix; None without a learnable gate.
    """

    weights: Optimizer
    gated_weights: Optimizer | None
    gate: Optimizer | None

    def all(self) -> Iterator[tuple[str, Optimizer]]:
        """Name and optimizer of those that exist."""
        for name in ("weights", "gated_weights", "gate"):
            optimizer = getattr(self, name)
            if optimizer is not None:
                yield name, optimizer

    def stepping(self, phase: Phase) -> list[Optimizer]:
        """The optimizers that step in an epoch of this phase."""
        if phase == "standard":
            return [self.weights]
        weights = self.gated_weights if phase == "gated" and self.gated_weights else self.weights
        return [weights] if self.gate is None else [weights, self.gate]


def make_optimizers(network: Network, settings: TrainSettings, gate_lr: float) -> Optimizers:
    """Make the optimizers of a run.

    Args:
        network: With its frozen parameters marked.
        settings: Of the run.
        gate_lr: Learning rate of the gate's Adam.

    Raises:
        ValueError: Everything is frozen, or `gated_freeze` names no part of the network.
    """
    classifier = network.classifier
    trained = [p for p in classifier.parameters() if p.requires_grad]
    if not trained:
        raise ValueError("`freeze` leaves no parameter to train")
    gated = None
    alternates = settings.has_gate and settings.scheme == "alternate"
    if alternates and (settings.gated_lr is not None or settings.gated_freeze):
        left_alone = {id(p) for p in ungated_parameters(classifier, settings)}
        free = [p for p in trained if id(p) not in left_alone]
        gated = _weight_optimizer(classifier, free, settings, settings.gated_lr or settings.lr)
    gate = network.gate
    adam = None if gate is None or not gate.learnable else Adam([gate.matrix], lr=gate_lr)
    weights = _weight_optimizer(classifier, trained, settings, settings.lr)
    return Optimizers(weights, gated, adam)


def _weight_optimizer(
    classifier: nn.Module, parameters: Sequence[nn.Parameter], settings: TrainSettings, lr: float
) -> Optimizer:
    groups: Any = _groups(classifier, parameters, settings, lr)
    if settings.optimizer == "sgd":
        nesterov = settings.nesterov and settings.momentum > 0
        return SGD(
            groups,
            lr,
            momentum=settings.momentum,
            nesterov=nesterov,
            weight_decay=settings.weight_decay,
        )
    kind = Adam if settings.optimizer == "adam" else AdamW
    return kind(groups, lr, weight_decay=settings.weight_decay)


def _groups(
    classifier: nn.Module, parameters: Sequence[nn.Parameter], settings: TrainSettings, lr: float
) -> list[dict[str, Any]]:
    """Weights, and apart from them the biases where they are treated otherwise."""
    if settings.bias_rate == 1 and settings.bias_decay:
        return [{"params": list(parameters)}]
    biases = {id(p) for n, p in classifier.named_parameters() if n.rsplit(".", 1)[-1] == "bias"}
    decay = settings.weight_decay if settings.bias_decay else 0.0
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if id(p) not in biases]},
        {
            "params": [p for p in parameters if id(p) in biases],
            "lr": lr * settings.bias_rate,
            "weight_decay": decay,
            "share": settings.bias_rate,
        },
    ]
    return [group for group in groups if group["params"]]


def ungated_parameters(classifier: nn.Module, settings: TrainSettings) -> list[nn.Parameter]:
    """Trained parameters that learn nothing from the gated path.

    Args:
        classifier: The plain network.
        settings: `gated_freeze` names its parts.

    Raises:
        ValueError: A name that is no part of the network.
    """
    names = dict(classifier.named_modules())
    head = head_name(classifier)
    prefixes = [head if p == HEAD and p not in names and head else p for p in settings.gated_freeze]
    for prefix in prefixes:
        if prefix not in names:
            raise unknown_name("part in `gated_freeze`", prefix, filter(None, names))
    dotted = tuple(f"{prefix}." for prefix in prefixes)
    return [
        parameter
        for name, parameter in classifier.named_parameters()
        if parameter.requires_grad and name.startswith(dotted)
    ]


def set_learning_rate(optimizers: Optimizers, settings: TrainSettings, factor: float) -> None:
    """Set the weights' learning rates to a share of their initial ones; the gate's is constant."""
    _scale(optimizers.weights, settings.lr * factor)
    if optimizers.gated_weights is not None:
        _scale(optimizers.gated_weights, (settings.gated_lr or settings.lr) * factor)


def _scale(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("share", 1.0)
