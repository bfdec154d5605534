"""Numbers about a gate matrix, alone and beside the mutual-information matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._checks import check_matrix


@dataclass(frozen=True, repr=False)
class GateStatistics(Brief):
    """How a gate divides the filters among the classes.

    Attributes:
        density: Mean absolute entry, ||G||_1 / (C K).
        least_density: 1 / C, that of one class a filter.
        threshold: Entries above it count as open.
        filters_of_class: For each class, its open filters, (C,).
        monopolised: For each class, the filters that are open for it alone, (C,).
        shared_by: Number of filters that are open for n classes, n = 0 ... C, (C + 1,).
        class_pairs: Filters open for both classes of a pair; the diagonal repeats
            `filters_of_class`, (C, C).
    """

    density: float
    least_density: float
    threshold: float
    filters_of_class: Tensor
    monopolised: Tensor
    shared_by: Tensor
    class_pairs: Tensor


def gate_statistics(gate: Tensor, threshold: float = 0.5) -> GateStatistics:
    """Count which filters a gate gives to one class, to several, and to none.

    Args:
        gate: Matrix (C, K).
        threshold: Entries above it count as open.

    Returns:
        The counts.

    Source: Liang et al., ECCV 2020, appendix A (density) and E (statistics).

    Examples:
        >>> gate_statistics(torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])).monopolised
        tensor([1, 1])
    """
    check_matrix("gate", gate)
    matrix = gate.detach().cpu().double()
    is_open = matrix > threshold
    owners = is_open.sum(dim=0)
    counted = is_open.long()
    return GateStatistics(
        density=float(matrix.abs().mean()),
        least_density=1 / matrix.shape[0],
        threshold=threshold,
        filters_of_class=counted.sum(dim=1),
        monopolised=(is_open & (owners == 1)).sum(dim=1),
        shared_by=torch.bincount(owners, minlength=matrix.shape[0] + 1),
        class_pairs=counted @ counted.T,
    )


@dataclass(frozen=True)
class Overlap:
    """Agreement of a gate with the mutual-information matrix, beside what chance gives.

    Attributes:
        argmax_agreement: Share of filters whose class of largest MI is their class of largest
            gate entry.
        argmax_chance: 1 / C.
        jaccard: |A and B| / |A or B| of the open gate entries A and as many largest MI entries B.
        jaccard_chance: The same with the gate's columns permuted, a mean over permutations.
        num_elements: |A|.
    """

    argmax_agreement: float
    argmax_chance: float
    jaccard: float
    jaccard_chance: float
    num_elements: int


def gate_mi_overlap(
    mutual_information: Tensor,
    gate: Tensor,
    threshold: float = 0.5,
    permutations: int = 100,
    random_state: int = 0,
) -> Overlap:
    """Compare where a gate is open with where the mutual information is largest.

    Args:
        mutual_information: Matrix (C, K).
        gate: Matrix (C, K).
        threshold: Entries of the gate above it count as open.
        permutations: Random column orders for the chance level.
        random_state: Their seed.

    Source: Liang et al., ECCV 2020, figure 4 (c), as numbers.

    Examples:
        >>> gate = torch.eye(3)
        >>> gate_mi_overlap(gate / 2, gate).jaccard
        1.0
    """
    check_matrix("gate", gate)
    if gate.shape != mutual_information.shape:
        raise ValueError(
            f"`mutual_information` {tuple(mutual_information.shape)} and `gate` "
            f"{tuple(gate.shape)} must both be (C, K)"
        )
    check_matrix("mutual_information", mutual_information)
    mi, matrix = mutual_information.detach().cpu().double(), gate.detach().cpu().double()
    opened = (matrix > threshold).numpy()
    strongest = _largest(mi, int(opened.sum()))
    shuffle = np.random.RandomState(random_state)
    columns = matrix.shape[1]
    chance = [
        _jaccard(opened[:, shuffle.permutation(columns)], strongest) for _ in range(permutations)
    ]
    return Overlap(
        argmax_agreement=float((mi.argmax(0) == matrix.argmax(0)).double().mean()),
        argmax_chance=1 / matrix.shape[0],
        jaccard=_jaccard(opened, strongest),
        jaccard_chance=float(np.mean(chance)) if chance else float("nan"),
        num_elements=int(opened.sum()),
    )


def strongest_elements(mutual_information: Tensor, count: int) -> Tensor:
    """Mark the largest entries of a matrix.

    Args:
        mutual_information: Matrix (C, K).
        count: How many; of equal entries the first, row by row.

    Returns:
        (C, K) bool, on CPU.

    Raises:
        ValueError: No finite matrix, or a count outside [0, C K].
    """
    check_matrix("mutual_information", mutual_information)
    if not 0 <= count <= mutual_information.numel():
        raise ValueError(f"`count` must lie in [0, {mutual_information.numel()}], got {count}")
    return torch.from_numpy(_largest(mutual_information.detach().cpu().double(), count))


def _largest(mi: Tensor, count: int) -> np.ndarray:
    marked = np.zeros(mi.numel(), dtype=bool)
    # stable, so that equal entries are taken in a fixed order
    marked[np.argsort(-mi.numpy().ravel(), kind="stable")[:count]] = True
    return marked.reshape(mi.shape)


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    union = int((a | b).sum())
    return float((a & b).sum()) / union if union else float("nan")
