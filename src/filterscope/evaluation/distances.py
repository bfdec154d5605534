"""How wide classes are and how far they lie apart in a run's features."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor

from filterscope.attacks import ClassDistances, class_distances, convolution_features, draw_samples
from filterscope.core.contexts import captured_features, evaluating
from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset
from filterscope.evaluation.attack_images import load_pixels, on_device
from filterscope.runs import Run


@dataclass(frozen=True)
class ClassSpread:
    """Distances within and between classes, of clean test images.

    Attributes:
        num_images: Of them.
        convolutions: At every convolution by its name, of the output before norm and rectifier.
        studied: At the run's studied layer, of its pooled, rectified features.
    """

    num_images: int
    convolutions: dict[str, ClassDistances]
    studied: ClassDistances

    @property
    def ratio(self) -> float:
        """Between over within at the studied layer; NaN where classes have no width.

        Examples:
            >>> ClassSpread(4, {}, ClassDistances(within=1.0, between=3.0, norm=2.0)).ratio
            3.0
        """
        return self.studied.between / self.studied.within if self.studied.within else nan


def class_spread(
    run: Run,
    *,
    dataset: ImageDataset | None = None,
    per_class: int = 100,
    seed: int = 0,
    batch_size: int = 128,
    device: str = "auto",
) -> ClassSpread:
    """Measure the distances of the images of classes, on the run's standard path.

    Args:
        run: Of `load_run`.
        dataset: The data, when it is loaded already; else the run's own.
        per_class: Test images of each class, drawn at random; fewer where there are fewer.
        seed: Of the draw.
        batch_size: Images in a pass.
        device: auto, cpu, cuda or mps.

    Source: Liang et al., ECCV 2020, appendix J: its guess why gates resist black-box attacks.
    """
    split = (dataset or run.dataset()).test
    places = draw_samples(split.labels, per_class, (seed, 0))
    labels = split.labels[places]
    with on_device(run, device) as chosen:
        pixels = load_pixels(run, split, places, chosen)
        normalize = run.transform.standardize
        features, layers = convolution_features(
            run.classifier, pixels, batch_size, normalize=normalize
        )
        studied = _studied(run, pixels, batch_size)
    distances = {
        layer.name: class_distances(features[:, layer.columns].cpu(), labels) for layer in layers
    }
    return ClassSpread(len(places), distances, class_distances(studied, labels))


def _studied(run: Run, pixels: Tensor, batch_size: int) -> Tensor:
    """Pooled, rectified features of the studied layer, (N, K) on the CPU."""
    layer = find_layer(run.classifier, run.layer)[1]
    with evaluating(run.classifier), captured_features(layer, run.activation) as seen:
        for part in torch.split(pixels, batch_size):
            run.classifier(run.transform.standardize(part))
    return torch.cat(seen).cpu()
