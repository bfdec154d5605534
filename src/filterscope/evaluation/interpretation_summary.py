"""What the affine maps of a network at many images have in common."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from filterscope.core.brief import Brief
from filterscope.evaluation.interpretation import Interpretation
from filterscope.linear import ContributionHistogram, ResidualShares, contribution_histogram

READINGS = ("r1", "r2", "r3", "r4", "r5")
"""The readings of the residual's share, as `ResidualShares` names them."""


@dataclass(frozen=True)
class Mean:
    """A mean over images.

    Attributes:
        value: NaN without images.
        deviation: Standard deviation over the images (by n - 1); NaN for fewer than two.
        count: Images with a defined value.
    """

    value: float
    deviation: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """Mean and deviation of the values that are no NaN.

        Examples:
            >>> Mean.of([1.0, 3.0, float("nan")])
            Mean(value=2.0, deviation=1.41, count=2)
        """
        defined = [value for value in values if not math.isnan(value)]
        return cls(
            statistics.fmean(defined) if defined else math.nan,
            statistics.stdev(defined) if len(defined) > 1 else math.nan,
            len(defined),
        )


@dataclass(frozen=True, eq=False)
class StateSummary:
    """All images in one state, clean or attacked.

    Attributes:
        state: As in `Reading.state`.
        accuracy: Right answers among the images with a known class.
        changed: Images whose best label is another than on the clean picture, as a share.
        residuals: For each place of mean and deviation ("outside", "inside"), each reading of the
            residual's share, "r1" to "r5".
        histograms: Contributions to the best score, alike.
        entropy: Of the votes, in nats.
        chance_entropy: Log of the number of labels that voted.
        num_labels: Labels with at least 1 % of the pixels.
        votes_for_best: Share of the pixels that vote for the best label.
        votes_for_original: Share that vote for the clean picture's best label.
        votes_inside: Share of the best label's votes inside the object.
        positive_inside: Share of the best label's positive discussion inside the object.
        area: The object's share of the picture, for those images: what chance gives.
        is_preview: Whether not all labels voted.
    """

    state: str
    accuracy: Mean
    changed: Mean
    residuals: Mapping[str, Mapping[str, Mean]]
    histograms: Mapping[str, ContributionHistogram]
    entropy: Mean
    chance_entropy: Mean
    num_labels: Mean
    votes_for_best: Mean
    votes_for_original: Mean
    votes_inside: Mean
    positive_inside: Mean
    area: Mean
    is_preview: bool


@dataclass(frozen=True, eq=False, repr=False)
class Summary(Brief):
    """A set of interpreted images.

    Attributes:
        num_images: Those that could be read and interpreted.
        num_errors: The others.
        states: The clean images, then the attacked ones.
    """

    num_images: int
    num_errors: int
    states: tuple[StateSummary, ...]


def summarize(found: Sequence[Interpretation]) -> Summary:
    """Put the interpretations of several images together.

    Args:
        found: Of `interpret_images`, with one network and one set of settings.

    Returns:
        Means with deviations and counts; without a readable image no states.
    """
    good = [one for one in found if one.error is None]
    states = min((len(one.readings) for one in good), default=0)
    return Summary(
        num_images=len(good),
        num_errors=len(found) - len(good),
        states=tuple(_state(good, k) for k in range(states)),
    )


def _state(found: Sequence[Interpretation], position: int) -> StateSummary:
    readings = [one.readings[position] for one in found]
    votes = [reading.votes for reading in readings if reading.votes is not None]
    objects = [row for one in found if (row := _in_object(one, position)) is not None]
    return StateSummary(
        state=readings[0].state,
        accuracy=Mean.of(
            float(one.readings[position].best.label == one.label)
            for one in found
            if one.label is not None
        ),
        changed=Mean.of(float(r.best.label != r.original.label) for r in readings),
        residuals={way: _residuals([r.residuals[way] for r in readings])
                   for way in readings[0].residuals},
        histograms={way: contribution_histogram([r.parts[way] for r in readings])
                    for way in readings[0].parts},
        entropy=Mean.of(one.entropy for one in votes),
        chance_entropy=Mean.of(one.chance_entropy for one in votes),
        num_labels=Mean.of(float(one.num_labels()) for one in votes),
        votes_for_best=Mean.of(r.votes_for(r.best.label) for r in readings),
        votes_for_original=Mean.of(r.votes_for(r.original.label) for r in readings),
        votes_inside=Mean.of(inside for _, inside, _ in objects),
        positive_inside=Mean.of(positive for *_, positive in objects),
        area=Mean.of(area for area, *_ in objects),
        is_preview=any(one.is_preview for one in votes),
    )  # fmt: skip


def _in_object(found: Interpretation, position: int) -> tuple[float, float, float] | None:
    """Area of the object, and what of votes and positive discussion lies in it.

    None where one of them is not defined, so that their means are over the same images. Without
    votes, that one alone is NaN.
    """
    reading = found.readings[position]
    if found.mask is None or not reading.discussions or reading.discussions[0].inside is None:
        return None
    inside = math.nan
    if reading.votes_inside is not None:
        inside = reading.votes_inside.share
        if math.isnan(inside):
            return None
    return float(found.mask.double().mean()), inside, reading.discussions[0].inside


def _residuals(shares: Sequence[ResidualShares]) -> dict[str, Mean]:
    return {name: Mean.of(getattr(one, name) for one in shares) for name in READINGS}
