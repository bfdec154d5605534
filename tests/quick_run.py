"""Runs of own networks that have learned some digits in a second."""

from pathlib import Path

import torch
from torch import nn

from filterscope.data import ImageDataset
from filterscope.runs import Run


def learned_run(dataset: ImageDataset, model: nn.Module, layer: str, steps: int, path: Path) -> Run:
    """Teach a network the training images, all at once in each step, and call it a run."""
    count = len(dataset.train)
    pixels = dataset.transform.normalize(torch.stack([dataset.train.raw(i) for i in range(count)]))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(pixels), dataset.train.labels).backward()
        optimizer.step()
    optimizer.zero_grad()
    return Run(
        path=path,
        config={"model": "own", "data": "digits", "method": "standard"},
        model=model.eval(),
        classes=dataset.classes,
        layer=layer,
        activation=torch.relu,
        transform=dataset.transform,
        history=[],
        evaluation=None,
        environment={},
    )
