"""An epoch of `filterscope train` against a bare PyTorch loop over tensors in memory.

Both train the same ResNet-20 on the same images with the same augmentation, optimizer and memory
format. Run: python benchmarks/epoch.py
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from filterscope.data import ImageDataset, load_dataset
from filterscope.models import create_model
from filterscope.runs import RunFolder
from filterscope.runs.processes import make_fabric
from filterscope.training import TrainSettings
from filterscope.training.loop import Loop
from filterscope.training.progress import Silent
from timing import describe, interleaved, ratios, spread

BATCH, SIDE, REPEATS = 128, 32, 30
SETTINGS = TrainSettings(image_size=SIDE, batch_size=BATCH, limit=512, schedule="constant")


def filterscope_epoch(dataset: ImageDataset) -> Callable[[], None]:
    folder = RunFolder(Path(tempfile.mkdtemp()) / "run")
    loop = Loop(make_fabric("cpu", 1), SETTINGS, folder, dataset, resume=False)
    epochs = iter(range(10**6))
    return lambda: void(loop._train_epoch(next(epochs), Silent()))


def bare_epoch(dataset: ImageDataset) -> Callable[[], None]:
    """What one would write by hand."""
    model = create_model("resnet20", 10).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    transform, padding = dataset.transform, dataset.augmentation.padding
    pixels = torch.stack([dataset.train.raw(i) for i in range(len(dataset.train))])
    labels = dataset.train.labels
    mean = torch.tensor(transform.mean).view(1, 3, 1, 1)
    std = torch.tensor(transform.std).view(1, 3, 1, 1)

    def epoch() -> None:
        for part in torch.randperm(len(pixels)).split(BATCH):
            if len(part) < BATCH:
                continue
            padded = F.pad(pixels[part], (padding,) * 4)
            windows = padded.unfold(2, SIDE, 1).unfold(3, SIDE, 1)
            top, left = torch.randint(2 * padding + 1, (2, BATCH))
            images = windows[torch.arange(BATCH), :, top, left].float().div_(255)
            images = images.sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)
            loss = F.cross_entropy(model(images), labels[part])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    return epoch


def void(_: object) -> None:
    """Drop a result."""


def main() -> None:
    print(describe("filterscope", "torch", "lightning"), f"- {torch.get_num_threads()} threads")
    dataset = load_dataset("digits", image_size=SIDE, limit=SETTINGS.limit, limit_test=10)
    ours, bare = filterscope_epoch(dataset), bare_epoch(dataset)
    ours()
    bare()
    mine, other = interleaved(ours, bare, REPEATS)
    print(
        f"{len(dataset.train)} images of {SIDE} x {SIDE}, batch {BATCH}: filterscope "
        f"{spread(mine)} s, bare loop {spread(other)} s, CPU time of a training epoch; ratio of "
        f"medians {statistics.median(mine) / statistics.median(other):.3f}, ratio turn by turn "
        f"{spread(ratios(mine, other))}, n={REPEATS}"
    )


if __name__ == "__main__":
    main()
