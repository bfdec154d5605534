"""Part interpretability as a torchmetrics class."""

from __future__ import annotations

from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from filterscope.metrics._result_metric import ResultMetric
from filterscope.metrics.functional._landmarks import check_centres
from filterscope.metrics.functional._localization_checks import check_maps
from filterscope.metrics.functional.interpretability import (
    SHARE,
    SUCCESS,
    Interpretability,
    check_part_masks,
    part_interpretability,
)


class PartInterpretability(ResultMetric):
    """Part interpretability of the filters of a layer on one category, over a whole data set.

    A filter's threshold needs all its activations, so the maps are kept, with the masks and the
    place of each image in the data set, by which they are sorted: 4 K h w + P H W bytes an image,
    540 MB for 700 images, 512 maps of 14 x 14 and five parts of 224 x 224.

    Args:
        centres: As in `part_interpretability`, and so are the others.
        radius: Of the discs, in pixels.
        share: Of the activations that count.
        success: IoU above which a part is covered.
        random_state: Seed of the chance level of random units.

    Raises:
        ValueError: Centres of a wrong shape.

    Examples:
        >>> import torch
        >>> metric = PartInterpretability(8 * torch.rand(4, 4, 2), radius=2.5, share=0.1)
        >>> masks = torch.rand(6, 2, 8, 8) > 0.5
        >>> metric.update(torch.rand(6, 3, 4, 4), masks, torch.arange(6))
        >>> metric.compute().filter_part.shape
        torch.Size([3, 2])
    """

    full_state_update = False
    centres: Tensor
    maps: list[Tensor]
    masks: list[Tensor]
    indices: list[Tensor]

    def __init__(
        self,
        centres: Tensor,
        radius: float,
        share: float = SHARE,
        success: float = SUCCESS,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        check_centres(centres)
        self.radius, self.share, self.success = radius, share, success
        self.random_state = random_state
        self.register_buffer("centres", centres.detach().clone(), persistent=False)
        for state in ("maps", "masks", "indices"):
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def update(self, maps: Tensor, masks: Tensor, indices: Tensor) -> None:
        """Add a batch.

        Args:
            maps: Of the layer, (N, K, h, w).
            masks: Mask of each part at the size of the network's input, (N, P, H, W) bool.
            indices: Place of each image in the data set, (N,) integers.

        Raises:
            ValueError: As `part_interpretability`, or indices that do not fit.
        """
        check_maps(maps, 4, "(N, K, h, w)")
        check_centres(self.centres, maps.shape[2:])
        check_part_masks(masks, len(maps))
        if indices.shape != (len(maps),):
            raise ValueError(f"`indices` must be ({len(maps)},), got {tuple(indices.shape)}")
        self.maps.append(maps.detach())
        self.masks.append(masks.to(maps.device))
        self.indices.append(indices.to(maps.device))

    def compute(self) -> Interpretability:
        """Give the interpretability over all images.

        Raises:
            ValueError: As `part_interpretability`; no images, or the same image twice.
        """
        if not len(self.indices):
            raise ValueError("no images: call `update` first")
        indices, order = dim_zero_cat(self.indices).sort()
        if bool((indices[1:] == indices[:-1]).any()):
            raise ValueError("an image was added twice: each index may come once")
        return part_interpretability(
            dim_zero_cat(self.maps)[order],
            dim_zero_cat(self.masks)[order],
            self.centres,
            self.radius,
            self.share,
            self.success,
            self.random_state,
        )
