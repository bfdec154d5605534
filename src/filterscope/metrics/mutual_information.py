"""The mutual-information matrix as a torchmetrics class."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from filterscope.metrics.functional.mutual_information import Ties, mutual_information_matrix


class MutualInformation(Metric):
    """Mutual information of every filter with every class, in nats.

    The estimator needs all samples at once, and its seeded noise depends on their order. So the
    samples are kept with their index in the data set and sorted by it before they are used: the
    result does not depend on the number of processes or the order of the batches.

    Args:
        num_classes: C.
        n_neighbors: As in `mutual_information_matrix`.
        balanced: As in `mutual_information_matrix`.
        ties: As in `mutual_information_matrix`.
        random_state: As in `mutual_information_matrix`.

    Example:
        >>> metric = MutualInformation(num_classes=2)
        >>> labels = torch.arange(40) % 2
        >>> metric.update(labels[:, None] + 0.1 * torch.rand(40, 1), labels, torch.arange(40))
        >>> metric.compute().shape
        torch.Size([2, 1])
    """

    full_state_update = False
    features: list[Tensor]
    labels: list[Tensor]
    indices: list[Tensor]

    def __init__(
        self,
        num_classes: int,
        n_neighbors: int = 3,
        balanced: bool = False,
        ties: Ties = "sklearn",
        random_state: int = 0,
    ) -> None:
        super().__init__()
        self.num_classes, self.n_neighbors = num_classes, n_neighbors
        self.balanced, self.ties, self.random_state = balanced, ties, random_state
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

    def compute(self) -> Tensor:
        """Give the matrix, (C, K) float64, on CPU.

        Raises:
            ValueError: No samples, or the same sample twice.
        """
        features, labels, indices = self.samples()
        if len(indices) and bool((indices[1:] == indices[:-1]).any()):
            raise ValueError("a sample was added twice: each index may come once")
        return mutual_information_matrix(
            features,
            labels,
            self.num_classes,
            self.n_neighbors,
            self.balanced,
            self.ties,
            random_state=self.random_state,
        )

    def samples(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give features, labels and indices of all samples, sorted by index."""
        if not len(self.indices):
            raise ValueError("no samples: call `update` first")
        indices = dim_zero_cat(self.indices)
        order = torch.argsort(indices)
        return dim_zero_cat(self.features)[order], dim_zero_cat(self.labels)[order], indices[order]
