"""Do two lists of numbers rise together?"""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import numpy as np
from scipy.stats import spearmanr


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation and its two-sided p-value.

    Args:
        first: Numbers.
        second: As many.

    Returns:
        Both NaN with fewer than three pairs, an undefined number, or equal numbers alone.

    Examples:
        >>> rank_correlation([1, 2, 3, 4], [10, 20, 30, 25])[0]
        0.8
    """
    values = np.array([first, second], dtype=float)
    if values.shape[1] < 3 or not np.isfinite(values).all() or (np.ptp(values, axis=1) == 0).any():
        return nan, nan
    found = spearmanr(*values)
    return float(found.statistic), float(found.pvalue)
