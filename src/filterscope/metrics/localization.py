"""Localisation of objects by maps, as torchmetrics classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from filterscope.metrics._result_metric import ResultMetric
from filterscope.metrics.functional._localization_checks import check_maps, check_masks
from filterscope.metrics.functional.localization import (
    Aggregation,
    activation_localization,
    check_aggregation,
    gradient_sums,
    map_sums,
)
from filterscope.metrics.functional.localization_result import (
    ImageLocalization,
    Localization,
    LocalizationSums,
    summarise_filters,
    summarise_images,
)


class ActivationLocalization(ResultMetric):
    """Localisation by the activation map of each filter, over a whole data set.

    A filter's threshold needs all its activations, so the low-resolution maps are kept (with the
    masks and the place of each image in the data set, by which they are sorted): K * h * w * 4
    bytes an image, 223 MB for 1700 images and 2048 maps of 4 x 4.

    Args:
        num_classes: C.
        share: As in `activation_localization`.
        success: As in `activation_localization`.

    Examples:
        >>> metric = ActivationLocalization(num_classes=2)
        >>> maps, masks = torch.rand(6, 3, 4, 4), torch.rand(6, 16, 16) > 0.5
        >>> metric.update(maps, masks, torch.arange(6) % 2, torch.arange(6))
        >>> metric.compute().filter_class_iou.shape
        torch.Size([2, 3])
    """

    full_state_update = False
    maps: list[Tensor]
    masks: list[Tensor]
    labels: list[Tensor]
    indices: list[Tensor]

    def __init__(self, num_classes: int, share: float = 0.3, success: float = 0.3) -> None:
        super().__init__()
        self.num_classes, self.share, self.success = num_classes, share, success
        for state in ("maps", "masks", "labels", "indices"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, maps: Tensor, masks: Tensor, labels: Tensor, indices: Tensor) -> None:
        """Add a batch.

        Args:
            maps: Raw low-resolution maps, rectified, (N, K, h, w).
            masks: Object masks, (N, H, W) bool.
            labels: (N,) integers.
            indices: Place of each image in the data set, (N,) integers.

        Raises:
            ValueError: As `activation_localization`, or indices that do not fit.
        """
        check_maps(maps, 4, "(N, K, h, w)")
        check_masks(masks, labels, self.num_classes, len(maps))
        if indices.shape != labels.shape:
            raise ValueError(f"`indices` must be ({len(maps)},), got {tuple(indices.shape)}")
        self.maps.append(maps.detach())
        self.masks.append(masks.to(maps.device))
        self.labels.append(labels.to(maps.device))
        self.indices.append(indices.to(maps.device))

    def compute(self) -> Localization:
        """Give the localisation of every filter.

        Raises:
            ValueError: No images, or the same image twice.
        """
        if not len(self.indices):
            raise ValueError("no images: call `update` first")
        order = torch.argsort(dim_zero_cat(self.indices))
        indices = dim_zero_cat(self.indices)[order]
        if bool((indices[1:] == indices[:-1]).any()):
            raise ValueError("an image was added twice: each index may come once")
        return activation_localization(
            dim_zero_cat(self.maps)[order],
            dim_zero_cat(self.masks)[order],
            dim_zero_cat(self.labels)[order],
            self.num_classes,
            self.share,
            self.success,
        )


class _SummingLocalization(ResultMetric):
    """Localisation whose state is `LocalizationSums`."""

    full_state_update = False
    iou: Tensor
    hits: Tensor
    counted: Tensor
    num_samples: Tensor
    mask_counts: Tensor

    def __init__(self, num_classes: int, num_filters: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        shape = (num_classes, num_filters)
        self.add_state("iou", torch.zeros(shape, dtype=torch.float64), dist_reduce_fx="sum")
        for state, counts in (
            ("hits", torch.zeros(shape, dtype=torch.int64)),
            ("counted", torch.zeros(shape, dtype=torch.int64)),
            ("num_samples", torch.zeros(num_classes, dtype=torch.int64)),
            ("mask_counts", torch.zeros(2, dtype=torch.int64)),
        ):
            self.add_state(state, counts, dist_reduce_fx="sum")

    def _add(self, sums: LocalizationSums) -> None:
        self.iou += sums.iou.to(self.iou.device)
        self.hits += sums.hits.to(self.hits.device)
        self.counted += sums.counted.to(self.counted.device)
        self.num_samples += sums.num_samples.to(self.num_samples.device)
        self.mask_counts += sums.masks.to(self.mask_counts.device)

    def _sums(self) -> LocalizationSums:
        states = (self.iou, self.hits, self.counted, self.num_samples, self.mask_counts)
        return LocalizationSums(*(state.cpu() for state in states))


class MapLocalization(_SummingLocalization):
    """Localisation by one map an image, such as a class activation map.

    Args:
        num_classes: C.
        share: As in `map_localization`.
        success: As in `map_localization`.

    Examples:
        >>> metric = MapLocalization(num_classes=2)
        >>> metric.update(torch.rand(6, 8, 8), torch.rand(6, 8, 8) > 0.5, torch.arange(6) % 2)
        >>> metric.compute().num_samples
        tensor([3, 3])
    """

    def __init__(self, num_classes: int, share: float = 0.3, success: float = 0.3) -> None:
        super().__init__(num_classes, 1)
        self.share, self.success = share, success

    def update(self, maps: Tensor, masks: Tensor, labels: Tensor) -> None:
        """Add a batch: maps (N, H, W), masks (N, H, W) bool and labels (N,)."""
        self._add(map_sums(maps, masks, labels, self.num_classes, self.share, self.success))

    def compute(self) -> ImageLocalization:
        """Give the localisation of the images so far."""
        return summarise_images(self._sums(), self.success)


class GradientLocalization(_SummingLocalization):
    """Localisation by gradient maps, batch by batch; only sums are kept.

    Args:
        num_classes: C.
        num_filters: F, the maps that come with each image.
        aggregation: As in `gradient_localization`.
        threshold: As in `gradient_localization`.
        success: As in `gradient_localization`.

    Examples:
        >>> metric = GradientLocalization(num_classes=2, num_filters=30)
        >>> masks = torch.rand(6, 8, 8) > 0.5
        >>> metric.update(2 * torch.rand(6, 30, 8, 8), masks, torch.arange(6) % 2)
        >>> metric.compute().class_iou.shape
        torch.Size([2])
    """

    fired: Tensor

    def __init__(
        self,
        num_classes: int,
        num_filters: int,
        aggregation: Aggregation = "official",
        threshold: float = 1.0,
        success: float = 0.2,
    ) -> None:
        check_aggregation(aggregation)
        super().__init__(num_classes, num_filters if aggregation == "paper" else 1)
        self.num_filters, self.aggregation = num_filters, aggregation
        self.threshold, self.success = threshold, success
        self.add_state("fired", torch.zeros(num_filters, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, maps: Tensor, masks: Tensor, labels: Tensor) -> None:
        """Add a batch: maps (N, F, H, W), blurred or bool, masks (N, H, W) bool and labels (N,).

        For "official" the F maps of an image are those of its class's strongest filters.
        """
        if maps.dim() == 4 and maps.shape[1] != self.num_filters:
            raise ValueError(
                f"`maps` must be (N, {self.num_filters}, H, W), got {tuple(maps.shape)}"
            )
        sums, fired = gradient_sums(
            maps, masks, labels, self.num_classes, self.aggregation, self.threshold, self.success
        )
        self._add(sums)
        self.fired += fired.to(self.fired.device)

    def compute(self) -> Localization | ImageLocalization:
        """Give the localisation of the images so far."""
        if self.aggregation == "official":
            return summarise_images(self._sums(), self.success)
        return summarise_filters(self._sums(), int((self.fired == 0).sum()), self.success)
