"""What a network still recognises when the filters of some classes are taken away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.answers import class_scores
from filterscope.core.contexts import evaluating, forward_hook
from filterscope.data import Split, Transform, batches
from filterscope.metrics import functional

MOST_CLASSES = 20
"""Classes beyond the first ones are not removed: each removal is a forward pass of the head."""


@dataclass(frozen=True)
class Removal:
    """Confusion matrices with the filters of classes removed, by one rule.

    Attributes:
        classes: Which classes each set removes, (S, C) bool: one class each, then a pair.
        filters: Which filters that takes away, (S, K) bool.
        confusion: Counts of true by predicted class, (S, C, C) int32.
    """

    classes: Tensor
    filters: Tensor
    confusion: Tensor


def removed_sets(num_classes: int) -> list[list[int]]:
    """The sets of classes that are removed: each class alone, and the first with the middle one.

    For CIFAR-10 the pair is plane and dog, as in the paper's figure 5.

    Examples:
        >>> removed_sets(4)
        [[0], [1], [2], [3], [0, 2]]
    """
    alone = [[c] for c in range(min(num_classes, MOST_CLASSES))]
    return [*alone, [0, num_classes // 2]] if num_classes > 1 else alone


def remove_filters(
    model: nn.Module,
    layer: nn.Module,
    split: Split,
    transform: Transform,
    rules: dict[str, Tensor],
    classes: Tensor,
    *,
    batch_size: int,
    device: torch.device,
    workers: int,
) -> dict[str, Removal]:
    """Measure confusion matrices with filters removed, all sets in one pass over the images.

    The trunk runs once a batch; the head runs once for each set.

    Args:
        model: The plain classifier, on `device`.
        layer: The layer whose filters are removed: its output is multiplied by 0 there.
        split: The test images.
        transform: Their normalisation.
        rules: By name, the filters that each set removes, (S, K) bool.
        classes: Which classes each set removes, (S, C) bool.
        batch_size: Images at once.
        device: Where to compute.
        workers: Processes that read images which are not in memory.

    Source: Liang et al., ECCV 2020, figure 5.
    """
    removed = torch.cat(list(rules.values())).to(device)
    num_sets, num_classes = classes.shape
    # of 1000 classes and 42 sets 170 MB
    total = torch.zeros(len(removed), num_classes, num_classes, dtype=torch.int32)
    rows = torch.arange(len(removed))[:, None]

    with evaluating(model), removing_filters(layer, removed):
        for images, labels, _ in batches(
            split, batch_size, transform=transform, device=device, workers=workers
        ):
            answers = class_scores(model(images)).argmax(1).reshape(len(removed), len(labels))
            cells = rows, labels.cpu()[None], answers.cpu()
            total.index_put_(cells, torch.ones((), dtype=torch.int32), accumulate=True)
    pieces = total.reshape(len(rules), num_sets, num_classes, num_classes)
    return {
        name: Removal(classes, filters.cpu(), counts)
        for (name, filters), counts in zip(rules.items(), pieces, strict=True)
    }


@contextmanager
def removing_filters(layer: nn.Module, removed: Tensor) -> Iterator[None]:
    """Make a network answer once for each set of removed filters, with one run of its trunk.

    Args:
        layer: Its output is multiplied by 0 at the removed filters.
        removed: (S, K) bool.

    Yields:
        Inside, a batch of N images gives S N logits, those of the first set first.
    """

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        shape = (len(removed), 1, -1) + (1,) * (output.dim() - 2)
        kept = (~removed).to(output).reshape(shape)
        return (output * kept).flatten(0, 1)

    with forward_hook(layer, hook):
        yield


def removal_rules(gate: Tensor | None, mean_features: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The filters that each rule removes for each set of classes.

    Args:
        gate: (C, K), or None.
        mean_features: (C, K).

    Returns:
        "activation": the tenth of the filters that is strongest on each class; "gate", with a
        gate: the filters that it opens for the classes; (S, K) bool each. And the sets, (S, C).
    """
    num_classes = len(mean_features)
    sets = removed_sets(num_classes)
    marked = torch.zeros(len(sets), num_classes, dtype=torch.bool)
    for row, chosen in zip(marked, sets, strict=True):
        row[chosen] = True
    rules = {
        "activation": torch.stack([functional.strongest_filters(mean_features, s) for s in sets])
    }
    if gate is not None:
        rules["gate"] = torch.stack([functional.gate_filters(gate, s) for s in sets])
    return rules, marked
