"""Which places of a tensor reach a place of another, along an axis of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

Number = int | Fraction


@dataclass(frozen=True)
class Reach:
    """Place u reads the places from ``low + u step`` to ``high + u step``, both included.

    Fractions, because an enlarged map has a step below 1; only the integers of the interval count.
    """

    low: Fraction
    high: Fraction
    step: Fraction

    def through(self, later: Reach) -> Reach:
        """What an operation reaches that reads, as `later` says, places that reach as this says."""
        low, high = self.low + self.step * later.low, self.high + self.step * later.high
        return Reach(low, high, self.step * later.step)


def reach(low: Number, high: Number, step: Number) -> Reach:
    """A reach of any numbers."""
    return Reach(Fraction(low), Fraction(high), Fraction(step))


SAME = reach(0, 0, 1)


def window(kernel: int, stride: int, padding: int, dilation: int = 1) -> Reach:
    """That of a convolution or pool."""
    return reach(-padding, dilation * (kernel - 1) - padding, stride)


def transposed_window(kernel: int, stride: int, padding: int, dilation: int) -> Reach:
    """That of a transposed convolution."""
    low = Fraction(padding - dilation * (kernel - 1), stride)
    return reach(low, Fraction(padding, stride), Fraction(1, stride))


def adaptive_window(size: int, output: int) -> Reach:
    """That of adaptive pooling, whose windows differ where `output` does not divide `size`."""
    ratio, slack = Fraction(size, output), Fraction(output - 1, output)
    if size % output == 0:
        slack = Fraction(0)
    return reach(-slack, ratio - 1 + slack, ratio)


def shuffled(factor: int) -> Reach:
    """That of channels laid out as a `factor` times finer grid."""
    return reach(Fraction(1 - factor, factor), 0, Fraction(1, factor))


def resampled(kind: str, size: int, output: int, scale: float | None, aligned: bool) -> Reach:
    """That of interpolation by the nearest place, linear or cubic, from `size` to `output`."""
    step = Fraction(size, output)
    if aligned:
        step = Fraction(size - 1, max(1, output - 1))
    elif scale is not None and size * Fraction(scale) != output:
        step = 1 / Fraction(scale)
    start = Fraction(0) if aligned or kind == "nearest" else (step - 1) / 2
    if kind == "nearest-exact":
        start = step / 2
    # the fractional part of a source coordinate is below 1 by at least this grid's width
    slack = 1 - Fraction(1, step.denominator * start.denominator)
    if kind.startswith("nearest"):
        return reach(start - slack, start, step)
    more = 1 if kind == "cubic" else 0
    return reach(start - slack - more, start + slack + more, step)


def united(reaches: Sequence[Reach], count: int) -> Reach:
    """The narrowest reach with the step of the narrowest that holds all, over `count` places."""
    base = min(reaches, key=lambda r: r.high - r.low)
    low, high = base.low, base.high
    for other in reaches:
        drift = (count - 1) * (other.step - base.step)
        low = min(low, other.low, other.low + drift)
        high = max(high, other.high, other.high + drift)
    return Reach(low, high, base.step)
