"""Class means of features as a torchmetrics class."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from filterscope.metrics.functional.class_means import class_sums


class ClassMeanFeatures(Metric):
    """Mean of pooled features over the samples of each class, accumulated in float64.

    Args:
        num_classes: C.
        num_filters: K.

    Examples:
        >>> metric = ClassMeanFeatures(num_classes=2, num_filters=1)
        >>> metric.update(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 1]))
        >>> metric.compute()
        tensor([[1.],
                [3.]], dtype=torch.float64)
    """

    full_state_update = False
    sums: Tensor
    counts: Tensor

    def __init__(self, num_classes: int, num_filters: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        zeros = torch.zeros(num_classes, num_filters, dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("counts", torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, features: Tensor, labels: Tensor) -> None:
        """Add a batch: features (N, K) and labels (N,)."""
        if features.dim() == 2 and features.shape[1] != self.sums.shape[1]:
            raise ValueError(
                f"`features` must be (N, {self.sums.shape[1]}), got {tuple(features.shape)}"
            )
        sums, counts = class_sums(features, labels, self.num_classes)
        self.sums += sums
        self.counts += counts

    def compute(self) -> Tensor:
        """Give the means, (C, K) float64; NaN for a class without samples."""
        return self.sums / self.counts[:, None]
