"""Moments of the patches of each class as a torchmetrics class."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from filterscope.metrics.functional import subspace


class PatchMoments(Metric):
    """Count, sum and outer products of the patches of each class, accumulated in float64.

    What `class_subspace_alignment` needs. The products take C d^2 numbers of 8 bytes for filters
    of length d: 27 MB for ten classes, 64 channels and 3 x 3 kernels.

    Args:
        num_classes: C.
        channels: Of the inputs.
        kernel_size: As in `patch_moments`, and so are the others.
        stride: Of the convolution.
        padding: Of the convolution, with zeros.
        dilation: Of the convolution.
        groups: Of the convolution.

    Raises:
        ValueError: Channels that the groups do not divide.

    Examples:
        >>> metric = PatchMoments(num_classes=1, channels=1, kernel_size=2)
        >>> metric.update(torch.ones(2, 1, 3, 3), torch.tensor([0, 0]))
        >>> counts, sums, products = metric.compute()
        >>> sums.shape, products.shape
        (torch.Size([1, 4]), torch.Size([1, 4, 4]))
    """

    full_state_update = False
    counts: Tensor
    sums: Tensor
    products: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        kernel_size: subspace.Size,
        stride: subspace.Size = 1,
        padding: subspace.Size = 0,
        dilation: subspace.Size = 1,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.num_classes, self.channels = num_classes, channels
        self.kernel_size, self.stride = kernel_size, stride
        self.padding, self.dilation, self.groups = padding, dilation, groups
        d = subspace.filter_length(channels, kernel_size, groups)
        shape = (num_classes, d) if groups == 1 else (num_classes, groups, d)
        sums = torch.zeros(shape, dtype=torch.float64)
        products = torch.zeros(*shape, d, dtype=torch.float64)
        counts = torch.zeros(num_classes, dtype=torch.int64)
        for name, zeros in (("counts", counts), ("sums", sums), ("products", products)):
            self.add_state(name, zeros, dist_reduce_fx="sum")

    def update(self, inputs: Tensor, labels: Tensor) -> None:
        """Add a batch: what the convolution reads, (N, channels, H, W), and labels (N,)."""
        if inputs.dim() != 4 or inputs.shape[1] != self.channels:
            raise ValueError(
                f"`inputs` must be (N, {self.channels}, H, W), got {tuple(inputs.shape)}"
            )
        counts, sums, products = subspace.patch_moments(
            inputs,
            labels,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.num_classes,
            self.groups,
        )
        self.counts += counts
        self.sums += sums
        self.products += products

    def compute(self) -> tuple[Tensor, Tensor, Tensor]:
        """Give counts (C,), sums (C, d) and products (C, d, d), as `patch_moments` does."""
        return self.counts, self.sums, self.products
