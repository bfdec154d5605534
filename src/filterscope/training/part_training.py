"""What training with part templates adds: the masked network, and its filter losses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset, Split, Transform, batches
from filterscope.models import PartNetwork, part_layers
from filterscope.parts import PartTemplateNetwork, add_part_templates, part_losses
from filterscope.training.settings import FilterLoss, TrainSettings

MANY = 10
"""Categories above which each counts as 1 / C of the images, as in the authors' code."""

IMAGES = 256
"""Images on which the size of the maps is measured, evenly spaced over the training split."""


def add_templates(
    model: nn.Module, settings: TrainSettings, dataset: ImageDataset, layer: str
) -> PartTemplateNetwork:
    """Put the part templates of the settings into a network.

    Args:
        model: The plain classifier.
        settings: Of the run.
        dataset: Whose categories the filters are divided among.
        layer: The studied layer, which is masked where nothing else is known or asked for.

    Returns:
        The network with part templates.

    Raises:
        ValueError: `mask_layers` that are unknown or give no square map.
    """
    layers: tuple[str, ...] = tuple(find_layer(model, name)[0] for name in settings.mask_layers)
    if not layers and isinstance(model, PartNetwork):
        layers = part_layers(model, settings.second_mask)
    side = dataset.transform.image_size
    try:
        return add_part_templates(
            model,
            layers or (layer,),
            dataset.categories,
            settings.template,
            class_shares=category_shares(dataset),
            class_statistic=settings.filter_statistic,
            example_input=torch.zeros(1, 3, side, side),
            space=settings.space,
            beta=settings.beta,
            gamma=settings.gamma,
            mu=settings.mu,
            learn_beta=settings.learn_beta,
        )
    except (ValueError, RuntimeError) as error:  # a pool that has nothing left raises the latter
        raise ValueError(
            f"part templates do not fit {settings.model} at an `image_size` of {side} (choose it, "
            f"or `mask_layers`): {error}"
        ) from error


def category_shares(dataset: ImageDataset) -> list[float] | None:
    """Share of the training images in each category; None for one category, or for many.

    Source: the authors' code of Zhang et al., CVPR 2018.
    """
    if not 1 < len(dataset.categories) <= MANY:
        return None
    counts = dataset.train.class_counts(len(dataset.classes))
    shares = counts.double() / counts.sum()
    return [float(shares[dataset.classes.index(name)]) for name in dataset.categories]


def describe_parts(network: PartTemplateNetwork, dataset: ImageDataset) -> dict[str, Any]:
    """What it takes to build the same network again, as plain values."""
    first = network.masks[0]
    return {
        "layers": list(network.layer_names),
        "num_filters": [mask.num_filters for mask in network.masks],
        "categories": list(network.categories),
        "class_shares": category_shares(dataset),
        "class_statistic": first.class_statistic,
        "templates": first.settings.to_json(),
    }


@dataclass(frozen=True)
class FilterLosses:
    """How the filter losses of a run are asked for.

    Attributes:
        network: The network with part templates.
        kind: Form of the loss.
        beta_rate: See `part_losses`.
        category: Place of each class among the categories, -1 for the negatives, (C,).
    """

    network: PartTemplateNetwork
    kind: FilterLoss
    beta_rate: float
    category: Tensor

    @classmethod
    def of(
        cls, network: PartTemplateNetwork, settings: TrainSettings, dataset: ImageDataset
    ) -> FilterLosses:
        """The losses of a run."""
        names = dataset.categories
        places = [names.index(name) if name in names else -1 for name in dataset.classes]
        return cls(network, settings.filter_loss, settings.beta_rate, torch.tensor(places))

    @contextmanager
    def collected(self, labels: Tensor) -> Iterator[list[Tensor]]:
        """Collect the losses of the forward pass inside, one a layer; see `part_losses`.

        Args:
            labels: Class of each image, (N,).
        """
        category = self.category.to(labels.device)[labels]
        members = category == 0 if len(self.network.categories) == 1 else category
        with part_losses(self.network, members, self.kind, beta_rate=self.beta_rate) as losses:
            yield losses

    def map_sizes(self, split: Split, transform: Transform, device: torch.device) -> Tensor:
        """Mean over maps of their largest value, of each layer, on some training images.

        Args:
            split: The training images.
            transform: Their normalisation.
            device: Where the network is.

        Returns:
            (layers,) float32, on `device`.

        Source: Zhang et al., CVPR 2018, section 5 (the weight of the filter loss).
        """
        places = torch.linspace(0, len(split) - 1, min(IMAGES, len(split))).round().long()
        sizes = [torch.zeros((), device=device) for _ in self.network.masks]
        handles = [
            mask.register_forward_pre_hook(_Peaks(sizes, i))
            for i, mask in enumerate(self.network.masks)
        ]
        try:
            with evaluating(self.network):
                for batch in batches(
                    split.take(places), 64, transform=transform, device=device, workers=0
                ):
                    self.network(batch.images)
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(sizes) / len(places)


class _Peaks:
    """A hook that adds up the mean peak of the images of a batch."""

    def __init__(self, sizes: list[Tensor], place: int) -> None:
        self.sizes, self.place = sizes, place

    def __call__(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        maps: Tensor = inputs[0]
        self.sizes[self.place] = self.sizes[self.place] + maps.flatten(2).amax(2).mean(1).sum()
