"""How images are interpreted: every setting in one place, for flags and help, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from filterscope.core.choices import refuse_other_numbers, refuse_other_words
from filterscope.evaluation.attack_settings import fraction

PREVIEW_LABELS = 20
"""Labels that vote in a preview."""

ALL_UP_TO = 100
"""Networks with at most so many classes let all of them vote unless told otherwise."""

_VOTES = "auto, all, none or top:K"


@dataclass(frozen=True)
class InterpretSettings:
    """Settings of `interpret_images`.

    Args:
        top: Labels whose pixel discussion is read, best scores first.
        votes: Labels that pixels vote for: all, top:K (a preview among the K best scores), none,
            or auto: all of up to 100 classes, else top:20.
        method: How a score is shared out over pixels, see `pixel_discussion`.
        by: What contributions are summed over, see `LinearInterpreter.contributions`.
        preprocess: Where mean and deviation stand: outside the network (x0 is the normalised
            image), inside it (x0 is the picture in [0, 1], their constants count for r), or both
            side by side (discussion and votes then from outside).
        fgsm: Attack each image by one step of this size in pixel values, as in 8/255 or 0.03, and
            interpret it again.
        labels: How an image's class is told, for the accuracy and the attack: folder (its folder's
            name), synset (ImageNet's number in the name), sorted (one image a class, in order).
            Default: it is not known.
        masks: Folder with an object mask of the same stem for each image.
        pictures: Images for which discussion and votes are read; further ones count in the
            tables alone.
        limit: Use the first images only.
        smooth: How sigmoid and the like are frozen, see `LinearInterpreter`.
        norm_freeze: What norms by the image's own statistics keep.
        freeze_gates: Freeze gates and attention at the image, which are refused otherwise.
        dtype: Precision.

    Raises:
        ValueError: A value out of its range; the message names the setting.
    """

    top: int = 3
    votes: str = "auto"
    method: Literal["conserving", "literal", "literal_times_input", "backprojected"] = "conserving"
    by: Literal["stage", "block", "op"] = "stage"
    preprocess: Literal["outside", "inside", "both"] = "outside"
    fgsm: float | str | None = None
    labels: Literal["folder", "synset", "sorted"] | None = None
    masks: str | None = None
    pictures: int = 20
    limit: int | None = None
    smooth: Literal["chord", "gain", "tangent"] = "chord"
    norm_freeze: Literal["mean+var", "var", "none"] = "mean+var"
    freeze_gates: bool = False
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        refuse_other_words(self)
        refuse_other_numbers(self)
        if self.top < 1:
            raise ValueError(f"`top` must be at least 1, got {self.top}")
        if self.pictures < 0:
            raise ValueError(f"`pictures` must be at least 0, got {self.pictures}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"`limit` must be at least 1, got {self.limit}")
        self.voters(1)
        epsilon = self.epsilon
        if epsilon is not None and not 0 < epsilon <= 1:
            raise ValueError(f"`fgsm` must lie in (0, 1], got {self.fgsm}")

    @property
    def epsilon(self) -> float | None:
        """Step of the attack as a number."""
        return None if self.fgsm is None else fraction("fgsm", self.fgsm)

    @property
    def ways(self) -> tuple[str, ...]:
        """Where mean and deviation stand; the first way is the one that is drawn."""
        return ("outside", "inside") if self.preprocess == "both" else (self.preprocess,)

    def voters(self, num_classes: int) -> int:
        """How many labels pixels vote for, 0 for no votes.

        Examples:
            >>> settings = InterpretSettings(votes="auto")
            >>> settings.voters(10), settings.voters(1000)
            (10, 20)
        """
        if self.votes == "auto":
            return num_classes if num_classes <= ALL_UP_TO else PREVIEW_LABELS
        if self.votes in ("all", "none"):
            return num_classes if self.votes == "all" else 0
        kind, _, count = self.votes.partition(":")
        if kind != "top" or not count.isdecimal() or int(count) < 1:
            raise ValueError(f"`votes` must be {_VOTES}, got {self.votes!r}")
        return min(int(count), num_classes)
