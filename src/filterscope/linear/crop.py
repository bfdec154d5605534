"""Sending a probe that is zero almost everywhere through the part of the network it reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.linear.program import Program, Step
from filterscope.linear.rules.local import Box, fitted

# Crops cost a few small operations each, so they have to spare more than half of the picture.
MOST = 0.5


def apply_program(program: Program, probes: Tensor) -> Tensor:
    """Send probes through the frozen steps, on crops where they reach only a part of the picture.

    Args:
        program: The frozen network.
        probes: (P, N, ...).

    Returns:
        (P, N, *output).
    """
    sizes = tuple(probes.shape[3:])
    box = support(probes)
    whole = None if box is None else planned(program, box, sizes)
    if whole is not None and whole.share < MOST:
        if len(probes) == 1:
            return run_cropped(program, probes[0], whole)[None]
        return torch.func.vmap(lambda probe: run_cropped(program, probe, whole))(probes)
    if len(probes) == 1:
        return program.run(probes[0])[None]
    single = [support(probe[None]) for probe in probes] if whole is not None else []
    plans = [planned(program, one, sizes) for one in single if one is not None]
    if plans and all(plan.share < MOST for plan in plans):
        pairs = zip(probes, plans, strict=True)
        return torch.stack([run_cropped(program, probe, plan) for probe, plan in pairs])
    return torch.func.vmap(program.run)(probes)


def support(probes: Tensor) -> Box | None:
    """The box outside of which probes (P, N, C, *positions) are zero; None without positions.

    Examples:
        >>> probes = torch.zeros(1, 1, 1, 4, 5)
        >>> probes[..., 2, 3] = 1
        >>> support(probes)
        ((2, 3), (3, 4))
    """
    axes = range(3, probes.dim())
    if not axes:
        return None
    occupied = (probes != 0).flatten(0, 2).any(0)
    spans = []
    for axis in range(occupied.dim()):
        others = [other for other in range(occupied.dim()) if other != axis]
        line = occupied.any(others) if others else occupied
        hit = line.nonzero().flatten().tolist() or [0]
        spans.append((hit[0], hit[-1] + 1))
    return tuple(spans)


@dataclass(frozen=True)
class Plan:
    """Which part of each value a probe reaches.

    Attributes:
        boxes: By number of the value; None where all of it is computed.
        sizes: Number of positions along each axis, by number of the value.
        share: How much of all values has to be computed.
    """

    boxes: dict[int, Box | None]
    sizes: dict[int, tuple[int, ...]]
    share: float


def planned(program: Program, box: Box, sizes: Sequence[int]) -> Plan:
    """Follow a box of an image with axes of these sizes through the network."""
    boxes: dict[int, Box | None] = {program.source: _within(box, sizes)}
    extents = {program.source: tuple(sizes)}
    spent = total = 0.0
    for step in program.steps:
        found = _reached(step, [boxes[number] for number in step.inputs])
        boxes.update(dict.fromkeys(step.outputs, found))
        extents.update(dict.fromkeys(step.outputs, step.shape[2:]))
        amount = math.prod(step.shape)
        total += amount
        spent += amount * (1 if found is None else _share(found, step.shape[2:]))
    return Plan(boxes, extents, spent / total if total else 1.0)


def run_cropped(program: Program, probe: Tensor, plan: Plan) -> Tensor:
    """Send a probe (N, C, *positions) through the frozen steps, each where the plan says."""
    source, boxes, sizes = program.source, plan.boxes, plan.sizes
    box = boxes[source]
    values = {source: probe if box is None else fitted(probe, _whole(sizes[source]), box)}
    for step in program.steps:
        found = boxes[step.outputs[0]]
        if found is None or step.local is None:
            given = [_full(values[n], boxes[n], sizes[n]) for n in step.inputs]
            made = step.linear(*given)
        else:
            have = [box for number in step.inputs if (box := boxes[number]) is not None]
            made = step.local.run([values[number] for number in step.inputs], have, found)
        parts = made if isinstance(made, (tuple, list)) else [made]
        values.update(zip(step.outputs, parts, strict=True))
        for number in step.finished:
            del values[number]
    target = program.target
    return _full(values[target], boxes[target], sizes[target])


def _reached(step: Step, boxes: Sequence[Box | None]) -> Box | None:
    """The part of a step's output that is not zero; None where it is worth no crop."""
    known = [box for box in boxes if box is not None]
    if step.local is None or len(known) < len(boxes):
        return None
    return _within(step.local.reach(known), step.shape[2:])


def _within(box: Box, sizes: Sequence[int]) -> Box | None:
    return box if _share(box, sizes) <= MOST else None


def _share(box: Box, sizes: Sequence[int]) -> float:
    return math.prod(end - first for first, end in box) / max(math.prod(sizes), 1)


def _whole(sizes: Sequence[int]) -> Box:
    return tuple((0, size) for size in sizes)


def _full(value: Tensor, box: Box | None, sizes: Sequence[int]) -> Tensor:
    return value if box is None else fitted(value, box, _whole(sizes))
