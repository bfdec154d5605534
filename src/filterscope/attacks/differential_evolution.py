"""The attack that evolves one pixel's place and colour."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from filterscope.attacks.arguments import check_number
from filterscope.attacks.attempt import Attempt, Normalize, begin, image_generators, paint
from filterscope.attacks.result import Attacked

Genes = NDArray[np.float64]
# Of the first colours, Gaussian.
MEAN, DEVIATION = 128 / 255, 127 / 255


def one_pixel_evolution(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    population: int = 400,
    generations: int = 100,
    weight: float = 0.5,
    batch_size: int | None = None,
) -> Attacked:
    """Evolve the place and colour of one pixel until the answer turns: differential evolution.

    A candidate is (row, column, one value for each channel). Places begin uniform, colours Gaussian
    around grey. In each generation every candidate gets a child, ``a + weight * (b - c)`` of three
    different candidates drawn anew for it, without crossover, cut to the image and to [0, 1]; the
    child takes its parent's place if the label's probability is no higher with it.

    The search ends with the first generation in which any candidate turns the answer, the best of
    them being the result. (The source ends it when the label's probability is below 5 %, or the
    target's above 90 %: later, without another answer.) A generation is asked as a whole, for all
    images together, and counts as a whole.

    Args:
        model: As `filterscope.attacks.attack`.
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`; children then win by the target's probability.
        seed: Of the evolution. An image's depends on the seed and its number alone.
        population: How many candidates, at least 3. This and what follows: the source's.
        generations: The most generations after the first candidates.
        weight: F, of the difference between two candidates, in [0, 2].
        batch_size: The most images of one forward pass; None: 128 on the CPU, 1024 elsewhere.

    Returns:
        The attacked images; those that no candidate turned are unchanged.

    Raises:
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.

    Source: Su, Vargas, Sakurai, "One Pixel Attack for Fooling Deep Neural Networks", IEEE
    Transactions on Evolutionary Computation 2019, section 3.
    """
    check_number("population", population, 3, whole=True)
    check_number("generations", generations, 0, whole=True)
    check_number("weight", weight, 0, 2)
    attempt = begin(model, images, labels, normalize, targets, seed, batch_size)
    evolution = _Evolution(attempt)
    generators = image_generators(seed, len(images))
    shape = attempt.images.shape[1:]
    parents: dict[int, tuple[Genes, NDArray[np.float64]]] = {}
    for generation in range(generations + 1):
        numbers = evolution.active.tolist()
        if not numbers:
            break
        children = {
            number: first_genes(generators[number], population, shape)
            if generation == 0
            else child_genes(generators[number], parents[number][0], weight, shape)
            for number in numbers
        }
        resistances = evolution.ask(children)
        for number in evolution.active.tolist():
            new = (children[number], resistances[number])
            parents[number] = _survivors(*parents[number], *new) if generation else new
    return attempt.result(evolution.changed, evolution.success, evolution.queries)


def first_genes(generator: np.random.Generator, population: int, shape: torch.Size) -> Genes:
    """Draw the first candidates.

    Args:
        generator: Gives the random numbers: first all places, then all colours.
        population: P.
        shape: Of an image, (channels, H, W).

    Returns:
        (P, 2 + channels): row, column, colours.
    """
    places = generator.random((population, 2)) * shape[1:]
    colours = generator.normal(MEAN, DEVIATION, (population, shape[0]))
    return _cut(np.concatenate([places, colours], axis=1), shape)


def child_genes(
    generator: np.random.Generator, genes: Genes, weight: float, shape: torch.Size
) -> Genes:
    """Make a child for each candidate.

    Args:
        generator: Gives the random numbers: all first ancestors, all second ones, all third ones.
        genes: (P, 2 + channels).
        weight: Of the difference.
        shape: Of an image, (channels, H, W).

    Returns:
        (P, 2 + channels).
    """
    count = len(genes)
    one = generator.integers(count, size=count)
    other = generator.integers(count - 1, size=count)
    other += other >= one
    third = generator.integers(count - 2, size=count)
    third += third >= np.minimum(one, other)
    third += third >= np.maximum(one, other)
    return _cut(genes[one] + weight * (genes[other] - genes[third]), shape)


def _cut(genes: Genes, shape: torch.Size) -> Genes:
    """Cut places to the image, up to the last pixel's far edge, and colours to [0, 1]."""
    ends = [np.nextafter(side, 0) for side in shape[1:]]
    return np.clip(genes, 0, ends + [1.0] * shape[0])


def _survivors(
    genes: Genes, resistances: NDArray[np.float64], children: Genes, theirs: NDArray[np.float64]
) -> tuple[Genes, NDArray[np.float64]]:
    wins = theirs <= resistances
    return np.where(wins[:, None], children, genes), np.where(wins, theirs, resistances)


class _Evolution:
    """What became of all images so far."""

    def __init__(self, attempt: Attempt) -> None:
        self.attempt, self.active = attempt, attempt.active
        self.changed, self.success = attempt.images.clone(), torch.zeros_like(attempt.excluded)
        self.queries = torch.zeros(len(self.changed), dtype=torch.int64, device=self.changed.device)

    def ask(self, candidates: dict[int, Genes]) -> dict[int, NDArray[np.float64]]:
        """Ask for a generation of the active images, and end those that a candidate turned."""
        device, width = self.changed.device, self.changed.shape[3]
        together = np.stack(list(candidates.values()))
        images, population, _ = together.shape
        pixels = together[:, :, :2].astype(np.int64) @ (width, 1)
        places = torch.from_numpy(pixels.flatten()).to(device)
        # cast first: some accelerators know no double precision
        colours = torch.from_numpy(together[:, :, 2:]).to(self.changed.dtype).to(device)
        colours = colours.flatten(0, 1)
        owners = self.active.repeat_interleave(population)

        def make(part: slice) -> Tensor:
            return paint(self.attempt.images[owners[part]], places[part], colours[part])

        scores = self.attempt.classifier.ask(len(owners), make)
        resistances = self.attempt.resistance(scores, owners).view(images, population)
        reached = self.attempt.reached(scores, owners).view(images, population)
        found = reached.any(1)
        best = resistances.masked_fill(~reached, torch.inf).argmin(1)
        for row in found.nonzero().flatten().tolist():
            winner = row * population + int(best[row])
            self.changed[self.active[row]] = make(slice(winner, winner + 1))[0]
        self.queries[self.active] += population
        self.success[self.active] = found
        self.active = self.active[~found]
        given = resistances.cpu().numpy().astype(np.float64)
        return dict(zip(candidates, given, strict=True))
