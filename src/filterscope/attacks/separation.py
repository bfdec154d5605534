"""How near features are to the means of classes, and how far classes lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.attacks.features import ConvolutionLayer
from filterscope.metrics.functional.class_means import class_mean_features


def class_means(features: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Average the features of each class.

    Args:
        features: (N, D).
        labels: (N,).
        num_classes: C.

    Returns:
        (C, D) float64; NaN for a class without images.

    Raises:
        ValueError: Shapes that do not fit, features that are not finite, or labels out of range.

    Examples:
        >>> class_means(torch.tensor([[1.0], [3.0]]), torch.tensor([0, 0]), 2)
        tensor([[2.],
                [nan]], dtype=torch.float64)
    """
    _check_features("features", features, "labels", labels, num_classes)
    return class_mean_features(features, labels, num_classes)


def class_cosines(
    features: Tensor, classes: Tensor, means: Tensor, layers: Sequence[ConvolutionLayer]
) -> Tensor:
    """Compute, at every convolution, the cosine of features and the mean of a class.

    Args:
        features: Of `convolution_features`, (N, D).
        classes: To which class's mean each is compared, (N,).
        means: Of `class_means`, (C, D).
        layers: Of `convolution_features`.

    Returns:
        (N, L) float64; NaN where a vector is zero or the class has no mean.

    Raises:
        ValueError: Shapes that do not fit, or classes without a row of `means`.

    Source: Liang et al., ECCV 2020, section 5.2: its premise.

    Examples:
        >>> layers = (ConvolutionLayer("0", 0, 2), ConvolutionLayer("1", 2, 4))
        >>> means = torch.tensor([[1.0, 0.0, 0.0, 2.0]])
        >>> class_cosines(torch.tensor([[3.0, 0, 1, 1]]), torch.tensor([0]), means, layers)
        tensor([[1.0000, 0.7071]], dtype=torch.float64)
    """
    _check_features("features", features, "classes", classes, len(means))
    if means.dim() != 2 or means.shape[1] != features.shape[1]:
        raise ValueError(
            f"`means` must be (C, {features.shape[1]}) as `features` are, got {tuple(means.shape)}"
        )
    if not layers or layers[-1].stop > features.shape[1]:
        raise ValueError(f"`layers` do not fit features with {features.shape[1]} columns")
    own = means.double()[classes.long()]
    columns = []
    for layer in layers:
        one, other = features.double()[:, layer.columns], own[:, layer.columns]
        # a vector of zeros has no direction: 0 / 0 is NaN
        columns.append((one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)))
    return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class ClassDistances:
    """How wide classes are and how far they lie apart.

    Attributes:
        within: Mean distance of two images of one class.
        between: Mean distance of two images of different classes.
        norm: Mean norm of the features, which raw distances scale with.
    """

    within: float
    between: float
    norm: float

    @property
    def relative_within(self) -> float:
        """`within` over the mean norm; NaN where that is zero."""
        return self.within / self.norm if self.norm else float("nan")

    @property
    def relative_between(self) -> float:
        """`between` over the mean norm; NaN where that is zero.

        Examples:
            >>> ClassDistances(within=1.0, between=3.0, norm=2.0).relative_between
            1.5
        """
        return self.between / self.norm if self.norm else float("nan")


def class_distances(features: Tensor, labels: Tensor) -> ClassDistances:
    """Measure the mean Euclidean distance within classes and between them, over all pairs.

    Args:
        features: (N, D); memory grows with N * N.
        labels: (N,).

    Returns:
        The distances; `within` is NaN where no class has two images, `between` with one class.

    Raises:
        ValueError: Shapes that do not fit, or features that are not finite.

    Source: Liang et al., ECCV 2020, appendix J: its guess why gates resist black-box attacks.

    Examples:
        >>> found = class_distances(torch.tensor([[0.0], [1.0], [4.0]]), torch.tensor([0, 0, 1]))
        >>> found.within, found.between
        (1.0, 3.5)
    """
    _check_features("features", features, "labels", labels, None)
    points, same = features.double(), labels[:, None] == labels[None]
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    itself = torch.eye(len(points), dtype=torch.bool, device=points.device)
    return ClassDistances(
        within=float(distances[same & ~itself].mean()),
        between=float(distances[~same].mean()),
        norm=float(points.norm(dim=1).mean()),
    )


def _check_features(
    name: str, features: Tensor, of_classes: str, classes: Tensor, num_classes: int | None
) -> None:
    if features.dim() != 2 or not features.numel():
        raise ValueError(f"`{name}` must be (N, D) and not empty, got {tuple(features.shape)}")
    if classes.shape != (len(features),) or classes.is_floating_point():
        raise ValueError(
            f"`{of_classes}` must be {len(features)} integers, one for each of `{name}`, got "
            f"{tuple(classes.shape)} of {classes.dtype}"
        )
    if not bool(torch.isfinite(features).all()):
        raise ValueError(f"`{name}` must be finite")
    if num_classes is not None and not 0 <= int(classes.min()) <= int(classes.max()) < num_classes:
        raise ValueError(
            f"`{of_classes}` must lie in [0, {num_classes - 1}], got {int(classes.min())} to "
            f"{int(classes.max())}"
        )
