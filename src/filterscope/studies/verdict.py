"""One rule that says of every claim whether it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

Answer = Literal["holds", "does not hold", "not testable here"]

LEAST_SEEDS = 3
"""Paired seeds that a published number needs."""

LEAST_RATIO = 2.0
"""Mean difference over its standard error from which a difference counts."""

RULE = (
    "A claim's direction holds when the paired difference has the claimed sign in every seed and "
    f"its mean is at least {LEAST_RATIO:g} standard errors; one seed alone has no standard error "
    "and tests nothing. A published number is tested on the paper's own data and settings and with "
    f"at least {LEAST_SEEDS} seeds only: it holds when it lies within {LEAST_RATIO:g} standard "
    "errors of the mean."
)


@dataclass(frozen=True)
class Claim:
    """Something that the paper says, as paired differences.

    Attributes:
        text: The claim in words.
        differences: One a seed, with the sign that makes the claim true when positive.
        published: The paper's value of that difference; None where it prints none.
    """

    text: str
    differences: tuple[float, ...]
    published: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What the seeds say of a claim.

    Attributes:
        claim: The claim.
        mean: Mean difference; NaN without one.
        standard_error: Of the mean; NaN with fewer than two seeds.
        direction: Whether the claimed sign shows on this data.
        number: Whether the published value does.
    """

    claim: Claim
    mean: float
    standard_error: float
    direction: Answer
    number: Answer


def judge(claim: Claim, *, papers_setting: bool) -> Verdict:
    """Judge a claim by the one rule.

    Args:
        claim: With one difference a seed.
        papers_setting: Whether data and settings are the paper's own.

    Returns:
        The verdict; `RULE` has the rule in words.

    Examples:
        >>> judge(Claim("a > b", (0.2, 0.3, 0.25)), papers_setting=False).direction
        'holds'
        >>> judge(Claim("a > b", (0.2, -0.3, 0.25)), papers_setting=False).direction
        'does not hold'
    """
    values = claim.differences
    if not values or not all(math.isfinite(value) for value in values):
        nothing = math.nan
        return Verdict(claim, nothing, nothing, "not testable here", "not testable here")
    mean = fmean(values)
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    if len(values) < 2:
        return Verdict(claim, mean, error, "not testable here", "not testable here")
    holds = min(values) > 0 and mean >= LEAST_RATIO * error
    number: Answer = "not testable here"
    if papers_setting and claim.published is not None and len(values) >= LEAST_SEEDS:
        near = abs(claim.published - mean) <= LEAST_RATIO * error
        number = "holds" if near else "does not hold"
    return Verdict(claim, mean, error, "holds" if holds else "does not hold", number)
