"""Batches on the training device, repeatable to the bit for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from filterscope.data.augmentation import Augmentation
from filterscope.data.decode import open_rgb, to_pixels
from filterscope.data.split import InMemory, Split, Streamed
from filterscope.data.transform import Transform


class Batch(NamedTuple):
    """A batch of one process.

    Attributes:
        images: Normalised, (B, 3, H, W) float32.
        labels: (B,) int64.
        indices: Places in the split, (B,) int64, on CPU.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


def num_batches(split: Split, batch_size: int, *, drop_last: bool = False) -> int:
    """Count the batches of a pass over `split`.

    Args:
        split: The images.
        batch_size: Images in a batch.
        drop_last: Leave out an incomplete last batch.

    Raises:
        ValueError: A batch size below 1.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1, got {batch_size}")
    whole, rest = divmod(len(split), batch_size)
    return whole if drop_last or not rest else whole + 1


def batches(
    split: Split,
    batch_size: int,
    *,
    transform: Transform,
    augmentation: Augmentation | None = None,
    device: torch.device | str = "cpu",
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = False,
    workers: int = 2,
) -> Iterator[Batch]:
    """Go once over a split.

    Order and augmentation of the whole split are drawn beforehand from one generator seeded by
    (`seed`, `epoch`): an image is changed alike however many processes share the work, and a
    resumed run sees the same images. Process `rank` takes every `world_size`-th image of each
    batch; together the processes see each image once, without padding.

    Args:
        split: The images.
        batch_size: Images in a batch, over all processes.
        transform: Gives the normalisation.
        augmentation: Random changes; None for tests.
        device: Where the batches are wanted.
        shuffle: Draw a random order.
        seed: Of order and augmentation.
        epoch: Counted from 0.
        rank: Of this process.
        world_size: Number of processes.
        drop_last: Leave out an incomplete last batch.
        workers: Processes that read images, for images that are not in memory.

    Raises:
        ValueError: No batch size, a rank outside the processes, or a file that broke meanwhile.

    Yields:
        Batches, whose incomplete last one may be empty for some processes.
    """
    if batch_size < 1 or not 0 <= rank < world_size:
        raise ValueError(
            f"`batch_size` must be at least 1 and `rank` below `world_size`, got {batch_size}, "
            f"{rank} and {world_size}"
        )
    device = torch.device(device)
    order, numbers = _drawn(len(split), shuffle, augmentation, seed * 1_000_003 + epoch)
    used = num_batches(split, batch_size, drop_last=drop_last)
    parts = [part[rank::world_size] for part in torch.split(order, batch_size)[:used]]
    if isinstance(split.images, InMemory):
        pixels = _from_memory(split.images, parts, augmentation, numbers, device)
    else:
        pixels = _from_files(split, split.images, parts, augmentation, numbers, device, workers)
    labels = split.labels.to(device)
    for part, raw in zip(parts, pixels, strict=True):
        yield Batch(transform.normalize(raw), labels[part.to(device)], part)


def _drawn(
    count: int, shuffle: bool, augmentation: Augmentation | None, seed: int
) -> tuple[Tensor, Tensor | None]:
    """Draw the order of the images and the numbers of their augmentation."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(count, generator=generator) if shuffle else torch.arange(count)
    if augmentation is None:
        return order, None
    return order, torch.rand(count, Augmentation.NUMBERS, generator=generator)


def _from_memory(
    images: InMemory,
    parts: list[Tensor],
    augmentation: Augmentation | None,
    numbers: Tensor | None,
    device: torch.device,
) -> Iterator[Tensor]:
    pixels = images.on(device)
    for part in parts:
        raw = pixels[part.to(device)]
        if augmentation is not None and numbers is not None:
            raw = augmentation.shift(raw, numbers[part].to(device))
        yield raw


def _from_files(
    split: Split,
    images: Streamed,
    parts: list[Tensor],
    augmentation: Augmentation | None,
    numbers: Tensor | None,
    device: torch.device,
    workers: int,
) -> Iterator[Tensor]:
    loader = DataLoader(
        _Files(images, split.transform, augmentation, numbers),
        batch_sampler=[part.tolist() for part in parts if len(part)],
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # it would draw from the global one, which is the caller's
    )
    loaded = iter(loader)
    side = split.transform.image_size
    for part in parts:
        if not len(part):
            yield torch.empty(0, 3, side, side, dtype=torch.uint8, device=device)
            continue
        try:
            raw = next(loaded)
        except ValueError as error:  # that of a worker has its traceback in it
            reason = str(error).strip().splitlines()[-1].removeprefix("ValueError: ")
            raise ValueError(reason) from error
        yield raw.to(device, non_blocking=True)


class _Files(Dataset[Tensor]):
    """Decoded, cut images of a split, one at a time, for worker processes."""

    def __init__(
        self,
        images: Streamed,
        transform: Transform,
        augmentation: Augmentation | None,
        numbers: Tensor | None,
    ) -> None:
        self.images, self.transform = images, transform
        self.augmentation, self.numbers = augmentation, numbers

    def __getitem__(self, index: int) -> Tensor:
        name = self.images.names[index]
        try:
            image = open_rgb(self.images.read(name))
        except (ValueError, OSError) as error:
            raise ValueError(f"{name}: {error}") from error
        if self.augmentation is None or self.numbers is None:
            return self.transform.pixels(image)
        if self.augmentation.scale is None:
            pixels = self.transform.pixels(image)[None]
            return self.augmentation.shift(pixels, self.numbers[index : index + 1])[0]
        size = self.transform.image_size
        return to_pixels(self.augmentation.cut(image, size, self.numbers[index]))
