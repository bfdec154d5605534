"""A frozen network that autograd has recorded, ready to be read backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.utils.checkpoint import CheckpointError

from filterscope.linear.program import Program

Found = TypeVar("Found")

_SMALL = 3 * 128 * 128


def _is_overwritten(error: RuntimeError) -> bool:
    """Whether autograd's record is of values that are no longer there."""
    inplace = "modified by an inplace operation" in str(error)
    return inplace or isinstance(error, CheckpointError)


def constant_part(gradient: Tensor, offset: Tensor) -> Tensor:
    """Gradient times constant; an infinite constant that nothing reads counts for nothing."""
    return torch.where(gradient == 0, 0, gradient * offset)


@dataclass(frozen=True)
class Recording:
    """The frozen network as autograd recorded it.

    Attributes:
        source: Where the images are, (N, ...).
        result: Where the output is.
        watched: Where the output of each step is that adds a constant, in depth order. These are
            places in the record: tensors would keep activations, and move when they are written to.
    """

    source: GradientEdge
    result: GradientEdge
    watched: list[GradientEdge]


def replayed(program: Program, images: Tensor) -> Recording:
    """Record a replay; the images' values do not matter, since the program is linear."""
    watched: dict[int, Tensor] = {}
    with torch.inference_mode(False), torch.enable_grad():
        source = torch.zeros_like(images).requires_grad_()
        result = program.run(source, watched=watched)
    places = [get_gradient_edge(tensor) for tensor in (source, result, *watched.values())]
    return Recording(places[0], places[1], places[2:])


class Graph:
    """The linear program as an autograd graph; it is kept, so that each reading is one pass.

    Args:
        program: The frozen network.
        images: (N, ...); their values do not matter.
        recording: What autograd recorded when the network was frozen; None records a replay.
    """

    def __init__(
        self, program: Program, images: Tensor, recording: Recording | None = None
    ) -> None:
        self._program, self._images = program, images
        # measured: batched backward passes win by 6 % at 96 pixels, and lose 15 to 45 % at 224
        self._batches = images.device.type != "cpu" or images.numel() <= _SMALL
        self._is_replay = recording is None
        self._recording = recording or replayed(program, images)
        offsets = [program.steps[position].offset for position in program.offsets()]
        self._offsets = [offset for offset in offsets if offset is not None]

    def adjoint(self, probes: Tensor) -> Tensor:
        """Pull probes (P, N, *output) back to the images: F^T u, (P, N, ...)."""
        return self._read(lambda graph: self._pulled([graph.result], [graph.source], [probes])[0])

    def gradients(self, probes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pull probes back to the images and to every constant.

        Args:
            probes: (P, N, *output).

        Returns:
            F^T u, (P, N, ...), and for each constant, in depth order, the gradient of <u, y> where
            it is added, (P, ...).
        """
        first, *others = self._read(
            lambda graph: self._pulled([graph.result], [graph.source, *graph.watched], [probes])
        )
        return first, others

    def backproject(self, parts: Sequence[Tensor]) -> Tensor:
        """Pull tensors from where the constants are added back to the images, and sum them.

        Args:
            parts: z_k for each constant, in depth order, each (P, ...) in the shape that
                `gradients` gives it.

        Returns:
            sum_k P_k z_k, (P, N, ...).

        Raises:
            ValueError: Another number of parts than of constants, or none at all.
        """
        if len(parts) != len(self._offsets) or not parts:
            raise ValueError(
                f"`parts` must hold a tensor for each of {len(self._offsets)} constants, at least "
                f"one, got {len(parts)}"
            )
        return self._read(lambda graph: self._pulled(graph.watched, [graph.source], parts)[0])

    def products(self, u: Tensor, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What makes up <u, y>, element by element, from one pass.

        Args:
            u: (N, *output).
            images: x0, (N, ...).

        Returns:
            F^T u times x0, and for each constant, in depth order, the gradient of <u, y> where it
            is added times the constant.
        """
        first, others = self.gradients(u[None])
        pairs = zip(others, self._offsets, strict=True)
        return first[0] * images, [constant_part(gradient[0], offset) for gradient, offset in pairs]

    def _read(self, reading: Callable[[Recording], Found]) -> Found:
        """Read the recording; a replay of the program where the network has overwritten it."""
        try:
            return reading(self._recording)
        except RuntimeError as error:
            if self._is_replay or not _is_overwritten(error):
                raise
        self._recording, self._is_replay = replayed(self._program, self._images), True
        return reading(self._recording)

    def _pulled(
        self,
        outputs: Sequence[GradientEdge],
        inputs: Sequence[GradientEdge],
        probes: Sequence[Tensor],
    ) -> tuple[Tensor, ...]:
        """Gradients at the inputs for probes (P, ...) at the outputs; the graph is kept."""
        batched = self._batches and len(probes[0]) > 1

        def pull(some: Sequence[Tensor]) -> tuple[Tensor, ...]:
            return torch.autograd.grad(
                outputs, inputs, some, retain_graph=True, is_grads_batched=batched
            )

        if batched:
            return pull(probes)
        each = [pull(some) for some in zip(*probes, strict=True)]
        return tuple(torch.stack(found) for found in zip(*each, strict=True))
