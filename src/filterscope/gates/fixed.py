"""Gates that are given, not learned."""

from __future__ import annotations

import torch
from torch import Tensor


def fixed_gate(num_classes: int, exclusive: int, shared: int) -> Tensor:
    """Zero-one gate with the same number of filters for every class.

    Filters [c m1, (c + 1) m1) belong to class c alone; the last m2 are open to all classes.

    Args:
        num_classes: C.
        exclusive: m1, filters of each class alone. The paper uses 6 for ResNet-20 and 25 for
            AlexNet, read off twenty learned gates.
        shared: m2, filters open to every class. The paper uses 4 and 6.

    Returns:
        The gate, (C, C m1 + m2), float32; for `ClassGate.fixed`.

    Raises:
        ValueError: A negative size, or no filter at all.

    Source: Liang et al., ECCV 2020, appendix E.

    Examples:
        >>> fixed_gate(num_classes=10, exclusive=6, shared=4).shape
        torch.Size([10, 64])
    """
    if num_classes < 1 or exclusive < 0 or shared < 0 or exclusive + shared == 0:
        raise ValueError(
            "`num_classes` must be at least 1, `exclusive` and `shared` not negative and not both "
            f"0, got {num_classes}, {exclusive} and {shared}"
        )
    own = torch.eye(num_classes).repeat_interleave(exclusive, dim=1)
    return torch.cat([own, torch.ones(num_classes, shared)], dim=1)
