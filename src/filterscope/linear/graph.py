"""One replay of a frozen network that autograd has recorded, ready to be read backwards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from filterscope.linear.program import Program


class Graph:
    """The linear program as an autograd graph; it is kept, so that each reading is one pass.

    Args:
        program: The frozen network.
        images: (N, ...); their values do not matter, since the program is linear.
    """

    def __init__(self, program: Program, images: Tensor) -> None:
        watched: dict[int, Tensor] = {}
        with torch.inference_mode(False), torch.enable_grad():
            self._source = torch.zeros_like(images).requires_grad_()
            self._result = program.run(self._source, watched=watched)
        self._watched = list(watched.values())
        offsets = [program.steps[position].offset for position in watched]
        self._offsets = [offset for offset in offsets if offset is not None]

    def adjoint(self, probes: Tensor) -> Tensor:
        """Pull probes (P, N, *output) back to the images: F^T u, (P, N, ...)."""
        return _pulled([self._result], [self._source], [probes])[0]

    def gradients(self, probes: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Pull probes back to the images and to every constant.

        Args:
            probes: (P, N, *output).

        Returns:
            F^T u, (P, N, ...), and for each constant, in depth order, the gradient of <u, y> where
            it is added, (P, ...).
        """
        first, *others = _pulled([self._result], [self._source, *self._watched], [probes])
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
        if len(parts) != len(self._watched) or not parts:
            raise ValueError(
                f"`parts` must hold a tensor for each of {len(self._watched)} constants, at least "
                f"one, got {len(parts)}"
            )
        return _pulled(self._watched, [self._source], parts)[0]

    def products(self, u: Tensor, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What makes up <u, y>, element by element, from one pass.

        Args:
            u: (N, *output).
            images: x0, (N, ...).

        Returns:
            F^T u times x0, and for each constant, in depth order, the gradient of <u, y> where it
            is added times the constant.
        """
        places = [self._source, *self._watched]
        first, *others = torch.autograd.grad(self._result, places, u, retain_graph=True)
        pairs = zip(others, self._offsets, strict=True)
        return first * images, [gradient * offset for gradient, offset in pairs]


def _pulled(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], probes: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Gradients at the inputs for probes (P, ...) at the outputs; the graph is kept."""
    batched = len(probes[0]) > 1
    found = torch.autograd.grad(
        outputs,
        inputs,
        [probe if batched else probe[0] for probe in probes],
        retain_graph=True,
        is_grads_batched=batched,
    )
    return found if batched else tuple(gradient[None] for gradient in found)
