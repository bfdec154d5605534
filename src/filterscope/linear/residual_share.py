"""How much of an output comes from a network's constants: five readings of one percentage."""

from __future__ import annotations

import math
from dataclasses import dataclass

from filterscope.linear.contributions import Contributions


@dataclass(frozen=True)
class ResidualShares:
    """The residual's share in an output y = F x0 + r, as shares (1 is 100 %).

    The paper prints percentages with no formula. Their means and deviations over images fit `r1`
    best: were F x0 roughly normal around zero beside y, mean over deviation of the image's share
    would be 1.3, as it is in its table, while `r2` would average 100 % and `r4` rise with depth.
    This is evidence and no proof, so all five readings stand side by side.

    Attributes:
        r1: |r| / (|r| + |F x0|), in [0, 1]: the default reading.
        r2: r / y; above 1 where the image's part has the other sign.
        r3: |r| / |y|.
        r4: sum |kappa| / (|F x0| + sum |kappa|), in [0, 1], over the constants kappa of single
            layers; it depends on what the contributions were summed over (`by`).
        r5: 1 - |F x0| / |y|; negative where the image's part is larger than the output.

    A share whose denominator is exactly zero is NaN: `r2`, `r3` and `r5` of an output of zero, and
    all five where nothing contributes, as below a last ReLU that is closed.

    Source: Navarrete Michelini et al., ICCV 2019, table 1 of the appendix.
    """

    r1: float
    r2: float
    r3: float
    r4: float
    r5: float


def residual_shares(parts: Contributions) -> ResidualShares:
    """Measure the residual's share in one output, by each reading.

    Args:
        parts: Of `LinearInterpreter.contributions`.

    Returns:
        Five shares; `r1` is the default reading.

    Raises:
        ValueError: Parts that are not finite.

    Source: Navarrete Michelini et al., ICCV 2019, table 1 of the appendix.

    Examples:
        >>> import torch
        >>> layers = [("conv", 4.0), ("fc", -1.0)]
        >>> parts = Contributions(0, 1.0, layers, 4.0, torch.ones(1), [])
        >>> residual_shares(parts)
        ResidualShares(r1=0.75, r2=0.75, r3=0.75, r4=0.833, r5=0.75)
    """
    kappas = [value for _, value in parts.layers]
    if not all(map(math.isfinite, (parts.input, parts.total, *kappas))):
        raise ValueError("`parts` holds contributions that are not finite")
    image, output, residual = abs(parts.input), parts.total, parts.residual
    layers = sum(map(abs, kappas))
    return ResidualShares(
        r1=_share(abs(residual), abs(residual) + image),
        r2=_share(residual, output),
        r3=_share(abs(residual), abs(output)),
        r4=_share(layers, image + layers),
        r5=1 - _share(image, abs(output)),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
