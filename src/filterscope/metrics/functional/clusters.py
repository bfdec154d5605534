"""Whether the features fall into clusters that look like the gate rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._checks import check_matrix

Floats = NDArray[np.float64]
_PERMUTATIONS = 20  # of the chance level


@dataclass(frozen=True, repr=False)
class ClusterCentres(Brief):
    """Centres of clusters of features, each matched to one gate row.

    Attributes:
        centres: Row c is the centre that was matched to gate row c, (C, K) float64.
        cosines: Of each centre with its gate row, (C,) float64; NaN where either is zero.
        mean_cosine: Their mean, over those that are defined.
        undefined: Rows that are not.
        chance: Mean cosine after the same matching with the gate's columns permuted, a mean over
            20 permutations.
        assignment: For each sample the gate row of its cluster, (N,) int64.
    """

    centres: Tensor
    cosines: Tensor
    mean_cosine: float
    undefined: int
    chance: float
    assignment: Tensor


def cluster_centres(
    features: Tensor, gate: Tensor, random_state: int = 0, n_init: int = 10
) -> ClusterCentres:
    """Cluster features by k-means and match the centres to the gate rows.

    There are as many clusters as classes; no label is used. The match is the one with the largest
    sum of cosines.

    Args:
        features: Pooled, ungated activations, (N, K).
        gate: Matrix (C, K); for a network without a gate, the one to compare with.
        random_state: Seed of k-means and of the permutations.
        n_init: Starts of k-means, of which the best counts.

    Returns:
        The centres in the order of the gate rows, on CPU.

    Raises:
        ValueError: Shapes that do not fit, non-finite values, fewer samples than classes, or
            `n_init` below 1.

    Source: Liang et al., ECCV 2020, appendix F.

    Examples:
        >>> labels = torch.arange(30) % 3
        >>> features = 2 * torch.eye(3)[labels]
        >>> found = cluster_centres(features, torch.eye(3))
        >>> found.mean_cosine, bool((found.assignment == labels).all())
        (1.0, True)
    """
    check_matrix("features", features, "(N, K)")
    check_matrix("gate", gate)
    if gate.shape[1] != features.shape[1]:
        raise ValueError(
            f"`gate` must be (C, {features.shape[1]}) for these features, got {tuple(gate.shape)}"
        )
    if len(features) < len(gate):
        raise ValueError(f"`features` holds {len(features)} samples for {len(gate)} clusters")
    if n_init < 1:
        raise ValueError(f"`n_init` must be at least 1, got {n_init}")
    values = features.detach().to("cpu", torch.float64, copy=True).numpy()  # KMeans may change it
    rows = gate.detach().cpu().double().numpy()
    means = KMeans(
        n_clusters=len(rows), n_init=n_init, random_state=random_state, copy_x=False
    ).fit(values)
    row_of, cosines = _match(means.cluster_centers_, rows)
    centres = np.empty_like(means.cluster_centers_)
    centres[row_of] = means.cluster_centers_
    return ClusterCentres(
        centres=torch.from_numpy(centres),
        cosines=torch.from_numpy(cosines),
        mean_cosine=float(torch.from_numpy(cosines).nanmean()),
        undefined=int(np.isnan(cosines).sum()),
        chance=_chance(means.cluster_centers_, rows, random_state),
        assignment=torch.from_numpy(row_of[means.labels_]),
    )


def _match(centres: Floats, rows: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Give the gate row of each centre, (C,), and the cosine of each gate row, (C,)."""
    lengths = np.outer(np.linalg.norm(centres, axis=1), np.linalg.norm(rows, axis=1))
    cosines = np.divide(
        centres @ rows.T, lengths, out=np.full(lengths.shape, np.nan), where=lengths > 0
    )
    # what has no direction matches anything equally badly
    _, row_of = linear_sum_assignment(np.nan_to_num(cosines), maximize=True)
    of_row = np.empty(len(rows))
    of_row[row_of] = cosines[np.arange(len(rows)), row_of]
    return row_of.astype(np.int64), of_row.clip(-1, 1)


def _chance(centres: Floats, rows: Floats, random_state: int) -> float:
    shuffle = np.random.RandomState(random_state)
    scores = [
        _match(centres, rows[:, shuffle.permutation(rows.shape[1])])[1]
        for _ in range(_PERMUTATIONS)
    ]
    return float(torch.from_numpy(np.stack(scores)).nanmean())
