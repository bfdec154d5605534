"""What an explanation of a run's answer about an image holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from filterscope.core.brief import Brief

COLUMNS = (
    "image",
    "prediction",
    "probability",
    "rank",
    "filter",
    "contribution",
    "activation",
    "filter_class",
    "error",
)


@dataclass(frozen=True)
class FilterContribution:
    """One filter's part in a logit.

    Attributes:
        index: Number of the filter, from 0.
        contribution: Sum over positions of activation times the gradient of the predicted logit;
            for a head of global average pooling and one linear layer exactly the filter's
            summand of the logit.
        activation: Pooled activation.
        classes: Names of the classes that the gate opens the filter for; without a gate the
            class of its largest MI; empty where neither is known.
    """

    index: int
    contribution: float
    activation: float
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Without:
    """The answer when some filters are taken away.

    Attributes:
        removed: Which filters, in words.
        num_filters: How many.
        probability: Of the class that was the most probable with all filters.
        prediction: The class that is the most probable now.
        new_probability: Its probability.
    """

    removed: str
    num_filters: int
    probability: float
    prediction: str
    new_probability: float

    def sentence(self, name: str) -> str:
        """The change in words; `name` is the class that was the most probable."""
        told = f"without {self.removed} ({self.num_filters}): {name} {self.probability:.1%}"
        if self.prediction == name:
            return told
        return f"{told}, now {self.prediction} {self.new_probability:.1%}"


@dataclass(frozen=True)
class Pictures:
    """What can be shown of an explanation.

    Attributes:
        image: The image as the network sees it, (S, S, 3) uint8.
        filter_maps: Rectified maps of the named filters at the size of the image, (F, S, S).
        cam: Class activation map of the most probable class, signed, (S, S); None for heads other
            than global average pooling and one linear layer.
    """

    image: np.ndarray
    filter_maps: np.ndarray
    cam: np.ndarray | None


@dataclass(frozen=True, repr=False)
class Explanation(Brief):
    """A run's answer about an image.

    Attributes:
        image: The file.
        probabilities: The most probable classes with their probabilities, in falling order.
        logit: Of the most probable class.
        filters: The filters with the largest contributions to that logit, in falling order.
        error: Why the image was not readable; None else.
        without: The answers without the named filters, and without those of the predicted class.
        pictures: Image and maps.
    """

    image: Path
    probabilities: tuple[tuple[str, float], ...] = ()
    logit: float = float("nan")
    filters: tuple[FilterContribution, ...] = ()
    error: str | None = None
    without: tuple[Without, ...] = ()
    pictures: Pictures | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the cells of `rows`."""
        return COLUMNS

    def rows(self) -> list[tuple[Any, ...]]:
        """One row a filter, for tables; one with the reason where the image was not readable."""
        if self.error is not None:
            return [(str(self.image), *[""] * 7, self.error)]
        name, probability = self.probabilities[0]
        return [
            (str(self.image), name, f"{probability:.6g}", rank, part.index,
             f"{part.contribution:.6g}", f"{part.activation:.6g}", "|".join(part.classes), "")
            for rank, part in enumerate(self.filters, start=1)
        ]  # fmt: skip

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.image}: {self.error}"
        answers = "  ".join(f"{name} {share:.1%}" for name, share in self.probabilities)
        lines = [f"{self.image}", f"  {answers}"]
        for part in self.filters:
            known = f"  ({', '.join(part.classes)})" if part.classes else ""
            lines.append(
                f"  filter {part.index:>4}  {part.contribution:+8.3f} of logit "
                f"{self.logit:.3f}{known}"
            )
        name = self.probabilities[0][0]
        lines += [f"  {item.sentence(name)}" for item in self.without]
        return "\n".join(lines)
