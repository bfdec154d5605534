"""The penalty that keeps a gate sparse."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from filterscope.gates.gate import ClassGate

PenaltyKind = Literal["l1", "l2", "smooth_l1"]


def gate_penalty(gate: ClassGate, kind: PenaltyKind = "l1") -> Tensor:
    r"""Penalty psi(ReLU(||G||_1 - g)) on a gate that uses more than its bound.

    ||G||_1 is the plain sum of absolute entries, g the gate's `l1_bound`. The penalty is a
    function of the parameter alone: add it once to a step's loss, whatever the batch or the
    number of devices.

    Args:
        gate: The gate.
        kind: psi of a scalar excess e: "l1" is e (the authors' code), "l2" is e squared,
            "smooth_l1" is e squared / 2 below 1 and e - 1/2 above.

    Returns:
        A float32 scalar, also under autocast.

    Raises:
        ValueError: An unknown `kind`.

    Source: Liang et al., ECCV 2020, equation 3.

    Examples:
        >>> gate = ClassGate(num_classes=10, num_filters=64)  # all ones: 640 against g = 64
        >>> gate_penalty(gate).item()
        576.0
    """
    if kind not in get_args(PenaltyKind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(PenaltyKind))}, got {kind!r}")
    with torch.autocast(gate.matrix.device.type, enabled=False):
        # never below float32, where 640 entries would no longer add up
        wide = torch.promote_types(gate.matrix.dtype, torch.float32)
        excess = torch.relu(gate.matrix.to(wide).abs().sum() - gate.l1_bound)
        if kind == "l1":
            return excess
        if kind == "l2":
            return excess.square()
        return torch.where(excess < 1, excess.square() / 2, excess - 0.5)
