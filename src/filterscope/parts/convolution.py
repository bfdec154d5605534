"""A convolution whose filters look at one place of each image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Unpack

import torch
from torch import Tensor, nn

from filterscope.parts.categories import Statistic
from filterscope.parts.masking import PartTemplates
from filterscope.parts.settings import TemplateOptions


class PartTemplateConv2d(nn.Conv2d):
    """Convolution, ReLU, and the mask of part templates; it needs no labels and keeps nothing.

    The weights have the names and shapes of `torch.nn.Conv2d`: ``weight`` and ``bias``. What the
    templates learn, if they do, is in ``templates.beta`` (learned slopes),
    ``templates.class_strengths`` and ``templates.batches`` (several categories).

    Args:
        in_channels: Of `torch.nn.Conv2d`, as are the others up to `dtype`.
        out_channels: K, number of filters.
        kernel_size: In pixels of the input map.
        stride: In pixels of the input map.
        padding: In pixels, or "same" or "valid".
        dilation: Spacing of the kernel.
        groups: Groups of channels.
        bias: Whether filters have a bias.
        padding_mode: What the padding is filled with.
        device: Where the weights are made.
        dtype: Of the weights.
        num_categories: C, see `PartTemplates`.
        class_shares: See `PartTemplates`.
        class_statistic: See `PartTemplates`.
        **templates: `shape`, `space`, `beta`, `gamma`, `mu` and `learn_beta`, see `PartTemplates`
            and `part_templates`.

    Attributes:
        templates: The `PartTemplates`.

    Raises:
        ValueError: See `PartTemplates` and `torch.nn.Conv2d`.

    Source: Zhang et al., CVPR 2018, section 3 (figure 2).

    Examples:
        >>> import torch
        >>> layer = PartTemplateConv2d(3, 8, kernel_size=3, padding=1, shape="l1")
        >>> layer(torch.randn(2, 3, 14, 14)).shape
        torch.Size([2, 8, 14, 14])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: str | int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: Literal["zeros", "reflect", "replicate", "circular"] = "zeros",
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        num_categories: int = 1,
        class_shares: Sequence[float] | None = None,
        class_statistic: Statistic = "peak",
        **templates: Unpack[TemplateOptions],
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        self.templates = PartTemplates(
            out_channels,
            num_categories,
            class_shares=class_shares,
            class_statistic=class_statistic,
            **templates,
        ).to(device)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve, rectify and mask.

        Args:
            input: Maps, (N, in_channels, H, W), from which square maps of 2 x 2 or more come.

        Returns:
            Masked maps, (N, K, n, n).

        Raises:
            ValueError: The maps are not square, or below 2 x 2.
        """
        masked: Tensor = self.templates(torch.relu(super().forward(input)))
        return masked
