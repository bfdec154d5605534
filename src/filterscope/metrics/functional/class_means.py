"""Mean activation of filters on classes."""

from __future__ import annotations

import torch
from torch import Tensor

from filterscope.metrics.functional._checks import check_classes


def class_sums(features: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Sum the features of each class: (C, K) float64, and count its samples: (C,) int64."""
    if features.dim() != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f"`features` must be (N, K) and `labels` (N,), got {tuple(features.shape)} and "
            f"{tuple(labels.shape)}"
        )
    check_classes("labels", labels, len(features), num_classes)
    sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, device=features.device)
    sums.index_add_(0, labels.long(), features.double())
    return sums, torch.bincount(labels.long(), minlength=num_classes)


def class_mean_features(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Average pooled features over the samples of each class.

    Args:
        features: (N, K).
        labels: (N,) integers.
        num_classes: C.

    Returns:
        (C, K), float64; NaN for a class without samples.

    Raises:
        ValueError: Shapes that do not fit, or labels that are no integers in [0, C).

    Examples:
        >>> class_mean_features(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), 2)
        tensor([[2.],
                [nan]], dtype=torch.float64)
    """
    sums, counts = class_sums(features, labels, num_classes)
    return sums / counts[:, None]
