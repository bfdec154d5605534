"""Which images of a data set are taken, held out, and how much each class counts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Weights that give every class the same say in a loss: N / (C n_c).

    Args:
        labels: (N,) int64.
        num_classes: C.

    Returns:
        (C,) float64.

    Raises:
        ValueError: A class without images, or labels outside [0, C).

    Examples:
        >>> class_weights(torch.tensor([0, 0, 0, 1]), num_classes=2)
        tensor([0.6667, 2.0000], dtype=torch.float64)
    """
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"`labels` must lie in [0, {num_classes - 1}], got {int(labels.min())} to "
            f"{int(labels.max())}"
        )
    counts = torch.bincount(labels, minlength=num_classes)
    if int(counts.min()) == 0:
        empty = torch.nonzero(counts == 0).flatten().tolist()
        raise ValueError(f"classes {empty} have no training image, so they have no weight")
    return len(labels) / (num_classes * counts.double())


def choose(labels: Tensor, count: int | None, seed: int) -> Tensor:
    """Choose `count` images with the same share of each class, at least one of each.

    Args:
        labels: (N,) int64.
        count: How many; None or at least N chooses all.
        seed: Of the choice.

    Returns:
        Indices in rising order.
    """
    if count is None or count >= len(labels):
        return torch.arange(len(labels))
    members = [torch.nonzero(labels == c).flatten() for c in sorted(set(labels.tolist()))]
    shares = torch.tensor([len(m) * count / len(labels) for m in members], dtype=torch.float64)
    quota = shares.floor().clamp(min=1).long()
    rest = max(0, count - int(quota.sum()))
    # the largest remainders get what rounding left over; equal ones in class order
    quota[torch.argsort(shares - quota, descending=True, stable=True)[:rest]] += 1
    while int(quota.sum()) > count and int(quota.max()) > 1:  # the small classes' one image each
        quota[quota.argmax()] -= 1
    generator = torch.Generator().manual_seed(seed)
    chosen = [
        m[torch.randperm(len(m), generator=generator)[:q]]
        for m, q in zip(members, quota.tolist(), strict=True)
    ]
    return torch.cat(chosen).sort().values


def hold_out(
    labels: Tensor, fraction: float, seed: int, names: Sequence[str] | None = None
) -> tuple[Tensor, Tensor]:
    """Split images into training and test indices, the same share of each class in both.

    Every class keeps at least one image on either side.

    Args:
        labels: (N,) int64.
        fraction: Share of the test side.
        seed: Of the split.
        names: Of the images, for the message about a single one.

    Raises:
        ValueError: A class with a single image cannot be on both sides, or a fraction outside
            (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"`test_fraction` must lie between 0 and 1, got {fraction}")
    test = []
    generator = torch.Generator().manual_seed(seed)
    for c in sorted(set(labels.tolist())):
        members = torch.nonzero(labels == c).flatten()
        if len(members) < 2:
            told = "" if names is None else f", {names[int(members[0])]}"
            raise ValueError(
                f"class {c} has a single image{told}; a split into training and test needs two"
            )
        count = min(len(members) - 1, max(1, round(fraction * len(members))))
        test.append(members[torch.randperm(len(members), generator=generator)[:count]])
    tested = torch.zeros(len(labels), dtype=torch.bool)
    tested[torch.cat(test)] = True
    return torch.nonzero(~tested).flatten(), torch.nonzero(tested).flatten()
