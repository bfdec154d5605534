"""The loss of one step on either path, and the counts that an epoch logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.core.answers import TaskLoss, class_scores, image_losses, wrong_answers
from filterscope.gates import ClassGate, gate_penalty
from filterscope.training.part_training import FilterLosses
from filterscope.training.schedule import Phase
from filterscope.training.settings import TrainSettings


class TrainingDivergedError(ValueError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class StepLoss:
    """What one batch gave.

    Attributes:
        total: What is differentiated.
        task: Task loss of the path whose `logits` are logged, a mean over the batch.
        logits: Of the standard path, or of the gated path in gated epochs, (B, C) or (B, 1).
        penalty: The gate's penalty, not yet weighted; None where it is not part of the loss.
        filters: The filter losses, not yet weighted, summed over layers; None without templates.
        unwanted: Parameters that are to learn nothing from the gated path, each with the part of
            its gradient that comes from there.
    """

    total: Tensor
    task: Tensor
    logits: Tensor
    penalty: Tensor | None
    filters: Tensor | None = None
    unwanted: tuple[tuple[nn.Parameter, Tensor], ...] = ()


@dataclass(frozen=True)
class Objective:
    """What a run minimises, but for the settings of its gate.

    Attributes:
        kind: The task's loss.
        class_weights: (C,) weights of the classes in it, or None.
        factor: What it is multiplied by.
        filters: How filter losses are asked for; None without part templates.
    """

    kind: TaskLoss = "softmax"
    class_weights: Tensor | None = None
    factor: float = 1.0
    filters: FilterLosses | None = None

    def task(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean task loss of a batch, weighted by class, without its factor."""
        if self.kind == "softmax" and logits.shape[1] > 1:
            return F.cross_entropy(logits, labels, self.class_weights)
        losses = image_losses(logits, labels, self.kind)
        if self.class_weights is None:
            return losses.mean()
        weights = self.class_weights[labels]
        return (losses * weights).sum() / weights.sum()


def step_loss(
    network: Any,
    gate: ClassGate | None,
    phase: Phase,
    images: Tensor,
    labels: Tensor,
    settings: TrainSettings,
    objective: Objective,
    filter_weights: Tensor | None = None,
    ungated: Sequence[nn.Parameter] = (),
) -> StepLoss:
    """Compute the loss of one batch.

    ====================  ===========================================================
    standard epoch        task(standard)
    gated epoch           lambda1 task(gated) + lambda2 penalty
    joint epoch           task(standard) + lambda1 task(gated) + lambda2 penalty
    ====================  ===========================================================

    With part templates the weighted filter losses of the pass are added in all of them.

    Args:
        network: The plain classifier or what is around it, possibly set up for several devices.
        gate: Its gate; None without.
        phase: Of the epoch.
        images: (B, 3, H, W), on the network's device.
        labels: (B,).
        settings: Of the run.
        objective: Task and filter losses.
        filter_weights: Weight of each layer's filter loss in this epoch, (layers,).
        ungated: Parameters that learn nothing from the gated path of the joint scheme.

    Source: Liang et al., ECCV 2020, equation 3 and algorithm 1; Zhang et al., CVPR 2018, section 3.
    """
    if objective.filters is None:
        return _path_loss(network, gate, phase, images, labels, settings, objective, ungated)
    with objective.filters.collected(labels) as losses:
        loss = _path_loss(network, gate, phase, images, labels, settings, objective, ungated)
    assert filter_weights is not None
    each = torch.stack(losses)
    total = loss.total + (filter_weights * each).sum()
    return replace(loss, total=total, filters=each.detach().sum())


def _path_loss(
    network: Any,
    gate: ClassGate | None,
    phase: Phase,
    images: Tensor,
    labels: Tensor,
    settings: TrainSettings,
    objective: Objective,
    ungated: Sequence[nn.Parameter],
) -> StepLoss:
    factor = objective.factor
    if phase == "standard":
        logits = network(images)
        task = objective.task(logits, labels)
        return StepLoss(factor * task + _unused(gate), task, logits, None)
    assert gate is not None
    penalty = gate_penalty(gate, settings.psi)
    if phase == "gated":
        logits = network(images, labels)
        task = objective.task(logits, labels)
        total = settings.lambda1 * factor * task + settings.lambda2 * penalty
        return StepLoss(total, task, logits, penalty)
    logits, gated = network.both(images, labels)
    task = objective.task(logits, labels)
    gated_task = settings.lambda1 * factor * objective.task(gated, labels)
    total = factor * task + gated_task + settings.lambda2 * penalty
    unwanted: tuple[tuple[nn.Parameter, Tensor], ...] = ()
    if ungated:  # reaches no further down than these parameters, so it costs little for a head
        parts = torch.autograd.grad(gated_task, ungated, retain_graph=True)
        unwanted = tuple(zip(ungated, parts, strict=True))
    return StepLoss(total, task, logits, penalty, unwanted=unwanted)


def take_back(step: StepLoss, processes: int) -> None:
    """Take the gated path's part out of the gradients that are not to have it.

    Args:
        step: After its backward pass.
        processes: Number of processes, whose gradients were averaged.
    """
    for parameter, part in step.unwanted:
        assert parameter.grad is not None
        if processes > 1:
            torch.distributed.all_reduce(part)
        parameter.grad -= part / processes


def _unused(gate: ClassGate | None) -> Tensor | float:
    """Zero that depends on the gate: several processes expect a gradient of each parameter."""
    if gate is None or not gate.learnable or not torch.distributed.is_initialized():
        return 0.0
    return 0.0 * gate.matrix.sum()


@dataclass
class EpochCounts:
    """Sums over an epoch, kept on the device so that no step waits for them."""

    device: torch.device
    kind: TaskLoss = "softmax"
    loss: Tensor = field(init=False)
    correct: Tensor = field(init=False)
    wrong: Tensor = field(init=False)
    count: Tensor = field(init=False)
    penalty: Tensor = field(init=False)
    filters: Tensor = field(init=False)
    steps: int = 0
    repaired: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "correct", "wrong", "count", "penalty", "filters"):
            setattr(self, name, torch.zeros((), dtype=torch.float64, device=self.device))

    def update(self, step: StepLoss, labels: Tensor) -> None:
        """Add one batch."""
        self.loss += step.task.detach().double() * len(labels)
        logits = step.logits.detach()
        self.correct += (class_scores(logits).argmax(1) == labels).sum()
        self.wrong += wrong_answers(logits, labels, self.kind).sum()
        self.count += len(labels)
        if step.penalty is not None:
            self.penalty += step.penalty.detach().double()
        if step.filters is not None:
            self.filters += step.filters.double() * len(labels)
        self.steps += 1

    def check_finite(self, epoch: int, steps: int) -> None:
        """Raise where the summed loss stopped being finite.

        Raises:
            TrainingDivergedError: With epoch and step. On an accelerator it is looked at every 50
                steps only, because looking waits for the device.
        """
        if self.device.type != "cpu" and self.steps % 50 and self.steps != steps:
            return
        if not bool(torch.isfinite(self.loss + self.filters)):
            raise TrainingDivergedError(
                f"the loss is not finite in epoch {epoch}, by step {self.steps} of {steps}: lower "
                "`lr` (and `gate_lr`, `lambda2`); the last finished epoch is kept"
            )
