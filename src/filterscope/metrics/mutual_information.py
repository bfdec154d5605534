"""The mutual-information matrix as a torchmetrics class."""

from __future__ import annotations

from torch import Tensor

from filterscope.metrics.functional.mutual_information import Ties, mutual_information_matrix
from filterscope.metrics.indexed_samples import IndexedSamples


class MutualInformation(IndexedSamples):
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

    Examples:
        >>> import torch
        >>> metric = MutualInformation(num_classes=2)
        >>> labels = torch.arange(40) % 2
        >>> metric.update(labels[:, None] + 0.1 * torch.rand(40, 1), labels, torch.arange(40))
        >>> metric.compute().shape
        torch.Size([2, 1])
    """

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

    def compute(self) -> Tensor:
        """Give the matrix, (C, K) float64, on CPU.

        Raises:
            ValueError: No samples, or the same sample twice.
        """
        features, labels, _ = self.samples()
        return mutual_information_matrix(
            features,
            labels,
            self.num_classes,
            self.n_neighbors,
            self.balanced,
            self.ties,
            random_state=self.random_state,
        )
