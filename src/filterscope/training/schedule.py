"""Which epochs take the gated path, and the learning rate at a moment of training.

Both are functions of the moment alone, without state: a resumed run needs nothing from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from filterscope.core.answers import TaskLoss
from filterscope.training.settings import TrainSettings

Phase = Literal["standard", "gated", "joint"]


def phase_of(epoch: int, settings: TrainSettings) -> Phase:
    """Say which loss an epoch trains.

    In the alternate scheme epoch e is gated when e >= warmup and e mod period >= period -
    gated_epochs. In the joint scheme every epoch after the warm-up sums both paths.

    Args:
        epoch: Counted from 0.
        settings: Of the run.

    Source: Liang et al., ECCV 2020, algorithm 1, read as in the authors' code.

    Examples:
        >>> settings = TrainSettings(method="gated", warmup=10, period=3, gated_epochs=1)
        >>> [e for e in range(20) if phase_of(e, settings) == "gated"]
        [11, 14, 17]
    """
    if not settings.has_gate or epoch < settings.warmup:
        return "standard"
    if settings.scheme == "joint":
        return "joint"
    gated = epoch % settings.period >= settings.period - settings.gated_epochs
    return "gated" if gated else "standard"


def gated_epoch_count(settings: TrainSettings) -> int:
    """Count the epochs that move the gate."""
    return sum(phase_of(epoch, settings) != "standard" for epoch in range(settings.epochs))


def schedule_notes(settings: TrainSettings) -> list[str]:
    """Say what a user of gates would be surprised by.

    Examples:
        >>> schedule_notes(TrainSettings(method="gated", warmup=10, epochs=5))
        ['no epoch trains the gate: warmup 10, period 3, epochs 5; lower warmup or train longer']
    """
    if not settings.has_gate or gated_epoch_count(settings):
        return []
    period = f"period {settings.period}, " if settings.scheme == "alternate" else ""
    return [
        f"no epoch trains the gate: warmup {settings.warmup}, {period}epochs {settings.epochs}; "
        "lower warmup or train longer"
    ]


def gate_learning_rate(settings: TrainSettings, steps_per_epoch: int) -> float:
    """Learning rate of the gate's Adam: the setting, else chosen from the number of gated steps.

    Adam moves an entry by about its rate a step, and a column needs about 6.9 / rate steps to
    become one-hot by the penalty alone; 30 / steps leaves room to spare, within [0.001, 0.1].

    Examples:
        >>> gate_learning_rate(TrainSettings(method="gated", warmup=0, epochs=30), 100)
        0.03
    """
    if settings.gate_lr is not None:
        return settings.gate_lr
    steps = max(1, gated_epoch_count(settings) * steps_per_epoch)
    return min(0.1, max(0.001, 30 / steps))


def learning_rate_factor(epoch: int, fraction: float, settings: TrainSettings) -> float:
    """Share of the initial learning rate that applies at a moment of training.

    Args:
        epoch: Counted from 0.
        fraction: How much of that epoch is over, in [0, 1).
        settings: Of the run. With ``clock="own"`` an epoch counts the earlier epochs of its own
            phase only, while the length of the schedule stays that of the whole run (as in the
            authors' code, where the gated rate hardly ever drops).

    Returns:
        A factor of the learning rate. Cosine falls continuously to 0; multistep multiplies by
        0.1 at each milestone, logspace falls evenly to 0.1 over `decay_epochs`, both at whole
        epochs.

    Examples:
        >>> learning_rate_factor(15, 0.0, TrainSettings(epochs=30))
        0.5
    """
    if settings.clock == "own":
        phase = phase_of(epoch, settings)
        epoch = sum(phase_of(earlier, settings) == phase for earlier in range(epoch))
    moment, rise = epoch + fraction, settings.warmup_lr_epochs
    if moment < rise:
        return max(moment / rise, 0.01)  # the very first step must move, too
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "multistep":
        passed = sum(epoch >= round(share * settings.epochs) for share in settings.milestones)
        return float(0.1**passed)
    if settings.schedule == "logspace":
        length = settings.decay_epochs or settings.epochs
        return float(0.1 ** (min(epoch, length - 1) / max(length - 1, 1)))
    progress = (moment - rise) / max(settings.epochs - rise, 1e-9)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, progress))


def filter_weight(epoch: int, settings: TrainSettings) -> float:
    """Weight of the filter losses in an epoch, not yet multiplied by the size of the maps.

    Args:
        epoch: Counted from 0.
        settings: Of the run. The default weight of the official loss is the authors'; that of the
            other forms is ours, because the paper's is not published.

    Source: the authors' code of Zhang et al., CVPR 2018.

    Examples:
        >>> settings = TrainSettings(method="parts", filter_loss="official")
        >>> filter_weight(0, settings), filter_weight(3, settings)
        (1e-06, 2.5e-07)
    """
    start = settings.filter_weight
    if start is None:
        start = 1e-6 if settings.filter_loss == "official" else 0.1
    return start if settings.filter_schedule == "constant" else start / (epoch + 1)


@dataclass(frozen=True)
class CategoryFactors:
    """What multiplies the settings of a single category when there are several.

    Attributes:
        rate: The learning rate of the weights.
        task: The task loss.
        filters: The filter losses.
    """

    rate: float = 1.0
    task: float = 1.0
    filters: float = 1.0


def category_factors(settings: TrainSettings, loss: TaskLoss, num_logits: int) -> CategoryFactors:
    """Look up how the authors' code scales its settings with the number of categories.

    ==================  ==============  =========  ==============
    task                learning rate   task loss  filter losses
    ==================  ==============  =========  ==============
    one category        1               1          1
    logistic, C         C               1          1
    logistic, C > 10    C / 10          1          1
    softmax, C          C / 5           C          1 / 5
    softmax, C > 10     C / 50          C          1 / 50
    ==================  ==============  =========  ==============

    Args:
        settings: Of the run; without ``category_factors="official"`` every factor is 1.
        loss: The task's loss.
        num_logits: C.

    Source: the authors' code of Zhang et al., CVPR 2018.

    Examples:
        >>> category_factors(TrainSettings(category_factors="official"), "softmax", 6).rate
        1.2
    """
    if settings.category_factors == "none" or num_logits == 1:
        return CategoryFactors()
    many = num_logits > 10
    if loss == "logistic":
        return CategoryFactors(rate=num_logits / 10 if many else float(num_logits))
    less = 50 if many else 5
    return CategoryFactors(num_logits / less, float(num_logits), 1 / less)
