"""The attack that searches pixels near those that mattered most."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from filterscope.attacks.arguments import check_number
from filterscope.attacks.attempt import Attempt, Normalize, begin, image_generators, paint
from filterscope.attacks.result import Attacked

Places = NDArray[np.int64]


def local_search(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    factor: float = 1.5,
    probe: float = 10.0,
    half_side: int = 5,
    pixels_per_round: int = 5,
    rounds: int = 150,
    rank: int = 1,
    start_share: float = 0.1,
    max_candidates: int = 128,
    batch_size: int | None = None,
) -> Attacked:
    """Change, round by round, the pixels to which the answer is most sensitive.

    With v = pixel - 1/2, a round tests candidate pixels one by one: all channels of the candidate
    become ``probe * sign(v)``. It then changes the few at which the label's probability falls
    lowest: v becomes ``factor * v``, and what leaves [-1/2, 1/2] comes in at the other end, each
    channel by itself. The candidates of the next round are the pixels in the squares around those.

    The tested images lie outside [0, 1] on purpose where `probe` is above 1/2. They tell which
    pixels matter, and are never a result; the changed ones stay inside.

    Rounds of all images run together: their candidates share forward passes, then their changed
    images do. Queries are those of both.

    Args:
        model: As `filterscope.attacks.attack`; it must stay finite outside [0, 1].
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`; the search then raises the target's probability.
        seed: Of the candidates. An image's depend on the seed and its number alone.
        factor: How much a chosen pixel moves away from grey, in [0, 2]. This and what follows:
            foolbox's defaults.
        probe: How far a tested pixel moves from grey; 1 in AdverTorch.
        half_side: The squares have 2 * half_side + 1 pixels a side.
        pixels_per_round: How many pixels each round changes.
        rounds: The most rounds; 10 in AdverTorch.
        rank: The search ends when the label is not among so many of the largest scores.
        start_share: The share of all pixels that the first round tests; at least one pixel.
        max_candidates: The most pixels that a round tests, a random choice of those in the squares.
        batch_size: The most images of one forward pass; None: 128 on the CPU, 1024 elsewhere.

    Returns:
        The attacked images; those that the search did not turn are unchanged.

    Raises:
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`; a `rank` above 1 with targets, or of all
            classes.

    Source: Liang et al., ECCV 2020, appendix J; Narodytska, Kasiviswanathan, CVPR workshops 2017,
    algorithms 2 and 3.
    """
    check_number("factor", factor, 0, 2)
    check_number("probe", probe, 0)
    check_number("start_share", start_share, 0, 1)
    for name, value in (
        ("pixels_per_round", pixels_per_round), ("rounds", rounds), ("rank", rank),
        ("max_candidates", max_candidates),
    ):  # fmt: skip
        check_number(name, value, 1, whole=True)
    check_number("half_side", half_side, 0, whole=True)
    attempt = begin(model, images, labels, normalize, targets, seed, batch_size)
    if rank > 1 and (targets is not None or rank >= attempt.num_classes):
        raise ValueError(
            f"`rank` must be 1 with targets and below the number of classes, got {rank}"
        )
    search = _Search(attempt, seed, start_share, max_candidates)
    for _ in range(rounds):
        if not len(search.active):
            break
        chosen = search.test(probe, pixels_per_round)
        search.change(chosen, factor)
        search.keep(rank)
        search.look_around(chosen, half_side)
    search.changed[~search.success] = attempt.images[~search.success]
    return attempt.result(search.changed, search.success, search.queries)


class _Search:
    """The state of all images' searches."""

    def __init__(self, attempt: Attempt, seed: int, start_share: float, most: int) -> None:
        self.attempt, self.most = attempt, most
        self.changed, self.active = attempt.images.clone(), attempt.active
        count, _, self.height, self.width = self.changed.shape
        self.queries = torch.zeros(count, dtype=torch.int64, device=self.changed.device)
        self.success = torch.zeros_like(attempt.excluded)
        self._generators = image_generators(seed, count)
        pixels = self.height * self.width
        started = max(1, min(most, int(start_share * pixels)))
        self.places: dict[int, Places] = {
            number: self._generators[number].permutation(pixels)[:started]
            for number in self.active.tolist()
        }

    def test(self, probe: float, wanted: int) -> dict[int, Places]:
        """Give the pixels of each image to which its answer is most sensitive."""
        numbers, device = self.active.tolist(), self.changed.device
        counts = torch.tensor([len(self.places[number]) for number in numbers], device=device)
        owners = self.active.repeat_interleave(counts)
        together = np.concatenate([self.places[number] for number in numbers])
        places = torch.from_numpy(together).to(device)

        def make(part: slice) -> Tensor:
            pictures = self.changed[owners[part]]
            rows = torch.arange(len(pictures), device=device)
            row, column = places[part] // self.width, places[part] % self.width
            signs = (pictures[rows, :, row, column] - 0.5).sign()
            return paint(pictures, places[part], probe * signs + 0.5)

        scores = self.attempt.classifier.ask(len(owners), make)
        resistances = self.attempt.resistance(scores, owners).cpu().numpy()
        self.queries[self.active] += counts
        each = np.split(resistances, counts.cumsum(0)[:-1].cpu().numpy())
        # of equal ones, the first in random order
        return {
            number: self.places[number][np.argsort(values, kind="stable")[:wanted]]
            for number, values in zip(numbers, each, strict=True)
        }

    def change(self, chosen: dict[int, Places], factor: float) -> None:
        """Move the chosen pixels away from grey, and around the ends of the range."""
        counts = torch.tensor([len(places) for places in chosen.values()])
        owners = torch.tensor(list(chosen)).repeat_interleave(counts).to(self.changed.device)
        places = torch.from_numpy(np.concatenate(list(chosen.values()))).to(self.changed.device)
        row, column = places // self.width, places % self.width
        moved = factor * (self.changed[owners, :, row, column] - 0.5)
        moved = torch.where(moved > 0.5, moved - 1, torch.where(moved < -0.5, moved + 1, moved))
        self.changed[owners, :, row, column] = (moved + 0.5).clamp(0, 1)

    def keep(self, rank: int) -> None:
        """Ask for the answers to the changed images, and end the searches that succeeded."""
        scores = self.attempt.classifier.scores(self.changed[self.active])
        self.queries[self.active] += 1
        reached = self.attempt.reached(scores, self.active, rank)
        self.success[self.active] = reached
        self.active = self.active[~reached]

    def look_around(self, chosen: dict[int, Places], half_side: int) -> None:
        """Choose the candidates of the next round, in random order."""
        for number in self.active.tolist():
            near = np.zeros((self.height, self.width), dtype=bool)
            for place in chosen[number].tolist():
                row, column = divmod(place, self.width)
                rows = slice(max(0, row - half_side), row + half_side + 1)
                near[rows, max(0, column - half_side) : column + half_side + 1] = True
            order = self._generators[number].permutation(np.flatnonzero(near))
            self.places[number] = order[: self.most]
