"""The layer that a classifier ends in."""

from __future__ import annotations

from torch import nn

from filterscope.core.gate_points import gate_point


def head_name(model: nn.Module) -> str | None:
    """Find the layer that gives a classifier's logits: its last linear layer or convolution.

    Examples:
        >>> from torchvision.models import resnet18, squeezenet1_1
        >>> head_name(resnet18()), head_name(squeezenet1_1())
        ('fc', 'classifier.1')
    """
    kinds = (nn.Linear, nn.Conv2d)
    names = [name for name, module in model.named_modules() if isinstance(module, kinds)]
    return names[-1] if names else None


def linear_head(model: nn.Module, layer: nn.Module | None = None) -> nn.Linear | None:
    """Find the layer that turns pooled features into logits.

    Args:
        model: A classifier.
        layer: The layer of `model` whose pooled output is meant; None for the last one before the
            head.

    Returns:
        The linear layer, whose logits are weight times the pooled features plus bias; None where
        the architecture is not known, its head is more than that, or it reads another layer.

    Examples:
        >>> from torchvision.models import resnet18, vgg11
        >>> linear_head(resnet18()).in_features, linear_head(vgg11())
        (512, None)
    """
    point = gate_point(model)
    if point is None or point.head != "gap-linear":
        return None
    if layer is not None and layer is not model.get_submodule(point.layer):
        return None
    name = head_name(model)
    head = None if name is None else model.get_submodule(name)
    if isinstance(head, nn.Linear) and head.in_features == point.num_filters:
        return head
    return None
