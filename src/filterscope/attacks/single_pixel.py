"""The attack that sets one pixel to black or white."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from filterscope.attacks.arguments import check_number
from filterscope.attacks.attempt import Normalize, begin, image_generators, paint
from filterscope.attacks.result import Attacked


def single_pixel(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    max_pixels: int = 1000,
    batch_size: int | None = None,
) -> Attacked:
    """Set one pixel after another to 0, then to 1, in all channels, until the answer turns.

    Pixels come in random order, each alone: the one before is put back. The next candidates of all
    images share a forward pass; queries count as if each candidate had been asked by itself.

    Args:
        model: As `filterscope.attacks.attack`.
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`.
        seed: Of the orders. An image's order depends on the seed and its number alone.
        max_pixels: The most pixels to try for an image, two queries each; foolbox's default, while
            AdverTorch tries 100.
        batch_size: The most images of one forward pass; None: 128 on the CPU, 1024 elsewhere.

    Returns:
        The attacked images; those that no pixel turns are unchanged.

    Raises:
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.

    Source: Liang et al., ECCV 2020, appendix J; Narodytska, Kasiviswanathan, CVPR workshops 2017,
    algorithm 1.
    """
    check_number("max_pixels", max_pixels, 1, whole=True)
    attempt = begin(model, images, labels, normalize, targets, seed, batch_size)
    clean, classifier = attempt.images, attempt.classifier
    count, _, height, width = clean.shape
    generators = image_generators(seed, count)
    orders = torch.stack(
        [torch.from_numpy(g.permutation(height * width)[:max_pixels]) for g in generators]
    ).to(clean.device)
    changed, success = clean.clone(), torch.zeros_like(attempt.excluded)
    queries = torch.zeros(count, dtype=torch.int64, device=clean.device)
    active, position, total = attempt.active, 0, 2 * orders.shape[1]
    while len(active) and position < total:
        stop = min(total, position + max(1, classifier.batch_size // len(active)))
        turns = torch.arange(position, stop, device=clean.device)
        owners, turns = active.repeat_interleave(len(turns)), turns.repeat(len(active))
        make = _Candidates(clean, orders, owners, turns)
        reached = attempt.reached(classifier.ask(len(owners), make), owners).view(len(active), -1)
        # of equal ones, the first
        found, first = reached.any(1), reached.int().argmax(1)
        queries[active] = torch.where(found, position + first + 1, stop)
        success[active] = found
        rows = found.nonzero().flatten() * reached.shape[1] + first[found]
        for row in rows.tolist():
            changed[owners[row]] = make(slice(row, row + 1))[0]
        active, position = active[~found], stop
    return attempt.result(changed, success, queries)


class _Candidates:
    """Makes the pictures of some turns: the pixel of turn 2 i at 0, that of turn 2 i + 1 at 1."""

    def __init__(self, images: Tensor, orders: Tensor, owners: Tensor, turns: Tensor) -> None:
        self._images, self._owners = images, owners
        self._places, self._values = orders[owners, turns // 2], (turns % 2)[:, None]

    def __call__(self, part: slice) -> Tensor:
        return paint(self._images[self._owners[part]], self._places[part], self._values[part])
