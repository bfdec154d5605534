"""Checks that several metrics make of what they are given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def check_matrix(name: str, matrix: Tensor, shape: str = "(C, K)") -> None:
    """Refuse what is no matrix, is empty, or holds NaN or infinite entries."""
    if matrix.dim() != 2 or not matrix.numel():
        raise ValueError(f"`{name}` must be {shape}, got {tuple(matrix.shape)}")
    if not bool(torch.isfinite(matrix).all()):
        raise ValueError(f"`{name}` holds non-finite entries")


def check_classes(name: str, labels: Tensor, num_samples: int, num_classes: int) -> None:
    """Refuse labels that are not one integer in [0, C) for each sample."""
    if labels.shape != (num_samples,):
        raise ValueError(
            f"`{name}` must be one class for each of {num_samples} samples, "
            f"got {tuple(labels.shape)}"
        )
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"`{name}` must be integers, got {labels.dtype}")
    if num_samples and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"`{name}` must lie in [0, {num_classes - 1}], "
            f"got {int(labels.min())} to {int(labels.max())}"
        )


def check_class_list(name: str, classes: Sequence[int], num_classes: int) -> list[int]:
    """Give a sequence of classes as a list, or refuse an empty one and classes out of range."""
    listed = [int(c) for c in classes]
    if not listed:
        raise ValueError(f"`{name}` is empty: name at least one class")
    if not 0 <= min(listed) <= max(listed) < num_classes:
        raise ValueError(f"`{name}` must lie in [0, {num_classes - 1}], got {listed}")
    return listed


def check_owners(owners: Tensor, num_filters: int, num_classes: int | None = None) -> None:
    """Refuse owners that are not one class, or -1, for each filter."""
    if owners.shape != (num_filters,):
        raise ValueError(
            f"`owners` must be one class for each of {num_filters} filters, "
            f"got {tuple(owners.shape)}"
        )
    if owners.is_floating_point() or owners.is_complex() or owners.dtype == torch.bool:
        raise ValueError(f"`owners` must be integers, got {owners.dtype}")
    if num_filters and int(owners.min()) < -1:
        raise ValueError(f"`owners` must be classes or -1 for shared, got {int(owners.min())}")
    if num_filters and num_classes is not None and int(owners.max()) >= num_classes:
        raise ValueError(f"`owners` must lie below {num_classes}, got {int(owners.max())}")
