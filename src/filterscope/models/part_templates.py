"""Networks with part templates, by the name of their architecture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import torch

from filterscope.core.gate_points import gate_point
from filterscope.models.part_networks import PART_SIZES, PartNetwork, SecondMask, part_layers
from filterscope.models.registry import create_model, model_info
from filterscope.parts.categories import Statistic
from filterscope.parts.network import PartTemplateNetwork
from filterscope.parts.settings import ShapelessOptions
from filterscope.parts.surgery import add_part_templates
from filterscope.parts.templates import Shape


def create_part_network(
    name: str,
    categories: Sequence[str],
    shape: Shape = "l1",
    *,
    layers: Sequence[str] | None = None,
    second_mask: SecondMask = "after_pool",
    weights: str | Path | None = None,
    image_size: int | None = None,
    class_shares: Sequence[float] | None = None,
    class_statistic: Statistic = "peak",
    **templates: Unpack[ShapelessOptions],
) -> PartTemplateNetwork:
    """Build a network by name and put part templates into it.

    Args:
        name: As `create_model` takes it; "alexnet_parts", "vgg_m_parts", "vgg_s_parts" and
            "vgg16_parts" are the networks of the paper.
        categories: Names of the object categories. One has one logit, for the logistic loss
            against negatives; several have one each.
        shape: See `filterscope.parts.part_templates`.
        layers: Layers that are masked; None takes `part_layers` for the networks of the paper and
            the registry's gate layer for others.
        second_mask: See `part_layers`.
        weights: Weights to start from, see `load_weights`.
        image_size: Side of the images in pixels; None takes the architecture's own.
        class_shares: See `filterscope.parts.PartTemplates`.
        class_statistic: See `filterscope.parts.PartTemplates`.
        **templates: Further settings, see `filterscope.parts.add_part_templates`.

    Returns:
        The network, in train mode.

    Raises:
        ValueError: An unknown name, one without a known layer, or see `add_part_templates`.

    Source: Zhang et al., CVPR 2018, sections 3 and 5.

    Examples:
        >>> create_part_network("resnet20", ["cat", "dog"], image_size=32).layer_names
        ('layer3',)
    """
    size = PART_SIZES.get(name) if image_size is None else image_size
    size = model_info(name).image_size if size is None else size  # builds a whole network
    if size < 1:
        raise ValueError(f"`image_size` must be at least 1, got {size}")
    model = create_model(name, len(categories), weights=weights)
    if layers is None and isinstance(model, PartNetwork):
        layers = part_layers(model, second_mask)
    elif layers is None:
        point = gate_point(model)
        if point is None:
            raise ValueError(f"no layer of {name} is known for templates: give `layers`")
        layers = [point.layer]
    return add_part_templates(
        model,
        layers,
        categories,
        shape,
        class_shares=class_shares,
        class_statistic=class_statistic,
        example_input=torch.zeros(1, 3, size, size),
        **templates,
    )
