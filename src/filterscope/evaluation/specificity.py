"""Do the filters of a class serve it? Removal, gate similarity, clusters, entanglement."""

from __future__ import annotations

import torch
from torch import Tensor

from filterscope.core.answers import class_rows
from filterscope.core.heads import linear_head
from filterscope.evaluation.part import Part, Subject
from filterscope.evaluation.removal import removal_rules, remove_filters
from filterscope.metrics import functional

MOST_WORK = 2e8
"""Samples times filters times classes above which fitting a gate, or ten starts of k-means, would
take many minutes."""


def removal_part(subject: Subject) -> Part:
    """Confusion matrices with the filters of classes removed, and what the removal hits.

    Names: ``removal_gate_...`` by the gate, ``removal_activation_...`` the strongest tenth.
    """
    if not bool(torch.isfinite(subject.mean_features).all()):
        return Part()  # a class without images has no strongest filters
    rules, classes = removal_rules(subject.gate, subject.mean_features)
    found = remove_filters(
        subject.run.classifier,
        subject.layer,
        subject.dataset.test,
        subject.run.transform,
        rules,
        classes,
        batch_size=max(1, subject.batch_size // 4),
        device=subject.device,
        workers=subject.workers,
    )
    labels, predictions = subject.collected.labels, subject.collected.predictions
    before = functional.confusion_matrix(predictions, labels, len(subject.mean_features))
    part = Part(arrays={"removed_classes": classes.numpy()})
    for name, removal in found.items():
        effects = [
            functional.removal_effect(before, after, torch.nonzero(chosen).flatten().tolist())
            for after, chosen in zip(removal.confusion, classes, strict=True)
            if int(chosen.sum()) == 1
        ]
        means = {
            field: float(torch.tensor([getattr(e, field) for e in effects]).double().nanmean())
            for field in ("removed_drop", "others_drop", "specificity")
        }
        part |= Part(
            {f"removal_{name}_{field}": value for field, value in means.items()}
            | {f"removal_{name}_filters": float(removal.filters.double().sum(1).mean())},
            {
                f"removal_{name}": removal.confusion.numpy(),
                f"removal_{name}_filters": removal.filters.numpy(),
            },
        )
    return part


def similarity_part(subject: Subject) -> Part:
    """Cosine of class features and gate rows, for right and for missed images."""
    if subject.gate is None:
        return Part()
    collected = subject.collected
    found = functional.gate_similarity(
        collected.features, collected.labels, collected.predictions, subject.gate
    )
    return Part(
        {
            "similarity_tp_diagonal": found.diagonal_share_tp,
            "similarity_fn_diagonal": found.diagonal_share_fn,
            "similarity_chance": found.chance,
        },
        {
            "similarity_tp": found.tp.numpy(),
            "similarity_fn": found.fn.numpy(),
            "similarity_order": found.order.numpy(),
            "similarity_fn_counts": found.fn_counts.numpy(),
        },
    )


def cluster_part(subject: Subject) -> Part:
    """Cluster centres of the features beside the gate.

    K-means starts once above `MOST_WORK`, which ``cluster_starts`` then says, else ten times.
    """
    features, gate = subject.collected.features, subject.gate
    if gate is None or len(features) < len(gate):
        return Part()
    large = features.numel() * len(gate) > MOST_WORK
    found = functional.cluster_centres(
        features, gate, random_state=subject.seed, n_init=1 if large else 10
    )
    return Part(
        {"cluster_cosine": found.mean_cosine, "cluster_cosine_chance": found.chance}
        | ({"cluster_starts": 1} if large else {}),
        {"cluster_centres": found.centres.numpy()},
    )


def entanglement_part(subject: Subject) -> Part:
    """Filter-class entanglement, for heads of global average pooling and one linear layer.

    Left out above `MOST_WORK`.
    """
    head = linear_head(subject.run.classifier, subject.layer)
    work = subject.collected.features.numel() * len(subject.mean_features)
    if head is None or work > MOST_WORK:
        return Part()
    weight, bias = _rows(head.weight), None if head.bias is None else _rows(head.bias)
    gate = subject.run.gate
    found = functional.filter_class_entanglement(
        subject.collected.features,
        subject.collected.labels,
        weight,
        bias,
        density_bound=None if gate is None else gate.density_bound,
        random_state=subject.seed,
    )
    return Part(
        {
            "entanglement": found.phi,
            "entanglement_chance": found.chance,
            "entanglement_ideal": found.phi_0,
            "entanglement_gap": found.gap,
            "entanglement_ideal_gap": found.gap_0,
        }
    )


def _rows(parameter: Tensor) -> Tensor:
    return class_rows(parameter.detach().cpu())
