"""What the affine map of a network at an image tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.linear import Contributions, PixelVotes, ResidualShares
from filterscope.linear.votes import ShareInside


@dataclass(frozen=True)
class Score:
    """One label's score.

    Attributes:
        label: Position of the logit.
        name: Of the class.
        logit: The score.
        probability: By softmax over all logits; of a run that was trained with a logistic loss
            over several, each label's own.
    """

    label: int
    name: str
    logit: float
    probability: float


@dataclass(frozen=True, eq=False)
class Discussion:
    """How much each pixel speaks for a label.

    Attributes:
        score: The label and its score, to which the pixels sum.
        values: (H, W) float32.
        inside: Share of the positive values that lies inside the object; None without a mask.
    """

    score: Score
    values: np.ndarray
    inside: float | None


@dataclass(frozen=True, eq=False)
class Reading:
    """The affine map at one picture, read for its top label.

    Attributes:
        state: "clean", or the attack in words.
        scores: The labels with the best scores, the best first.
        parts: Contributions to the best score, without their maps, by where mean and deviation
            stand ("outside", "inside" the network).
        residuals: Share of the residual in the best score, alike.
        original: Score of the label that was the best on the clean picture.
        pixels: The picture as the network sees it, (S, S, 3) uint8; None where none is drawn.
        discussions: Of the labels in `scores`; empty where none is drawn.
        votes: Of the pixels; None where none were asked for or nothing is drawn.
        votes_inside: Where the votes of the best label lie; None without votes or mask.
    """

    state: str
    scores: tuple[Score, ...]
    parts: Mapping[str, Contributions]
    residuals: Mapping[str, ResidualShares]
    original: Score
    pixels: np.ndarray | None = None
    discussions: tuple[Discussion, ...] = ()
    votes: PixelVotes | None = None
    votes_inside: ShareInside | None = None

    @property
    def best(self) -> Score:
        """The label with the best score."""
        return self.scores[0]

    def votes_for(self, label: int) -> float:
        """Share of the pixels that vote for a label; NaN where it took no part."""
        if self.votes is None or label not in self.votes.labels.tolist():
            return float("nan")
        return float(self.votes.shares[self.votes.labels == label])


@dataclass(frozen=True, eq=False, repr=False)
class Interpretation(Brief):
    """An image, read as it is and, if asked for, after an attack.

    Attributes:
        image: The file.
        label: Its true class; None where that is not known.
        readings: Of the clean image, then of the attacked one; empty where there was an error.
        mask: Where the object is, (S, S) bool; None without a mask.
        error: Why the image could not be read or interpreted; None else.
    """

    image: Path
    label: int | None = None
    readings: tuple[Reading, ...] = field(default=())
    mask: Tensor | None = None
    error: str | None = None

    @property
    def clean(self) -> Reading:
        """The reading of the image as it is."""
        return self.readings[0]

    @property
    def attacked(self) -> Reading | None:
        """The reading after the attack."""
        return self.readings[1] if len(self.readings) > 1 else None
