"""The loss of one step on either path, and the counts that an epoch logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.gates import ClassGate, gate_penalty
from filterscope.training.schedule import Phase
from filterscope.training.settings import TrainSettings


class TrainingDivergedError(ValueError):
    """The loss is no longer a number."""


@dataclass(frozen=True)
class StepLoss:
    """What one batch gave.

    Attributes:
        total: What is differentiated.
        task: Cross entropy of the path whose `logits` are logged, a mean over the batch.
        logits: Of the standard path, or of the gated path in gated epochs, (B, C).
        penalty: The gate's penalty, not yet weighted; None where it is not part of the loss.
        unwanted: Parameters that are to learn nothing from the gated path, each with the part of
            its gradient that comes from there.
    """

    total: Tensor
    task: Tensor
    logits: Tensor
    penalty: Tensor | None
    unwanted: tuple[tuple[nn.Parameter, Tensor], ...] = ()


def step_loss(
    network: Any,
    gate: ClassGate | None,
    phase: Phase,
    images: Tensor,
    labels: Tensor,
    settings: TrainSettings,
    class_weights: Tensor | None,
    ungated: Sequence[nn.Parameter] = (),
) -> StepLoss:
    """Compute the loss of one batch.

    ====================  ===========================================================
    standard epoch        CE(standard)
    gated epoch           lambda1 CE(gated) + lambda2 penalty
    joint epoch           CE(standard) + lambda1 CE(gated) + lambda2 penalty
    ====================  ===========================================================

    Args:
        network: The plain or gated classifier, possibly set up for several devices.
        gate: Its gate; None in standard training.
        phase: Of the epoch.
        images: (B, 3, H, W), on the network's device.
        labels: (B,).
        settings: Of the run.
        class_weights: (C,) weights in the cross entropy, or None.
        ungated: Parameters that learn nothing from the gated path of the joint scheme.

    Source: Liang et al., ECCV 2020, equation 3 and algorithm 1.
    """
    if phase == "standard":
        logits = network(images)
        task = F.cross_entropy(logits, labels, class_weights)
        return StepLoss(task + _unused(gate), task, logits, None)
    assert gate is not None
    penalty = gate_penalty(gate, settings.psi)
    if phase == "gated":
        logits = network(images, labels)
        task = F.cross_entropy(logits, labels, class_weights)
        total = settings.lambda1 * task + settings.lambda2 * penalty
        return StepLoss(total, task, logits, penalty)
    logits, gated = network.both(images, labels)
    task = F.cross_entropy(logits, labels, class_weights)
    gated_task = F.cross_entropy(gated, labels, class_weights)
    total = task + settings.lambda1 * gated_task + settings.lambda2 * penalty
    unwanted: tuple[tuple[nn.Parameter, Tensor], ...] = ()
    if ungated:  # reaches no further down than these parameters, so it costs little for a head
        parts = torch.autograd.grad(settings.lambda1 * gated_task, ungated, retain_graph=True)
        unwanted = tuple(zip(ungated, parts, strict=True))
    return StepLoss(total, task, logits, penalty, unwanted)


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
    loss: Tensor = field(init=False)
    correct: Tensor = field(init=False)
    count: Tensor = field(init=False)
    penalty: Tensor = field(init=False)
    steps: int = 0
    repaired: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "correct", "count", "penalty"):
            setattr(self, name, torch.zeros((), dtype=torch.float64, device=self.device))

    def update(self, step: StepLoss, labels: Tensor) -> None:
        """Add one batch."""
        self.loss += step.task.detach().double() * len(labels)
        self.correct += (step.logits.detach().argmax(1) == labels).sum()
        self.count += len(labels)
        if step.penalty is not None:
            self.penalty += step.penalty.detach().double()
        self.steps += 1

    def check_finite(self, epoch: int, steps: int) -> None:
        """Raise where the summed loss stopped being finite.

        Raises:
            TrainingDivergedError: With epoch and step. On an accelerator it is looked at every 50
                steps only, because looking waits for the device.
        """
        if self.device.type != "cpu" and self.steps % 50 and self.steps != steps:
            return
        if not bool(torch.isfinite(self.loss)):
            raise TrainingDivergedError(
                f"the loss is not finite in epoch {epoch}, by step {self.steps} of {steps}: lower "
                "`lr` (and `gate_lr`, `lambda2`); the last finished epoch is kept"
            )
