"""Whether the filters that a gate opens for a class are those that make its logit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from scipy.stats import rankdata
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.metrics.functional._checks import check_matrix
from filterscope.metrics.functional._rows import scaled_rows


@dataclass(frozen=True, repr=False)
class GateAgreement(Brief):
    """Agreement of a gate with what filters contribute to the logit of each class.

    Every chance level is the exact mean over all orders of the filters.

    Attributes:
        auc: Probability that a filter open for a class contributes more to it than a closed one
            (ties count half), a mean over classes.
        auc_chance: 1 / 2.
        auc_undefined: Classes without `class_auc`.
        cosine: Cosine of contributions and gate row, a mean over classes.
        cosine_chance: That of the same rows with the filters in random order.
        cosine_undefined: Classes without `class_cosine`.
        positive_share: Share of the positive contributions that comes through open filters, a mean
            over classes.
        open_share: Share of open filters, a mean over the same classes: what `positive_share` is
            by chance.
        positive_undefined: Classes without `class_positive_share`.
        threshold: Entries of the gate above it count as open.
        class_auc: Of each class, (C,) float64; NaN where all filters are open or all are closed.
        class_cosine: Of each class, (C,) float64; NaN where either row is zero.
        class_positive_share: Of each class, (C,) float64; NaN where nothing contributes positively.

    A class without contributions (a row of NaN) has none of the three. Means without a class are
    NaN.
    """

    auc: float
    auc_chance: float
    auc_undefined: int
    cosine: float
    cosine_chance: float
    cosine_undefined: int
    positive_share: float
    open_share: float
    positive_undefined: int
    threshold: float
    class_auc: Tensor
    class_cosine: Tensor
    class_positive_share: Tensor


def gate_agreement(contributions: Tensor, gate: Tensor, threshold: float = 0.5) -> GateAgreement:
    """Compare what filters contribute to the logit of each class with a gate matrix.

    Where a gate tells which filters a network uses for a class, its open filters contribute the
    most to that class's logit. The sizes of entries count for the cosine alone.

    Args:
        contributions: What each filter contributes to the logit of each class on images of that
            class, (C, K), as means of `LinearInterpreter.filter_contributions`; NaN in the whole
            row of a class without images.
        gate: Matrix (C, K).
        threshold: Entries of the gate above it count as open.

    Returns:
        Three readings with what chance gives, on CPU.

    Raises:
        ValueError: Shapes that do not fit, infinite entries, or NaN in a part of a row.

    Examples:
        >>> gate = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
        >>> contributions = torch.tensor([[3.0, 1.0, 0.0, -1.0], [1.0, -1.0, 1.0, 2.0]])
        >>> found = gate_agreement(contributions, gate)
        >>> found.auc, found.positive_share, found.open_share
        (0.938, 0.875, 0.5)
    """
    check_matrix("gate", gate)
    if contributions.shape != gate.shape:
        raise ValueError(
            f"`contributions` {tuple(contributions.shape)} and `gate` {tuple(gate.shape)} must "
            "both be (C, K)"
        )
    values, matrix = contributions.detach().cpu().double(), gate.detach().cpu().double()
    absent = values.isnan().all(1)
    if not bool(torch.isfinite(values[~absent]).all()):
        raise ValueError("`contributions` holds non-finite entries in rows that are not all NaN")
    opened = matrix > threshold
    class_auc = _areas(values, opened)
    cosine, cosine_chance = _cosines(values, matrix)
    share = _positive_shares(values, opened)
    open_share = torch.where(share.isnan(), torch.nan, opened.double().mean(1))
    return GateAgreement(
        auc=_mean(class_auc),
        auc_chance=0.5,
        auc_undefined=int(class_auc.isnan().sum()),
        cosine=_mean(cosine),
        cosine_chance=_mean(cosine_chance),
        cosine_undefined=int(cosine.isnan().sum()),
        positive_share=_mean(share),
        open_share=_mean(open_share),
        positive_undefined=int(share.isnan().sum()),
        threshold=threshold,
        class_auc=class_auc,
        class_cosine=cosine,
        class_positive_share=share,
    )


def _areas(values: Tensor, opened: Tensor) -> Tensor:
    """Area under the ROC curve of each row, from ranks; 0 / 0 where one side is empty."""
    ranks = torch.from_numpy(rankdata(values.numpy(), axis=1)).double()
    ones = opened.sum(1).double()
    above = torch.where(opened, ranks, 0).sum(1) - ones * (ones + 1) / 2
    areas: Tensor = above / (ones * (opened.shape[1] - ones))
    return areas.masked_fill(values.isnan().any(1), torch.nan)


def _cosines(values: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine of each pair of rows, and its mean over all orders of one of them.

    An order keeps the norms, and puts each entry beside each other one equally often: the mean of
    the inner product is the product of the sums, divided by K.
    """
    values, gate = scaled_rows(values), scaled_rows(gate)
    norms = values.norm(dim=1) * gate.norm(dim=1)
    cosines = ((values * gate).sum(1) / norms).clamp(-1, 1)
    return cosines, values.sum(1) * gate.sum(1) / gate.shape[1] / norms


def _positive_shares(values: Tensor, opened: Tensor) -> Tensor:
    positive = values.clamp(min=0)
    return torch.where(opened, positive, 0).sum(1) / positive.sum(1)


def _mean(values: Tensor) -> float:
    return float(values.nanmean()) if not bool(values.isnan().all()) else math.nan
