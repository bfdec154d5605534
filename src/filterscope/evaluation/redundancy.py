"""How much a layer's filters repeat each other, and within which classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from filterscope.evaluation.alignment import class_alignment
from filterscope.evaluation.part import Part, Subject
from filterscope.metrics import functional
from filterscope.metrics.functional.correlation import Variant

_CURVE = np.round(np.arange(0, 1.0001, 0.02), 4)
_VARIANTS: dict[str, Variant] = {
    "": "all",
    "_off_diagonal": "off_diagonal",
    "_absolute": "absolute",
}


def correlation_part(subject: Subject) -> Part:
    """Filter correlation, redundancy, inter-class correlation, blocks and class subspaces.

    Empty where no convolution's filters are the layer's channels.
    """
    mean_features = subject.mean_features
    num_classes, num_filters = mean_features.shape
    convolution = last_convolution(subject.run.classifier, subject.run.layer, num_filters)
    if convolution is None:
        return Part()
    correlation = functional.filter_correlation(convolution.weight.detach().cpu())
    part = Part(arrays={"correlation": correlation.numpy(), "redundancy_thresholds": _CURVE})
    for suffix, variant in _VARIANTS.items():
        curve = functional.redundancy(correlation, torch.from_numpy(_CURVE), variant)
        at_tenth = functional.redundancy(correlation, 0.1, variant)
        part |= Part(
            {f"redundancy_0_1{suffix}": float(at_tenth)},
            {f"redundancy_curve{suffix}": curve.numpy()},
        )
    if bool(torch.isfinite(mean_features).all()):
        per_class = max(1, num_filters // num_classes)
        between = functional.inter_class_correlation(correlation, mean_features, per_class)
        part |= Part({"inter_class_correlation": between, "inter_class_correlation_m": per_class})
    owners = filter_owners(subject.gate, subject.mi)
    return (
        part
        | _block_part(correlation, owners, subject.seed)
        | _alignment_part(subject, convolution, owners)
    )


def filter_owners(gate: Tensor | None, mi: Tensor) -> Tensor:
    """The class of each filter: the one that the gate opens it for, else of its largest MI.

    Args:
        gate: (C, K), or None.
        mi: Mutual information, (C, K).

    Returns:
        (K,) int64; -1 for a filter that the gate opens for several classes or for none.
    """
    if gate is None:
        return mi.argmax(0)
    opened = gate > 0.5
    return torch.where(opened.sum(0) == 1, opened.long().argmax(0), -1)


def _block_part(correlation: Tensor, owners: Tensor, seed: int) -> Part:
    blocks = functional.block_ratio(correlation, owners, random_state=seed)
    return Part(
        {
            "block_ratio": blocks.ratio,
            "block_ratio_chance": blocks.chance,
            "block_within": blocks.within,
            "block_between": blocks.between,
        },
        {"filter_owners": owners.numpy()},
    )


def _alignment_part(subject: Subject, convolution: nn.Conv2d, owners: Tensor) -> Part:
    alignment = class_alignment(
        subject.run.classifier,
        convolution,
        subject.dataset.test,
        subject.run.transform,
        len(subject.mean_features),
        batch_size=subject.batch_size,
        device=subject.device,
        workers=subject.workers,
    )
    if alignment is None:
        return Part()
    contrast = functional.alignment_contrast(alignment, owners)
    return Part(
        {
            "alignment_own": contrast.own,
            "alignment_others": contrast.others,
            "alignment_contrast": contrast.difference,
        },
        {"alignment": alignment.numpy()},
    )


def last_convolution(model: nn.Module, layer: str, num_filters: int) -> nn.Conv2d | None:
    """Find the convolution whose filters a layer's output shows: the last one of that width.

    Args:
        model: The plain classifier.
        layer: Name of the studied layer.
        num_filters: K.

    Returns:
        The convolution, or None where no convolution has K filters (as in DenseNet, whose map is
        put together from many).
    """
    found = None
    reached = False
    for name, module in model.named_modules():
        inside = name == layer or name.startswith(f"{layer}.")
        if reached and not inside:
            break
        reached |= inside
        if (
            isinstance(module, nn.Conv2d)
            and module.out_channels == num_filters
            and not {"downsample", "shortcut"} & set(name.split("."))
        ):
            found = module
    return found
