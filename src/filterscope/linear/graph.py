"""One replay of a frozen network that autograd has recorded, ready to be read backwards."""

from __future__ import annotations

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
        batched = len(probes) > 1
        (found,) = torch.autograd.grad(
            self._result,
            self._source,
            probes if batched else probes[0],
            retain_graph=True,
            is_grads_batched=batched,
        )
        return found if batched else found[None]

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
