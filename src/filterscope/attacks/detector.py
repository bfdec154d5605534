"""Telling adversarial samples from clean images by the features of a network's convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score, roc_curve
from torch import Tensor

from filterscope.core.brief import Brief

TREES = 100
"""Trees of a forest; the paper does not print their number."""

ROC_POINTS = 101
"""False-alarm rates, from 0 to 1, at which a ROC curve is kept."""


class Detector:
    """A random forest that tells features of adversarial samples from those of clean images.

    Args:
        clean: Features of images as they are, (N, D).
        adversarial: Features of adversarial samples, (M, D).
        num_trees: Of the forest, see `TREES`; the rest is scikit-learn's default.
        seed: Of the forest.
        jobs: Threads that grow the trees; the forest does not depend on it.

    Raises:
        ValueError: Features of different widths, none, or not finite; no tree.

    Source: Liang et al., ECCV 2020, section 5.2.

    Examples:
        >>> clean, adversarial = torch.zeros(20, 3), torch.ones(20, 3)
        >>> detector = Detector(clean, adversarial, num_trees=5)
        >>> detector.scores(torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
        tensor([0., 1.], dtype=torch.float64)
    """

    def __init__(
        self,
        clean: Tensor,
        adversarial: Tensor,
        *,
        num_trees: int = TREES,
        seed: int = 0,
        jobs: int = 1,
    ) -> None:
        if num_trees < 1:
            raise ValueError(f"`num_trees` must be at least 1, got {num_trees}")
        _check("clean", clean, None)
        _check("adversarial", adversarial, clean.shape[1])
        self.width = clean.shape[1]
        self._forest = RandomForestClassifier(num_trees, random_state=seed, n_jobs=jobs)
        truth = np.repeat([0, 1], [len(clean), len(adversarial)])
        self._forest.fit(np.concatenate([_rows(clean), _rows(adversarial)]), truth)

    def scores(self, features: Tensor) -> Tensor:
        """Share of the trees' votes for "adversarial".

        Args:
            features: (N, D).

        Returns:
            (N,) float64 in [0, 1].
        """
        _check("features", features, self.width)
        return torch.from_numpy(self._forest.predict_proba(_rows(features))[:, 1])

    def detects(self, features: Tensor) -> Tensor:
        """Say which samples are adversarial: more than half of the votes.

        Args:
            features: (N, D).

        Returns:
            (N,) bool; an even vote counts as clean, as scikit-learn has it.
        """
        return self.scores(features) > 0.5


@dataclass(frozen=True, repr=False)
class Pairs(Brief):
    """Images as they are and as an attack left them, in features.

    Attributes:
        clean: (N, D).
        adversarial: The same images after the attack, (N, D).
    """

    clean: Tensor
    adversarial: Tensor

    def __post_init__(self) -> None:
        _check("clean", self.clean, None)
        _check("adversarial", self.adversarial, self.clean.shape[1])
        if len(self.clean) != len(self.adversarial):
            raise ValueError(
                f"`adversarial` must be the same {len(self.clean)} images as `clean`, got "
                f"{len(self.adversarial)}"
            )

    def take(self, places: Tensor) -> Pairs:
        """The pairs at the given places, (M,) integers."""
        return Pairs(self.clean[places], self.adversarial[places])


@dataclass(frozen=True, repr=False)
class Draw(Brief):
    """Which pairs a detector is trained and tested on, in one repeat.

    Attributes:
        train: Places among the training pairs, (N,).
        test: Places among the test pairs, (M,).
    """

    train: Tensor
    test: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class DetectionError(Brief):
    """How often a detector errs.

    Attributes:
        errors: Share of wrong answers on a balanced test set, one a repeat, (R,).
        false_alarms: Share of the clean images that it takes for adversarial, (R,).
        misses: Share of the adversarial samples that it takes for clean, (R,).
        areas: Under the ROC curve, (R,).
        roc: Detection rate at `ROC_POINTS` false-alarm rates from 0 to 1, (R, ROC_POINTS).
        num_train: Pairs that the detector was trained on, (R,).
        num_test: Pairs that it was tested on, (R,).
    """

    errors: np.ndarray
    false_alarms: np.ndarray
    misses: np.ndarray
    areas: np.ndarray
    roc: np.ndarray
    num_train: np.ndarray
    num_test: np.ndarray

    @property
    def error(self) -> float:
        """Mean error over the repeats."""
        return float(self.errors.mean())

    @property
    def spread(self) -> float:
        """Standard deviation of the error over the repeats (by n - 1); NaN for a single one."""
        return float(self.errors.std(ddof=1)) if len(self.errors) > 1 else float("nan")


def detection_error(
    train: Pairs,
    test: Pairs,
    draws: Sequence[Draw],
    *,
    num_trees: int = TREES,
    seed: int = 0,
    jobs: int = 1,
) -> DetectionError:
    """Train and test a detector on other samples and with another forest in each repeat.

    Args:
        train: Pairs of images for training.
        test: Pairs of images that are not among these.
        draws: Which of them each repeat takes.
        num_trees: Of each forest.
        seed: Of the forests; that of repeat r is seeded by (seed, r).
        jobs: Threads that grow the trees.

    Returns:
        Error rates and ROC curve of each repeat.

    Raises:
        ValueError: No draw, or features that do not fit.

    Source: Liang et al., ECCV 2020, section 5.2 and appendix I: mean error of five repeats.

    Examples:
        >>> pairs = Pairs(torch.zeros(20, 3), torch.ones(20, 3))
        >>> draws = [Draw(torch.arange(10), torch.arange(5))] * 2
        >>> detection_error(pairs, pairs, draws, num_trees=5).errors
        array([0., 0.])
    """
    if not draws:
        raise ValueError("`draws` must have at least one repeat")
    rows = []
    for repeat, draw in enumerate(draws):
        learned, judged = train.take(draw.train), test.take(draw.test)
        own_seed = int(np.random.SeedSequence((seed, repeat)).generate_state(1)[0])
        detector = Detector(
            learned.clean, learned.adversarial, num_trees=num_trees, seed=own_seed, jobs=jobs
        )
        clean, adversarial = detector.scores(judged.clean), detector.scores(judged.adversarial)
        rows.append((*_rates(clean, adversarial), len(draw.train), len(draw.test)))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return DetectionError(*columns)


def _rates(clean: Tensor, adversarial: Tensor) -> tuple[float, float, float, float, np.ndarray]:
    """Error, false alarms, misses, area under the ROC curve, and the curve."""
    false_alarms = float((clean > 0.5).double().mean())
    misses = float((adversarial <= 0.5).double().mean())
    truth = np.repeat([0, 1], [len(clean), len(adversarial)])
    scores = torch.cat([clean, adversarial]).numpy()
    false, right, _ = roc_curve(truth, scores, drop_intermediate=False)
    # at equal false-alarm rates `interp` takes the last point, the highest one
    curve = np.interp(np.linspace(0, 1, ROC_POINTS), false, right)
    area = float(roc_auc_score(truth, scores))
    return (false_alarms + misses) / 2, false_alarms, misses, area, curve


def draw_samples(
    labels: Tensor, per_class: int, seed: Sequence[int], allowed: Tensor | None = None
) -> Tensor:
    """Draw images at random, the same number of each class.

    A larger number with the same seed draws the same images and more. Two draws with the same seed
    agree as far as the same images are allowed.

    Args:
        labels: (N,).
        per_class: Of each class; a class with fewer gives all that it has.
        seed: Of the draw: numbers from 0, as of a study and a repeat.
        allowed: Which images may be drawn, (N,) bool; None: all.

    Returns:
        Places in rising order, (M,) int64.

    Raises:
        ValueError: A number below 1, no labels, no allowed image, or `allowed` that is not bool.

    Examples:
        >>> draw_samples(torch.tensor([0, 0, 0, 1, 1]), 1, seed=(0, 1)).shape
        torch.Size([2])
    """
    if per_class < 1:
        raise ValueError(f"`per_class` must be at least 1, got {per_class}")
    if labels.dim() != 1 or not len(labels):
        raise ValueError(f"`labels` must be (N,) and not empty, got {tuple(labels.shape)}")
    allowed = torch.ones(len(labels), dtype=torch.bool) if allowed is None else allowed
    if allowed.dtype != torch.bool:
        raise ValueError(f"`allowed` must be bool, got {allowed.dtype}")
    if allowed.shape != labels.shape or not bool(allowed.any()):
        raise ValueError(
            f"`allowed` must allow some of {len(labels)} images, got {tuple(allowed.shape)} with "
            f"{int(allowed.sum())} allowed"
        )
    state = np.random.SeedSequence(tuple(seed)).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
    drawn = []
    for c in sorted(set(labels.tolist())):
        members = torch.nonzero(labels == c).flatten()
        # all are ordered, so that no order depends on what is asked for and allowed
        members = members[torch.randperm(len(members), generator=generator)]
        drawn.append(members[allowed[members]][:per_class])
    return torch.cat(drawn).sort().values


def _check(name: str, features: Tensor, width: int | None) -> None:
    if features.dim() != 2 or not features.numel():
        raise ValueError(f"`{name}` must be (N, D) and not empty, got {tuple(features.shape)}")
    if width is not None and features.shape[1] != width:
        raise ValueError(f"`{name}` must have {width} columns, got {features.shape[1]}")
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"`{name}` must be finite")


def _rows(features: Tensor) -> np.ndarray:
    """Features as scikit-learn's trees compare them: in single precision."""
    rows: np.ndarray = features.detach().float().cpu().numpy()
    return rows
