"""Location instability as a torchmetrics class."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from filterscope.metrics._result_metric import ResultMetric
from filterscope.metrics.functional._landmarks import (
    check_centres,
    check_image_size,
    check_landmarks,
    peak_units,
)
from filterscope.metrics.functional.instability import TOP, Instability, instability_of_peaks


class LocationInstability(ResultMetric):
    """Location instability of the filters of a layer on one category, over a whole data set.

    The strongest images of a filter are known at the end alone, so the peak of each image and
    filter is kept (12 bytes), with the landmarks and the place of each image in the data set, by
    which they are sorted.

    Args:
        centres: As in `location_instability`, and so are the others.
        image_size: Height and width of the network's input.
        top: Images of a filter and part, at most.
        random_state: Seed of the chance levels.

    Raises:
        ValueError: Centres or a size of a wrong shape.

    Examples:
        >>> import torch
        >>> metric = LocationInstability(centres=10 * torch.rand(4, 4, 2), image_size=(10, 10))
        >>> metric.update(torch.rand(6, 3, 4, 4), 10 * torch.rand(6, 2, 2), torch.arange(6))
        >>> metric.compute().filter_part.shape
        torch.Size([3, 2])
    """

    full_state_update = False
    centres: Tensor
    units: list[Tensor]
    values: list[Tensor]
    landmarks: list[Tensor]
    indices: list[Tensor]

    def __init__(
        self,
        centres: Tensor,
        image_size: tuple[int, int],
        top: int = TOP,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        check_centres(centres)
        check_image_size(image_size)
        self.image_size, self.top, self.random_state = image_size, top, random_state
        self.register_buffer("centres", centres.detach().clone(), persistent=False)
        for state in ("units", "values", "landmarks", "indices"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, maps: Tensor, landmarks: Tensor, indices: Tensor) -> None:
        """Add a batch.

        Args:
            maps: Of the layer, (N, K, h, w).
            landmarks: Place of each part as (x, y) in pixels of the network's input, (N, P, 2);
                NaN where it is missing.
            indices: Place of each image in the data set, (N,) integers.

        Raises:
            ValueError: As `location_instability`, or indices that do not fit.
        """
        units, values = peak_units(maps)
        check_centres(self.centres, maps.shape[2:])
        check_landmarks(landmarks, len(maps), self.image_size)
        if indices.shape != (len(maps),):
            raise ValueError(f"`indices` must be ({len(maps)},), got {tuple(indices.shape)}")
        self.units.append(units)
        self.values.append(values)
        self.landmarks.append(landmarks.to(maps.device))
        self.indices.append(indices.to(maps.device))

    def compute(self) -> Instability:
        """Give the instability over all images.

        Raises:
            ValueError: No images, the same image twice, or a part that fewer than two images show.
        """
        if not len(self.indices):
            raise ValueError("no images: call `update` first")
        indices, order = dim_zero_cat(self.indices).sort()
        if bool((indices[1:] == indices[:-1]).any()):
            raise ValueError("an image was added twice: each index may come once")
        return instability_of_peaks(
            dim_zero_cat(self.units)[order],
            dim_zero_cat(self.values)[order],
            dim_zero_cat(self.landmarks)[order],
            self.centres,
            self.image_size,
            self.top,
            self.random_state,
        )
