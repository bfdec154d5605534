"""A network frozen at an image: a list of affine steps y = L(x, ...) + c that can be run again."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from filterscope.linear.rules.local import Local


@dataclass(frozen=True)
class Step:
    """One frozen operation.

    Attributes:
        name: The operation, as in ``"conv2d"``.
        path: Path of the module that ran it; empty for the network's own forward.
        linear: L, from the input values to the output value, or to a tuple of them.
        offset: c, broadcastable to the output; None where it is zero.
        inputs: Numbers of the values that it reads.
        outputs: Numbers of the values that it makes.
        has_weights: Whether it is a layer with weights, which begins a stage.
        local: L on a part of the picture; None where it needs all of it.
        shape: Of the (first) output.
        finished: Numbers of the values that no later step reads.
    """

    name: str
    path: str
    linear: Callable[..., Any]
    offset: Tensor | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    has_weights: bool = False
    local: Local | None = None
    shape: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()


class Program:
    """The steps between an image and an output, in the order in which the network took them.

    Args:
        steps: Every recorded step.
        source: Number of the value that is the image.
        target: Number of the value that is the output. Steps that do not lead to it are left out.
        layers: Number of the value that each module of the network returned, by path; None where
            it is no tensor that depends on the image.

    Examples:
        >>> import torch
        >>> program = Program([Step("mul", "", lambda x: 3 * x, torch.ones(1), (0,), (1,))], 0, 1)
        >>> program.run(torch.tensor([2.0])), program.run(torch.zeros(1), offsets={0})
        (tensor([6.]), tensor([1.]))
    """

    def __init__(
        self,
        steps: Sequence[Step],
        source: int,
        target: int,
        layers: Mapping[str, int | None] | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.layers = dict(layers or {})
        self.steps = _needed(steps, target)

    def reads(self, number: int) -> bool:
        """Whether the output depends on a value in the frozen network."""
        return number == self.target or any(number in step.inputs for step in self.steps)

    def offsets(self) -> list[int]:
        """Positions of the steps that add a constant, in depth order."""
        return [k for k, step in enumerate(self.steps) if step.offset is not None]

    def run(
        self,
        probe: Tensor,
        *,
        offsets: Container[int] = (),
        watched: dict[int, Tensor] | None = None,
        changed: Mapping[int, Callable[[Tensor], Tensor]] | None = None,
    ) -> Tensor:
        """Send a probe through the frozen steps.

        Args:
            probe: A tensor of the image's shape.
            offsets: Positions of the steps whose constant is added. None by default, which makes
                the program linear.
            watched: Filled with the output of each step that has a constant, by position, as a
                node of the autograd graph that holds for what comes after the step alone.
            changed: By number of a value, what is put in its place.

        Returns:
            The output.
        """
        changed = changed or {}
        values = {self.source: changed.get(self.source, _same)(probe)}
        for position, step in enumerate(self.steps):
            made = step.linear(*[values[number] for number in step.inputs])
            parts = list(made) if isinstance(made, (tuple, list)) else [made]
            if step.offset is not None:
                if position in offsets:
                    parts[0] = parts[0] + step.offset
                if watched is not None:
                    # a step may return its very input, which has readers before this step, too
                    parts[0] = watched[position] = parts[0].view_as(parts[0])
            for number, part in zip(step.outputs, parts, strict=True):
                values[number] = changed[number](part) if number in changed else part
            for number in step.finished:
                del values[number]
        return values[self.target]


def _same(value: Tensor) -> Tensor:
    return value


def _needed(steps: Sequence[Step], target: int) -> list[Step]:
    """Keep the steps that lead to the target; note after which of them a value is dropped."""
    alive, kept = {target}, []
    for step in reversed(steps):
        if alive.isdisjoint(step.outputs):
            continue
        unread = {number for number in step.outputs if number not in alive}
        last_read = {number for number in step.inputs if number not in alive}
        kept.append(replace(step, finished=tuple(unread | last_read)))
        alive.update(step.inputs)
    return kept[::-1]
