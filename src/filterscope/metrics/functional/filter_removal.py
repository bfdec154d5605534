"""What a network loses when the filters of some classes are removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.answers import class_scores
from filterscope.core.brief import Brief
from filterscope.core.contexts import evaluating
from filterscope.metrics.functional._checks import check_class_list, check_classes, check_matrix


def gate_filters(gate: Tensor, classes: Sequence[int], threshold: float = 0.5) -> Tensor:
    """Mark the filters that a gate opens for any of some classes.

    Args:
        gate: Matrix (C, K).
        classes: The classes, integers in [0, C).
        threshold: Entries above it count as open; 0.5 as in `gate_statistics`.

    Returns:
        (K,) bool, on the gate's device.

    Raises:
        ValueError: No matrix, non-finite entries, no class, or one out of range.

    Source: Liang et al., ECCV 2020, section 4.1 and figure 5.

    Examples:
        >>> gate_filters(torch.tensor([[1.0, 0.0, 0.6], [0.0, 1.0, 1.0]]), [0])
        tensor([ True, False,  True])
    """
    check_matrix("gate", gate)
    listed = check_class_list("classes", classes, len(gate))
    return (gate.detach()[listed] > threshold).any(dim=0)


def strongest_filters(mean_features: Tensor, classes: Sequence[int], share: float = 0.1) -> Tensor:
    """Mark the filters that are most active on any of some classes.

    For a network without a gate this stands in for `gate_filters`.

    Args:
        mean_features: Mean activation of each filter on each class, (C, K), for instance of
            `class_mean_features`.
        classes: The classes, integers in [0, C).
        share: For each class, ``round(share * K)`` filters, at least one, are marked (the first of
            equals); 0.1 is the paper's.

    Returns:
        (K,) bool: the union over the classes.

    Raises:
        ValueError: No matrix, a share outside (0, 1], no class, one out of range, or one without
            a finite mean.

    Source: Liang et al., ECCV 2020, section 4.1 and figure 5.

    Examples:
        >>> strongest_filters(torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]]), [0, 1], share=1 / 3)
        tensor([ True,  True, False])
    """
    if mean_features.dim() != 2 or not mean_features.numel():
        raise ValueError(f"`mean_features` must be (C, K), got {tuple(mean_features.shape)}")
    if not 0 < share <= 1:
        raise ValueError(f"`share` must lie in (0, 1], got {share}")
    listed = check_class_list("classes", classes, len(mean_features))
    rows = mean_features.detach()[listed]
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("`mean_features` holds non-finite values for an asked class: no samples?")
    count = max(1, round(share * rows.shape[1]))
    chosen = rows.argsort(dim=1, descending=True, stable=True)[:, :count]
    marked = torch.zeros(rows.shape[1], dtype=torch.bool, device=rows.device)
    marked[chosen.flatten()] = True
    return marked


def confusion_matrix(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Count the samples of each true class (rows) by predicted class (columns).

    Args:
        predictions: Predicted class of each sample, (N,) integers.
        labels: True class, (N,) integers.
        num_classes: C.

    Returns:
        (C, C) int64.

    Raises:
        ValueError: Shapes that do not fit, no integers, or classes out of range.

    Examples:
        >>> confusion_matrix(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
        tensor([[1, 1],
                [0, 1]])
    """
    if labels.dim() != 1:
        raise ValueError(f"`labels` must be (N,), got {tuple(labels.shape)}")
    for name, classes in (("labels", labels), ("predictions", predictions)):
        check_classes(name, classes, len(labels), num_classes)
    cells = labels.long() * num_classes + predictions.long()
    return torch.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def masked_confusion(
    features: Tensor,
    labels: Tensor,
    head: Callable[[Tensor], Tensor],
    removed: Tensor,
    num_classes: int,
) -> Tensor:
    """Confusion matrix of a network whose head no longer sees some filters.

    Args:
        features: What the head reads, ungated: maps (N, K, H, W) or pooled features (N, K).
        labels: True class of each sample, (N,) integers.
        head: The rest of the network, features to logits (N, C). A module is put in eval mode for
            the length of the call.
        removed: Filters that are set to zero, (K,) bool; or (S, K) for S such sets.
        num_classes: C.

    Returns:
        Counts, rows true and columns predicted, (C, C) int64; (S, C, C) for S sets.

    Raises:
        ValueError: Shapes that do not fit, `removed` not bool, or logits that are not finite
            (N, C).

    Source: Liang et al., ECCV 2020, section 4.1 and figure 5.

    Examples:
        >>> features, labels = torch.eye(2), torch.tensor([0, 1])
        >>> masked_confusion(features, labels, lambda x: x, torch.tensor([False, True]), 2)
        tensor([[1, 0],
                [1, 0]])
    """
    sets = _checked_sets(removed, features)
    check_classes("labels", labels, len(features), num_classes)
    matrices = []
    with _frozen(head):
        for row in sets:
            kept = features.masked_fill(row.reshape(-1, *[1] * (features.dim() - 2)), 0)
            logits = class_scores(head(kept))
            if logits.shape != (len(features), num_classes):
                raise ValueError(
                    f"`head` must give logits ({len(features)}, {num_classes}), "
                    f"got {tuple(logits.shape)}"
                )
            if not bool(torch.isfinite(logits).all()):
                raise ValueError("`head` gives non-finite logits")
            matrices.append(confusion_matrix(logits.argmax(dim=1), labels, num_classes))
    return torch.stack(matrices) if removed.dim() == 2 else matrices[0]


def _checked_sets(removed: Tensor, features: Tensor) -> Tensor:
    """Give `removed` as (S, K) on the device of the features."""
    if features.dim() < 2:
        raise ValueError(f"`features` must be (N, K, ...), got {tuple(features.shape)}")
    num_filters = features.shape[1]
    if removed.dtype != torch.bool:
        raise ValueError(f"`removed` must be bool, got {removed.dtype}")
    if removed.dim() not in (1, 2) or removed.shape[-1] != num_filters or not len(removed):
        raise ValueError(
            f"`removed` must be ({num_filters},) or (S, {num_filters}), got {tuple(removed.shape)}"
        )
    return removed.reshape(-1, num_filters).to(features.device)


def _frozen(head: Callable[[Tensor], Tensor]) -> AbstractContextManager[Any]:
    """Eval mode for a module (its dropout would blur the counts), no gradient for anything."""
    return evaluating(head) if isinstance(head, nn.Module) else torch.no_grad()


@dataclass(frozen=True, repr=False)
class RemovalEffect(Brief):
    """Recall of every class before and after filters were removed.

    A mean over no classes is NaN.

    Attributes:
        recall_before: Share of each class that was recognised, (C,) float64; NaN for a class
            without samples.
        recall_after: The same after the removal.
        removed_classes: The classes whose filters were removed, in ascending order.
        removed_before: Mean recall of those classes before.
        removed_after: The same after.
        others_before: Mean recall of all other classes before.
        others_after: The same after.
        removed_drop: ``removed_before - removed_after``.
        others_drop: ``others_before - others_after``.
        specificity: ``removed_drop - others_drop``; 0 where a removal harms all classes alike, at
            most 1.
        empty_classes: Classes without samples, left out of every mean.
    """

    recall_before: Tensor
    recall_after: Tensor
    removed_classes: tuple[int, ...]
    removed_before: float
    removed_after: float
    others_before: float
    others_after: float
    removed_drop: float
    others_drop: float
    specificity: float
    empty_classes: int


def removal_effect(before: Tensor, after: Tensor, removed_classes: Sequence[int]) -> RemovalEffect:
    """Compare the confusion matrices before and after filters were removed.

    Args:
        before: Counts of the whole network, rows true, (C, C), of `confusion_matrix`.
        after: Counts on the same samples without the filters, (C, C), of `masked_confusion`.
        removed_classes: The classes whose filters were removed.

    Raises:
        ValueError: Matrices that are not square, of two sizes or of two sets of samples, or
            classes out of range.

    Source: Liang et al., ECCV 2020, figure 5, as numbers.

    Examples:
        >>> before, after = torch.tensor([[4, 0], [0, 4]]), torch.tensor([[1, 3], [0, 4]])
        >>> removal_effect(before, after, [0]).specificity
        0.75
    """
    _check_counts(before, after)
    listed = sorted(set(check_class_list("removed_classes", removed_classes, len(before))))
    totals = before.sum(dim=1).double()
    recall_before, recall_after = before.diagonal() / totals, after.diagonal() / totals
    is_removed = torch.zeros(len(before), dtype=torch.bool, device=before.device)
    is_removed[listed] = True
    means = {
        f"{who}_{when}": float(recall[chosen].nanmean())
        for who, chosen in (("removed", is_removed), ("others", ~is_removed))
        for when, recall in (("before", recall_before), ("after", recall_after))
    }
    removed_drop = means["removed_before"] - means["removed_after"]
    others_drop = means["others_before"] - means["others_after"]
    return RemovalEffect(
        recall_before=recall_before,
        recall_after=recall_after,
        removed_classes=tuple(listed),
        removed_drop=removed_drop,
        others_drop=others_drop,
        specificity=removed_drop - others_drop,
        empty_classes=int((totals == 0).sum()),
        **means,
    )


def _check_counts(before: Tensor, after: Tensor) -> None:
    for name, matrix in (("before", before), ("after", after)):
        if matrix.dim() != 2 or matrix.shape != (len(before), len(before)) or not len(before):
            raise ValueError(f"`{name}` must be (C, C), got {tuple(matrix.shape)}")
        if matrix.is_floating_point() or matrix.is_complex() or bool((matrix < 0).any()):
            raise ValueError(f"`{name}` must hold counts, non-negative integers")
    if not torch.equal(before.sum(dim=1), after.sum(dim=1)):
        raise ValueError("`before` and `after` must count the same samples of each class")
