"""Sending a probe that is zero almost everywhere through the part of the network it reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    box = support(probes)
    if box is not None and cost(program, box, tuple(probes.shape[3:])) < MOST:
        if len(probes) == 1:
            return run_cropped(program, probes[0], box)[None]
        return torch.func.vmap(lambda probe: run_cropped(program, probe, box))(probes)
    if len(probes) == 1:
        return program.run(probes[0])[None]
    boxes = [support(probe[None]) for probe in probes]
    sizes = tuple(probes.shape[3:])
    if all(one is not None and cost(program, one, sizes) < MOST for one in boxes):
        pairs = zip(probes, boxes, strict=True)
        return torch.stack([run_cropped(program, probe, one or ()) for probe, one in pairs])
    return torch.func.vmap(program.run)(probes)


def support(probes: Tensor) -> Box | None:
    """The box outside of which probes (P, N, C, *positions) are zero; None without positions.

    Example:
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


def cost(program: Program, box: Box, sizes: Sequence[int]) -> float:
    """The share of all values that have to be computed for a probe in a box."""
    boxes: dict[int, Box | None] = {program.source: _within(box, sizes)}
    spent = total = 0.0
    for step in program.steps:
        found = _reached(step, [boxes[number] for number in step.inputs])
        boxes.update(dict.fromkeys(step.outputs, found))
        amount = math.prod(step.shape)
        total += amount
        spent += amount * (1 if found is None else _share(found, step.shape[2:]))
    return spent / total if total else 1.0


def run_cropped(program: Program, probe: Tensor, box: Box) -> Tensor:
    """Send a probe (N, C, *positions) that is zero outside of a box through the frozen steps."""
    sizes = {program.source: tuple(probe.shape[2:])}
    within = _within(box, probe.shape[2:])
    values = {program.source: (probe, within)}
    if within is not None:
        values[program.source] = (fitted(probe, _whole(probe.shape[2:]), within), within)
    for step in program.steps:
        boxes = [values[number][1] for number in step.inputs]
        found = _reached(step, boxes)
        if found is None or step.local is None:
            given = [_full(*values[number], sizes[number]) for number in step.inputs]
            made = step.linear(*given)
        else:
            crops = [values[number][0] for number in step.inputs]
            made = step.local.run(crops, [one for one in boxes if one is not None], found)
        parts = made if isinstance(made, (tuple, list)) else [made]
        for number, part in zip(step.outputs, parts, strict=True):
            values[number] = (part, found)
            sizes[number] = tuple(step.shape[2:])
        for number in step.finished:
            del values[number]
    return _full(*values[program.target], sizes[program.target])


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
