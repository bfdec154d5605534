"""Samples kept with their place, for formulas that need all of them at once."""

from __future__ import annotations

from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class IndexedSamples(Metric):
    """Features, labels and place of every sample, sorted by place before they are used.

    So a result does not depend on the number of processes or the order of the batches, even where
    the formula depends on the order of the samples. The base of the metrics that cannot be drawn
    from sums.
    """

    full_state_update = False
    features: list[Tensor]
    labels: list[Tensor]
    indices: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for state in ("features", "labels", "indices"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, features: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Add a batch.

        Args:
            features: (N, K).
            labels: (N,) integers.
            indices: Place of each sample in the data set, (N,).

        Raises:
            ValueError: Shapes that do not fit.
        """
        if features.dim() != 2 or not labels.shape == indices.shape == features.shape[:1]:
            raise ValueError(
                "`features` must be (N, K), `labels` and `indices` (N,), got "
                f"{tuple(features.shape)}, {tuple(labels.shape)}, {tuple(indices.shape)}"
            )
        self.features.append(features.detach())
        self.labels.append(labels)
        self.indices.append(indices.to(labels.device))

    def samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give features, labels and indices of all samples, sorted by index.

        Raises:
            ValueError: No samples, or the same sample twice.
        """
        if not len(self.indices):
            raise ValueError("no samples: call `update` first")
        indices, order = dim_zero_cat(self.indices).sort()
        if bool((indices[1:] == indices[:-1]).any()):
            raise ValueError("a sample was added twice: each index may come once")
        return dim_zero_cat(self.features)[order], dim_zero_cat(self.labels)[order], indices
