"""Clusters of all features as a torchmetrics class."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from filterscope.metrics.functional.clusters import cluster_centres
from filterscope.metrics.indexed_samples import IndexedSamples


class ClassClusters(IndexedSamples):
    """K-means clusters of the features, matched to the gate rows.

    The samples are kept with their index in the data set, because k-means needs all at once; the
    labels are kept beside them, but the clusters do not see them.

    Args:
        gate: Matrix (C, K).
        random_state: As in `cluster_centres`.
        n_init: As in `cluster_centres`.

    Examples:
        >>> import torch
        >>> metric = ClassClusters(torch.eye(2))
        >>> labels = torch.arange(10) % 2
        >>> metric.update(3 * torch.eye(2)[labels], labels, torch.arange(10))
        >>> round(metric.compute()["mean_cosine"], 3)
        1.0
    """

    gate: Tensor

    def __init__(self, gate: Tensor, random_state: int = 0, n_init: int = 10) -> None:
        super().__init__()
        self.random_state, self.n_init = random_state, n_init
        self.register_buffer("gate", gate.detach().clone(), persistent=False)

    def compute(self) -> dict[str, Any]:
        """Give the fields of `ClusterCentres` by name; ``ClusterCentres(**fields)`` is the record.

        Raises:
            ValueError: As in `cluster_centres`; no samples, or the same sample twice.
        """
        features, _, _ = self.samples()
        return dict(vars(cluster_centres(features, self.gate, self.random_state, self.n_init)))
