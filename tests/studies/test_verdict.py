"""The rule that judges claims, branch by branch."""

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterscope.studies.verdict import LEAST_RATIO, LEAST_SEEDS, RULE, Claim, judge

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)


def direction(*differences: float) -> str:
    return judge(Claim("a > b", differences), papers_setting=True).direction


def number(*differences: float, published: float | None, papers_setting: bool = True) -> str:
    claim = Claim("a > b", differences, published)
    return judge(claim, papers_setting=papers_setting).number


def test_the_rule_is_the_one_that_is_told() -> None:
    assert LEAST_SEEDS == 3
    assert LEAST_RATIO == 2
    assert "in every seed" in RULE
    assert "at least 2 standard errors" in RULE
    assert "at least 3 seeds" in RULE


def test_the_sign_must_show_in_every_seed() -> None:
    assert direction(0.2, 0.3, 0.25) == "holds"
    assert direction(5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, -0.001) == "does not hold"
    assert direction(0.2, 0.3, 0.0) == "does not hold"
    assert direction(-0.2, -0.3, -0.25) == "does not hold"


def test_the_mean_must_be_two_standard_errors() -> None:
    # mean 2 and standard error 1: exactly the ratio that counts
    assert direction(1.0, 3.0) == "holds"
    assert direction(0.9, 3.1) == "does not hold"
    # three seeds of mean 1: (0, 1, 2) has the standard error 1 / sqrt(3), a ratio of 1.73
    assert direction(0.01, 1.0, 1.99) == "does not hold"
    # and (0.2, 1, 1.8) has 0.8 / sqrt(3), a ratio of 2.17
    assert direction(0.2, 1.0, 1.8) == "holds"


def test_one_seed_tests_nothing() -> None:
    verdict = judge(Claim("a > b", (0.5,), 0.5), papers_setting=True)
    assert (verdict.direction, verdict.number) == ("not testable here",) * 2
    assert verdict.mean == 0.5
    assert math.isnan(verdict.standard_error)


@pytest.mark.parametrize(
    "differences", [(), (math.nan,), (0.1, math.nan, 0.2), (0.1, math.inf), (-math.inf, 0.1)]
)
def test_undefined_differences_test_nothing(differences: tuple[float, ...]) -> None:
    verdict = judge(Claim("a > b", differences, 0.1), papers_setting=True)
    assert (verdict.direction, verdict.number) == ("not testable here",) * 2
    assert math.isnan(verdict.mean)
    assert math.isnan(verdict.standard_error)


def test_without_spread_the_sign_alone_decides() -> None:
    assert direction(0.1, 0.1) == "holds"
    assert direction(0.0, 0.0) == "does not hold"
    assert direction(-0.1, -0.1) == "does not hold"
    assert number(0.5, 0.5, 0.5, published=0.5) == "holds"
    assert number(0.5, 0.5, 0.5, published=0.5001) == "does not hold"


def test_a_published_number_holds_within_two_standard_errors() -> None:
    values = (0.1, 0.2, 0.3)
    error = statistics.stdev(values) / math.sqrt(3)
    assert number(*values, published=0.2 + 1.99 * error) == "holds"
    assert number(*values, published=0.2 - 1.99 * error) == "holds"
    assert number(*values, published=0.2 + 2.01 * error) == "does not hold"
    assert number(*values, published=0.2 - 2.01 * error) == "does not hold"


def test_a_published_number_needs_the_papers_setting_and_three_seeds() -> None:
    assert number(0.1, 0.2, 0.3, published=0.2, papers_setting=False) == "not testable here"
    assert number(0.1, 0.3, published=0.2) == "not testable here"
    assert number(0.1, 0.2, 0.3, published=None) == "not testable here"
    assert direction(0.1, 0.1, 0.1) == "holds"


def test_number_and_direction_are_judged_apart() -> None:
    """The paper's own ImageNet accuracy is below its baseline's: the number holds, no gain."""
    verdict = judge(Claim("as accurate", (-0.02, -0.019, -0.018), -0.0192), papers_setting=True)
    assert (verdict.direction, verdict.number) == ("does not hold", "holds")


@given(st.lists(NUMBERS, max_size=8))
def test_a_claim_and_its_negation_never_both_hold(values: list[float]) -> None:
    said = judge(Claim("a > b", tuple(values)), papers_setting=False)
    denied = judge(Claim("b > a", tuple(-value for value in values)), papers_setting=False)
    assert (said.direction, denied.direction) != ("holds", "holds")
    assert (said.direction == "not testable here") == (denied.direction == "not testable here")


@given(st.lists(NUMBERS, min_size=2, max_size=8))
def test_the_verdict_equals_the_rule_retyped(values: list[float]) -> None:
    mean = sum(values) / len(values)
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    error = spread / math.sqrt(len(values))
    verdict = judge(Claim("a > b", tuple(values)), papers_setting=False)
    assert verdict.mean == pytest.approx(mean, rel=1e-9, abs=1e-6)
    assert verdict.standard_error == pytest.approx(error, rel=1e-6, abs=1e-6)
    margin = mean - 2 * error
    if abs(margin) > 1e-6 * max(1.0, abs(mean)):  # else rounding decides
        every = all(value > 0 for value in values)
        assert (verdict.direction == "holds") == (every and margin > 0)


@given(st.lists(NUMBERS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(values: list[float], random: object) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    ours, theirs = (
        judge(Claim("a > b", tuple(v)), papers_setting=False) for v in (values, shuffled)
    )
    assert ours.mean == theirs.mean
    assert (ours.direction, ours.number) == (theirs.direction, theirs.number)
