"""Classes that targeted attacks lead to."""

from __future__ import annotations

import torch
from torch import Tensor

from filterscope.attacks.arguments import check_classes, check_number, check_range


def random_targets(labels: Tensor, num_classes: int, seed: int = 0) -> Tensor:
    """Choose a wrong class for each image: the first of a random permutation of the wrong classes.

    Args:
        labels: True classes, (N,) integers.
        num_classes: C, at least 2.
        seed: Of the permutations. The same on every device.

    Returns:
        (N,) int64, on the device of `labels`; each differs from its label.

    Raises:
        TypeError: Labels that are no integers.
        ValueError: Another shape, labels out of range, fewer than two classes.

    Source: Liang et al., ECCV 2020, section 5.2 and appendix I.

    Examples:
        >>> labels = torch.tensor([0, 1, 2, 2])
        >>> targets = random_targets(labels, 3)
        >>> bool((targets != labels).all()), targets.max() < 3
        (True, tensor(True))
    """
    check_classes("labels", labels, labels.numel() if isinstance(labels, Tensor) else 0)
    check_number("num_classes", num_classes, 2, whole=True)
    check_number("seed", seed, 0, whole=True)
    if len(labels):
        check_range("labels", labels, num_classes)
    generator = torch.Generator().manual_seed(seed)
    orders = torch.rand(len(labels), num_classes - 1, generator=generator).argsort(1)
    first = orders[:, 0].to(labels.device)
    return first + (first >= labels).long()
