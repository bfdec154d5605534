"""What runs after a layer that has part templates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from filterscope.parts.masking import PartTemplates

# The paper's new filters start from N(0, 0.01 squared), with biases of zero.
_NEW_STD = 0.01


class PartStage(nn.Module):
    """The mask after a layer, and the new convolution of the paper where one is asked for.

    Args:
        templates: The mask of the layer's output.
        new_filters: M, channels of a new 3 x 3 convolution with ReLU after the mask; None for
            none.
        conv_templates: The mask of the new convolution's map; None where it is masked later.

    Source: Zhang et al., CVPR 2018, section 5 (implementation details).
    """

    def __init__(
        self,
        templates: PartTemplates,
        new_filters: int | None = None,
        conv_templates: PartTemplates | None = None,
    ) -> None:
        super().__init__()
        self.templates = templates
        self.conv: nn.Conv2d | None = None
        if new_filters is not None:
            self.conv = nn.Conv2d(new_filters, new_filters, 3, padding=1)
            nn.init.normal_(self.conv.weight, std=_NEW_STD)
            assert self.conv.bias is not None
            nn.init.zeros_(self.conv.bias)
        self.conv_templates = conv_templates

    def forward(self, maps: Tensor) -> Tensor:
        """Mask the layer's maps (N, M, n, n), then convolve and mask again where asked for."""
        masked: Tensor = self.templates(maps)
        if self.conv is not None:
            masked = torch.relu(self.conv(masked))
        if self.conv_templates is not None:
            masked = self.conv_templates(masked)
        return masked

    def on_layer_output(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        """Replace the layer's output.

        The one permanent hook: a bound method, so that copies and pickles of a network carry it,
        and `torch.compile` sees it.
        """
        replaced: Tensor = self(output)
        return replaced
