"""One pass over the test images, both paths with one run of the trunk."""

from __future__ import annotations

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from filterscope.core.answers import TaskLoss, class_scores, image_losses, wrong_answers
from filterscope.core.contexts import evaluating
from filterscope.data import ImageDataset, batches
from filterscope.gates import GatedClassifier


def path_sums(
    fabric: Fabric,
    module: nn.Module,
    dataset: ImageDataset,
    batch_size: int,
    workers: int,
    kind: TaskLoss = "softmax",
) -> Tensor:
    """Sum what this process's share of the test images gives.

    Args:
        fabric: Of the run; tells the process and the precision.
        module: The plain or gated classifier, on the device.
        dataset: With the test images.
        batch_size: Images at once, over all processes.
        workers: Processes that read images which are not in memory.
        kind: The task's loss.

    Returns:
        Summed loss and correct answers of the standard path, the same of the gated path (0 without
        a gate), the errors of the standard path (see `wrong_answers`), and the number of images;
        (6,) float64.
    """
    sums = torch.zeros(6, dtype=torch.float64, device=fabric.device)
    with evaluating(module), fabric.autocast():
        for images, labels, _ in batches(
            dataset.test,
            batch_size,
            transform=dataset.transform,
            device=fabric.device,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            workers=workers,
        ):
            if not len(labels):
                continue
            images = images.contiguous(memory_format=torch.channels_last)
            paths: tuple[Tensor, ...]
            if isinstance(module, GatedClassifier):
                paths = module.both(images, labels)
            else:
                paths = (module(images),)
            for i, logits in enumerate(paths):
                logits = logits.float()
                sums[2 * i] += image_losses(logits, labels, kind).double().sum()
                sums[2 * i + 1] += (class_scores(logits).argmax(1) == labels).sum()
            sums[4] += wrong_answers(paths[0].float(), labels, kind).sum()
            sums[5] += len(labels)
    return sums
