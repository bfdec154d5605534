"""Whether features of right and of wrong answers point along the gate rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._checks import check_classes, check_matrix
from filterscope.metrics.functional._rows import ROUNDING, scaled_rows
from filterscope.metrics.functional.class_means import class_sums


@dataclass(frozen=True, repr=False)
class GateSimilarity(Brief):
    """Cosines of mean features (rows: true class) with gate rows (columns).

    Attributes:
        tp: Of the samples that are recognised (S_TP), (C, C) float64; NaN in the row of a class
            without such samples or with mean features of zero, and in the column of a gate row of
            zeros.
        fn: Of the samples taken for another class (S_FN), likewise.
        tp_counts: Samples behind each row of `tp`, (C,) int64.
        fn_counts: Samples behind each row of `fn`, (C,) int64.
        undefined_tp: Entries of `tp` that are NaN.
        undefined_fn: Entries of `fn` that are NaN.
        order: The classes in scipy's optimal leaf order of `fn` (average linkage of Euclidean
            distances between rows), for both pictures, (C,) int64; classes without a row come last.
        diagonal_share_tp: Share of the rows of `tp` whose diagonal is larger than every other
            entry (a tie is no maximum); rows without a diagonal are left out, NaN if none is left.
        diagonal_share_fn: The same of `fn`.
        chance: 1 / C, the share that random features reach.
    """

    tp: Tensor
    fn: Tensor
    tp_counts: Tensor
    fn_counts: Tensor
    undefined_tp: int
    undefined_fn: int
    order: Tensor
    diagonal_share_tp: float
    diagonal_share_fn: float
    chance: float


def gate_similarity(
    features: Tensor, labels: Tensor, predictions: Tensor, gate: Tensor
) -> GateSimilarity:
    """Compare mean features of recognised and of missed samples with every gate row.

    Where filters belong to classes, features of a recognised sample follow the gate row of its
    class; those of a missed sample follow the row of the class that it is taken for.

    Args:
        features: Pooled, ungated activations, (N, K).
        labels: True class of each sample, (N,) integers.
        predictions: What the standard path answers, (N,) integers.
        gate: Matrix (C, K).

    Returns:
        Both matrices, the order of their classes and what the diagonals say, on CPU.

    Raises:
        ValueError: Shapes that do not fit, non-finite values, or classes out of range.

    Source: Liang et al., ECCV 2020, appendix C.

    Examples:
        >>> features = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 3.0]])
        >>> labels, answers = torch.tensor([0, 1, 0]), torch.tensor([0, 1, 1])
        >>> gate_similarity(features, labels, answers, torch.eye(2)).fn
        tensor([[0., 1.],
                [nan, nan]], dtype=torch.float64)
    """
    check_matrix("gate", gate)
    return similarity_of_sums(*answer_sums(features, labels, predictions, len(gate)), gate)


def answer_sums(
    features: Tensor, labels: Tensor, predictions: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Sum the features of each class, recognised and missed samples apart.

    Returns:
        Sums (2, C, K) float64 and counts (2, C) int64; recognised first.
    """
    check_matrix("features", features, "(N, K)")
    for name, classes in (("labels", labels), ("predictions", predictions)):
        check_classes(name, classes, len(features), num_classes)
    right = labels == predictions
    parts = [class_sums(features[at], labels[at], num_classes) for at in (right, ~right)]
    return torch.stack([sums for sums, _ in parts]), torch.stack([count for _, count in parts])


def similarity_of_sums(sums: Tensor, counts: Tensor, gate: Tensor) -> GateSimilarity:
    """Finish `gate_similarity` from the sums and counts of `answer_sums`."""
    if gate.shape != sums.shape[1:]:
        raise ValueError(
            f"`gate` must be {tuple(sums.shape[1:])} for these features, got {tuple(gate.shape)}"
        )
    rows = gate.detach().cpu().double()
    # the cosine with a sum is that with the mean
    tp, fn = (_cosines(part, rows) for part in sums.cpu())
    return GateSimilarity(
        tp=tp,
        fn=fn,
        tp_counts=counts[0].cpu(),
        fn_counts=counts[1].cpu(),
        undefined_tp=int(tp.isnan().sum()),
        undefined_fn=int(fn.isnan().sum()),
        order=_leaf_order(fn),
        diagonal_share_tp=_diagonal_share(tp),
        diagonal_share_fn=_diagonal_share(fn),
        chance=1 / len(rows),
    )


def _cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosines of all rows with all rows; a row of zeros has none, 0 / 0 gives NaN."""
    left, right = scaled_rows(left), scaled_rows(right)
    unit_left = left / left.norm(dim=1, keepdim=True)
    unit_right = right / right.norm(dim=1, keepdim=True)
    cosines: Tensor = unit_left @ unit_right.T
    return cosines.clamp(-1, 1)


def _diagonal_share(similarity: Tensor) -> float:
    diagonal = similarity.diagonal()
    others = similarity.clone().fill_diagonal_(-torch.inf).nan_to_num(nan=-torch.inf)
    defined = ~diagonal.isnan()
    largest = diagonal[defined] > others[defined].amax(dim=1) + ROUNDING
    return float(largest.double().mean())


def _leaf_order(similarity: Tensor) -> Tensor:
    """Order classes so that neighbours have similar rows.

    Average linkage of the Euclidean distances of the rows, then scipy's leaf ordering, which
    shortens the way from class to class but does not always find the shortest. Columns with NaN
    say nothing about the order and are left out.
    """
    with_row = ~similarity.isnan().all(dim=1)
    without = torch.nonzero(~with_row).flatten()
    classes = torch.nonzero(with_row).flatten()
    rows = similarity[classes]
    rows = rows[:, ~rows.isnan().any(dim=0)]
    if len(classes) > 2:
        tree = linkage(rows.numpy(), method="average", metric="euclidean", optimal_ordering=True)
        classes = classes[torch.from_numpy(leaves_list(tree)).long()]
    return torch.cat([classes, without])


def pair_rank(similarity: Tensor, a: int, b: int) -> int:
    """Rank of a pair of classes among all pairs by their mean similarity.

    Args:
        similarity: (C, C); the mean of its entries (a, b) and (b, a) ranks the pair.
        a: A class.
        b: Another class.

    Returns:
        1 for the most similar pair; equal pairs share the better rank, and pairs with a NaN entry
        share the rank after all others.

    Raises:
        ValueError: No square matrix, or no two classes of it.

    Source: Liang et al., ECCV 2020, appendix C (car and truck, ship and plane), as a number.

    Examples:
        >>> pair_rank(torch.tensor([[1.0, 0.2, 0.9], [0.4, 1.0, 0.1], [0.7, 0.1, 1.0]]), 0, 1)
        2
    """
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1]:
        raise ValueError(f"`similarity` must be (C, C), got {tuple(similarity.shape)}")
    for name, c in (("a", a), ("b", b)):
        if not 0 <= c < len(similarity):
            raise ValueError(f"`{name}` must lie in [0, {len(similarity) - 1}], got {c}")
    if a == b:
        raise ValueError(f"`a` and `b` must be two classes, got {a} twice")
    values = similarity.double()
    means = ((values + values.T) / 2).nan_to_num(nan=-torch.inf)
    pairs = means[*torch.triu_indices(len(means), len(means), offset=1)]
    above = pairs > means[a, b] + ROUNDING
    return 1 + int(above.sum())
