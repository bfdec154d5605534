"""One pass of a network over a split: logits of both paths, and pooled features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torchmetrics.utilities.distributed import gather_all_tensors

from filterscope.core.answers import TaskLoss, class_scores, image_losses, wrong_answers
from filterscope.core.contexts import captured_features, evaluating
from filterscope.data import Split, Transform, batches
from filterscope.gates import GatedClassifier


@dataclass(frozen=True)
class Collected:
    """What the network gave for each sample of a split, in the split's order.

    Attributes:
        indices: Place of the sample, (N,).
        labels: (N,).
        predictions: Of the standard path, (N,).
        losses: Task loss of the standard path, (N,).
        errors: Of the standard path, see `wrong_answers`, (N,) float64.
        gated_predictions: Of the gated path, (N,); the standard path's without a gate.
        gated_losses: Of the gated path, (N,).
        gated_errors: Of the gated path, (N,) float64.
        features: Pooled, ungated, rectified features of the studied layer, (N, K).
    """

    indices: Tensor
    labels: Tensor
    predictions: Tensor
    losses: Tensor
    errors: Tensor
    gated_predictions: Tensor
    gated_losses: Tensor
    gated_errors: Tensor
    features: Tensor


def collect(
    model: nn.Module,
    layer: nn.Module,
    activation: Callable[[Tensor], Tensor] | None,
    split: Split,
    transform: Transform,
    *,
    batch_size: int,
    device: torch.device,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 2,
    task_loss: TaskLoss = "softmax",
) -> Collected:
    """Run a network over a split, its share on each process, and gather everything everywhere.

    Each process takes whole batches in turn. So a batch is the same for any number of processes,
    and so is, to the bit, what the network gives for it: estimators that count neighbours would
    make other numbers of a rounding.

    Args:
        model: The plain or gated classifier, on `device`.
        layer: The studied layer.
        activation: What rectifies its output before pooling.
        split: The images.
        transform: Their normalisation.
        batch_size: Images at once, in each process.
        device: Where to compute.
        rank: Of this process.
        world_size: Number of processes.
        workers: Processes that read images which are not in memory.
        task_loss: What the logits mean.

    Returns:
        All samples, on CPU, sorted by their place.

    Raises:
        ValueError: The network gives NaN or infinite logits or features.
    """
    columns: list[Tensor] = []
    filled = 0
    places = process_share(len(split), batch_size, rank, world_size)
    # without a share, one image still tells the shapes that the others gather
    shown = places if len(places) else torch.zeros(1, dtype=torch.int64)
    with evaluating(model), captured_features(layer, activation) as seen:
        for images, labels, indices in batches(
            split if world_size == 1 else split.take(shown),
            batch_size,
            transform=transform,
            device=device,
            workers=workers,
        ):
            seen.clear()
            answers = _both_paths(model, images, labels, task_loss)
            rows = (shown[indices].to(device), labels, *answers, seen[0].float())
            columns = columns or _columns_like(rows, len(shown))
            for column, row in zip(columns, rows, strict=True):
                column[filled : filled + len(row)] = row
            filled += len(indices)
    columns = [column[: len(places)] for column in columns]
    if world_size > 1:
        columns = [torch.cat(gather_all_tensors(column)) for column in columns]
    order = torch.argsort(columns[0])
    collected = Collected(*[column[order].cpu() for column in columns])
    _refuse_non_finite(collected)
    return collected


def _columns_like(rows: tuple[Tensor, ...], count: int) -> list[Tensor]:
    """Space for `count` samples, all at once.

    What stays behind after each batch would keep glibc (2.36) from using the space of the batch's
    maps again, and memory would grow by gigabytes.
    """
    return [row.new_empty(count, *row.shape[1:]) for row in rows]


def process_share(count: int, batch_size: int, rank: int, world_size: int) -> Tensor:
    """The places of a process's images: every `world_size`-th batch, from the `rank`-th on.

    Args:
        count: Images in all.
        batch_size: Images of a batch; the last one may have fewer.
        rank: Of the process.
        world_size: Number of processes.

    Returns:
        Ascending, int64; together the processes have each image once.

    Examples:
        >>> process_share(7, 2, rank=1, world_size=2)
        tensor([2, 3, 6])
    """
    mine = torch.arange(count).split(batch_size)[rank::world_size]
    return torch.cat(mine) if mine else torch.empty(0, dtype=torch.int64)


def _refuse_non_finite(collected: Collected) -> None:
    for name in (field.name for field in fields(Collected)):
        if not bool(torch.isfinite(getattr(collected, name)).all()):
            raise ValueError(f"the network gives non-finite {name} on the test images")


def _both_paths(
    model: nn.Module, images: Tensor, labels: Tensor, kind: TaskLoss
) -> tuple[Tensor, ...]:
    """Answers of the standard path, which runs first, and of the gated one."""
    standard = _answers(model(images).float(), labels, kind)
    if not isinstance(model, GatedClassifier):
        return (*standard, *standard)
    return (*standard, *_answers(model(images, labels).float(), labels, kind))


def _answers(logits: Tensor, labels: Tensor, kind: TaskLoss) -> tuple[Tensor, ...]:
    return (
        class_scores(logits).argmax(1),
        image_losses(logits, labels, kind),
        wrong_answers(logits, labels, kind),
    )
