"""Confusion matrices without some filters as a torchmetrics class."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torchmetrics import Metric

from filterscope.metrics.functional import filter_removal


class MaskedConfusion(Metric):
    """Confusion matrix of a network whose head no longer sees some filters, counted in int64.

    Args:
        num_classes: C.
        removed: Filters that are set to zero, (K,) bool; or (S, K) for S such sets.
        head: The rest of the network, features to logits (N, C). It is called, and not moved,
            saved or switched with the metric.

    Examples:
        >>> metric = MaskedConfusion(2, torch.tensor([False, True]), head=lambda x: x)
        >>> metric.update(torch.eye(2), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([[1, 0],
                [1, 0]])
    """

    full_state_update = False
    counts: Tensor
    removed: Tensor

    def __init__(self, num_classes: int, removed: Tensor, head: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        if removed.dtype != torch.bool or removed.dim() not in (1, 2):
            raise ValueError(
                f"`removed` must be (K,) or (S, K) bool, got {tuple(removed.shape)} {removed.dtype}"
            )
        self.num_classes = num_classes
        # in a tuple the head is no submodule, whose mode and device the metric would change
        self._head = (head,)
        self.register_buffer("removed", removed.clone(), persistent=False)
        zeros = torch.zeros(*removed.shape[:-1], num_classes, num_classes, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch: what the head reads, (N, K) or (N, K, H, W), and labels (N,)."""
        self.counts += filter_removal.masked_confusion(
            features, labels, self._head[0], self.removed, self.num_classes
        )

    def compute(self) -> Tensor:
        """Give the counts, rows true and columns predicted, (C, C) or (S, C, C) int64."""
        return self.counts
