"""Class activation maps (CAM) of networks with global average pooling and one linear layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.gate_points import gate_point
from filterscope.core.layers import find_layer
from filterscope.maps._capture import Size, check_images, check_size, resized, run_and_capture


def class_activation_map(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    layer: str | nn.Module | None = None,
    size: Size = "input",
) -> Tensor:
    """Show where the evidence for a class lies: sum_k W[y, k] A_k, without bias and ReLU.

    It is exact only where the logits are W mean(A) + b, which is checked on these images.

    Args:
        model: A classifier with global average pooling and one linear layer behind `layer`.
        images: (N, C, H, W), prepared as the network expects them.
        labels: The class y that each image is asked about, (N,) integers.
        layer: The layer that gives A, by name or as the module; None takes the known one of a
            known architecture.
        size: "input" interpolates bilinearly (corners not aligned) to the images' H x W, a pair
            to that height and width; None gives the layer's own h x w.

    Returns:
        Signed maps (N, H, W), detached, on the images' device. The mean over the h x w of a raw
        map (``size=None``) is the class's logit without its bias.

    Raises:
        TypeError: An argument of a wrong type.
        ValueError: A network of another kind, labels out of range, an unknown layer or an
            impossible size.

    Source: Liang et al., ECCV 2020, section 4.2; B. Zhou et al., CVPR 2016.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        ...                       nn.Flatten(), nn.Linear(8, 5))
        >>> images, labels = torch.rand(2, 3, 12, 12), torch.tensor([0, 4])
        >>> class_activation_map(model, images, labels, layer="1").shape
        torch.Size([2, 12, 12])
    """
    check_size(size)
    check_images(images)
    module, head = _layer_and_head(model, layer)
    _check_labels(labels, len(images), head.out_features)
    logits, signed = run_and_capture(model, images, module, None, None)
    with torch.no_grad():
        maps = _pooled_maps(model, logits, signed, head)
        chosen = head.weight[labels.to(head.weight.device)]
        evidence = torch.einsum("nk,nkhw->nhw", chosen.to(maps), maps)
        return resized(evidence[:, None], images, size)[:, 0]


def _layer_and_head(model: nn.Module, layer: str | nn.Module | None) -> tuple[nn.Module, nn.Linear]:
    """Find the layer that is pooled and the linear layer that reads it."""
    inner = _classifier(model) if layer is None else model
    point = gate_point(inner)
    if point is None and layer is None:
        raise ValueError(f"`layer` is needed: the last map of {type(inner).__name__} is not known")
    head = _last_linear(inner)
    if head is None or (point is not None and point.head != "gap-linear"):
        linear = [name for name, part in inner.named_modules() if isinstance(part, nn.Linear)]
        raise _refusal(inner, f"its linear layers are {', '.join(linear) or 'none'}")
    if layer is None:
        assert point is not None
        return find_layer(inner, point.layer)[1], head
    return find_layer(model, layer)[1], head


def _classifier(model: nn.Module) -> nn.Module:
    """The network itself, or the one that a wrapper (a gate, data parallelism) holds."""
    for name in ("model", "module"):
        held = getattr(model, name, None)
        if gate_point(model) is None and isinstance(held, nn.Module):
            return _classifier(held)
    return model


def _last_linear(model: nn.Module) -> nn.Linear | None:
    named: Callable[[], Any] | None = getattr(model, "get_classifier", None)  # timm
    head = named() if callable(named) else None
    if isinstance(head, nn.Linear):
        return head
    return ([None] + [part for part in model.modules() if isinstance(part, nn.Linear)])[-1]


def _pooled_maps(model: nn.Module, logits: Any, signed: Tensor, head: nn.Linear) -> Tensor:
    """The maps, as they are or rectified, whose means the head turns into these logits."""
    if not isinstance(logits, Tensor) or logits.shape != (len(signed), head.out_features):
        came = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise _refusal(model, f"it gives {came}, and its last linear layer "
                              f"{head.out_features} logits")  # fmt: skip
    if signed.shape[1] != head.in_features:
        raise _refusal(
            model, f"`layer` gives {signed.shape[1]} filters, its head reads {head.in_features}"
        )
    bias = 0.0 if head.bias is None else head.bias.double()
    evidence, weight = logits.double() - bias, head.weight.double()
    coarse = logits.dtype in (torch.float16, torch.bfloat16)
    gaps = []
    for maps in (signed, torch.relu(signed)):
        linear = maps.double().mean(dim=(2, 3)) @ weight.T
        gap = float((evidence - linear).abs().max())
        # the second term is what is lost where the bias outweighs the rest
        scale = float(linear.abs().max()) + 1e-3 * float(logits.abs().max())
        if gap <= (3e-2 if coarse else 1e-3) * scale:
            return maps
        gaps.append(gap)
    raise _refusal(model, f"its logits differ from W mean(A) + b by {min(gaps):.3g}")


def _refusal(model: nn.Module, reason: str) -> ValueError:
    return ValueError(
        "a class activation map needs global average pooling and one linear layer behind "
        f"`layer`; {type(model).__name__} has another head: {reason}"
    )


def _check_labels(labels: Tensor, num_images: int, num_classes: int) -> None:
    if not isinstance(labels, Tensor):
        raise TypeError(f"`labels` must be a tensor, got {type(labels).__name__}")
    if labels.shape != (num_images,):
        raise ValueError(f"`labels` must be ({num_images},), got {tuple(labels.shape)}")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise ValueError(f"`labels` must be integers, got {labels.dtype}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise ValueError(
            f"`labels` must lie in [0, {num_classes - 1}], "
            f"got {int(labels.min())} to {int(labels.max())}"
        )
