"""The images of a run that are worth an attack, and the run's answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from filterscope.core.answers import class_scores
from filterscope.core.contexts import evaluating
from filterscope.data import ImageDataset, Split, batches
from filterscope.data.split import InMemory
from filterscope.runs import Run
from filterscope.runs.load import dataset_arguments
from filterscope.runs.processes import make_fabric


@contextmanager
def on_device(run: Run, device: str) -> Iterator[torch.device]:
    """Move a run's network to a device, and back to the CPU afterwards.

    Args:
        run: Of `load_run`.
        device: auto, cpu, cuda or mps.

    Yields:
        The device.
    """
    chosen: torch.device = make_fabric(device, 1).device
    run.model.to(chosen)
    try:
        yield chosen
    finally:
        run.model.cpu()


def check_classes(run: Run, dataset: ImageDataset) -> None:
    """Refuse data of other classes than the run's.

    Raises:
        ValueError: Such data.
    """
    if dataset.classes != run.classes:
        raise ValueError(
            f"{dataset.name} has {len(dataset.classes)} classes ({', '.join(dataset.classes[:3])}, "
            f"...), the run was trained on {len(run.classes)} ({', '.join(run.classes[:3])}, ...)"
        )


def check_same_data(first: Run, second: Run) -> None:
    """Refuse two runs whose images are not the same ones: their detectors could not be compared.

    Raises:
        ValueError: The runs differ in a setting of their data.
    """
    one, other = (dataset_arguments(run.config) for run in (first, second))
    for name in one:
        if name not in ("root", "download") and one[name] != other[name]:
            raise ValueError(
                f"{first.path} and {second.path} have other data: `{name}` is {one[name]!r} and "
                f"{other[name]!r}"
            )


def right_images(run: Run, split: Split, batch_size: int, device: torch.device) -> Tensor:
    """Say which images a run classifies rightly, on its standard path.

    Args:
        run: On `device`.
        split: The images.
        batch_size: Images in a pass.
        device: Of the network.

    Returns:
        (N,) bool, on the CPU.

    Raises:
        ValueError: There is none.
    """
    right = []
    with evaluating(run.classifier):
        for images, labels, _ in batches(
            split,
            batch_size,
            transform=run.transform,
            device=device,
            workers=run.config.get("workers", 0),
        ):
            right.append((class_scores(run.classifier(images)).argmax(1) == labels).cpu())
    found = torch.cat(right)
    if not bool(found.any()):
        raise ValueError(f"the network classifies none of {len(split)} images rightly")
    return found


def load_pixels(run: Run, split: Split, places: Tensor, device: torch.device) -> Tensor:
    """Read images as the network sees them, before normalisation.

    Args:
        run: Whose transform cuts images that are not of its size.
        split: The images.
        places: Which, (N,).
        device: Where they are wanted.

    Returns:
        (N, 3, S, S) float32 in [0, 1].
    """
    size = run.transform.image_size
    if isinstance(split.images, InMemory) and split.images.pixels.shape[-1] == size:
        pixels = split.images.pixels[places]
    else:
        pixels = torch.stack([_cut(run, split.raw(i), size) for i in places.tolist()])
    return pixels.to(device).float() / 255


def _cut(run: Run, raw: Tensor, size: int) -> Tensor:
    return raw if raw.shape[-1] == size else run.transform.pixels(raw)


def answers(run: Run, pixels: Tensor, batch_size: int) -> Tensor:
    """Answer pixels in [0, 1] on the standard path.

    Args:
        run: On the device of `pixels`.
        pixels: (N, 3, S, S).
        batch_size: Images in a pass.

    Returns:
        The class with the largest score, (N,).
    """
    with evaluating(run.classifier):
        found = [
            class_scores(run.classifier(run.transform.standardize(part))).argmax(1)
            for part in torch.split(pixels, batch_size)
        ]
    return torch.cat(found)
