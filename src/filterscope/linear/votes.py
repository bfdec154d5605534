"""Which label each pixel of an image speaks for most: the pixel votes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from filterscope.core.brief import Brief
from filterscope.linear.cut import BUDGET, check_budget
from filterscope.linear.discussion import Discussion, check_classifier, checked_labels
from filterscope.linear.interpreter import LinearInterpreter
from filterscope.linear.pixels import CHUNK, Method
from filterscope.linear.rows import check_chunk


@dataclass(frozen=True)
class VoteCount:
    """The votes of one label.

    Attributes:
        label: The label.
        share: Share of the pixels that vote for it.
        rank: Rank of its score among the labels that took part, 1 for the best.
    """

    label: int
    share: float
    rank: int


@dataclass(frozen=True)
class ShareInside:
    """Where the votes of a label lie.

    Attributes:
        label: The label.
        share: Share of its votes that lie inside the object; NaN where it has none.
        area: Share of the pixels inside the object, which is what chance would give.
        num_votes: Number of its votes.
    """

    label: int
    share: float
    area: float
    num_votes: int


@dataclass(frozen=True, eq=False, repr=False)
class PixelVotes(Brief):
    """The label that each pixel votes for.

    Attributes:
        winners: Label with the largest discussion at each pixel, (H, W), int64.
        values: That discussion, (H, W), in units of the score.
        labels: The labels that took part, rising, (L,), int64.
        shares: Share of the pixels that vote for each of them, (L,), float64.
        scores: Their scores, (L,).
        is_preview: Whether not all labels of the network took part.
        method: Method of the pixel discussion.

    Source: Navarrete Michelini et al., ICCV 2019, appendix.
    """

    winners: Tensor
    values: Tensor
    labels: Tensor
    shares: Tensor
    scores: Tensor
    is_preview: bool
    method: Method

    @property
    def entropy(self) -> float:
        """Entropy of the shares, in nats: 0 where all agree; see `chance_entropy`."""
        return float(torch.special.entr(self.shares).sum())

    @property
    def chance_entropy(self) -> float:
        """Entropy of votes spread evenly over all L labels that took part: log L, in nats."""
        return math.log(len(self.labels))

    def num_labels(self, least: float = 0.01) -> int:
        """Number of labels with at least this share of the pixels.

        Args:
            least: The share, in (0, 1].
        """
        if not 0 < least <= 1:
            raise ValueError(f"`least` must be in (0, 1], got {least!r}")
        # counted in pixels, because 1 % of 100 pixels is not exactly 0.01
        counts = (self.shares * self.winners.numel()).round()
        return int((counts >= least * self.winners.numel() - 1e-6).sum())

    def top(self, k: int) -> list[VoteCount]:
        """The k labels with most votes, the most first; of equal ones the lowest label first."""
        return [
            VoteCount(int(self.labels[n]), float(self.shares[n]), self._rank(n))
            for n in self._most(k)
        ]

    def majority(self, k: int) -> Tensor:
        """Position of each pixel's label among the k with most votes, (H, W), -1 for others."""
        positions = torch.full_like(self.winners, -1)
        for position, n in enumerate(self._most(k)):
            positions[self.winners == self.labels[n]] = position
        return positions

    def share_inside(self, mask: Tensor, label: int | None = None) -> ShareInside:
        """Share of a label's votes that lie inside an object, against the object's area.

        Args:
            mask: Where the object is, (H, W), bool.
            label: The label; None for the one with the best score.

        Raises:
            TypeError: A mask that is not bool.
            ValueError: A mask of another size or without a pixel; a label that took no part.
        """
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
            came = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
            raise TypeError(f"`mask` must be a tensor of bool, got {came}")
        if mask.shape != self.winners.shape or not bool(mask.any()):
            raise ValueError(
                f"`mask` must be {tuple(self.winners.shape)} and hold a pixel, got "
                f"{tuple(mask.shape)} with {int(mask.sum())} pixels"
            )
        chosen = int(self.labels[self.scores.argmax()]) if label is None else label
        if chosen not in self.labels.tolist():
            raise ValueError(f"`label` must be one of those that took part, got {label!r}")
        votes = self.winners == chosen
        count = int(votes.sum())
        inside = int((votes & mask.to(votes.device)).sum())
        share = inside / count if count else math.nan
        return ShareInside(chosen, share, float(mask.double().mean()), count)

    def _most(self, k: int) -> list[int]:
        """Positions of the k labels with most votes."""
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"`k` must be a positive integer, got {k!r}")
        order: list[int] = self.shares.argsort(descending=True, stable=True)[:k].tolist()
        return order

    def _rank(self, position: int) -> int:
        return 1 + int((self.scores > self.scores[position]).sum())


def pixel_votes(
    interpreter: LinearInterpreter,
    labels: Sequence[int] | None = None,
    method: Method = "conserving",
    *,
    chunk: int = CHUNK,
    budget: int = BUDGET,
) -> PixelVotes:
    """Let each pixel vote for the label to which it contributes most.

    The discussions of all labels are read a chunk at a time and never held together: memory grows
    with chunk times pixels. Where a few features feed all labels, as before the last layer of a
    ResNet-18, the features' maps are read instead, kept, and mixed into each label's; they take
    features times pixels. Of labels with equal discussions the lowest wins.

    Args:
        interpreter: Of a classifier: one image (1, C, H, W), output (1, L).
        labels: Labels that take part; None for all. Fewer give a preview, which says so.
        method: Method of `pixel_discussion`.
        chunk: How many labels are read at once.
        budget: Bytes that the features' maps may take, 1 GiB by default; where they need more,
            each label is read by itself. 0 to do without them.

    Returns:
        The votes.

    Warns:
        UserWarning: As `pixel_discussion`, once for all labels.

    Raises:
        ConservationError: The pixels of a label do not add up to its score.
        TypeError: No interpreter, or labels that are no integers.
        ValueError: An unknown method, a label out of range, several images, an output that is no
            row of scores.

    Source: Navarrete Michelini et al., ICCV 2019, appendix.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
        >>> votes = pixel_votes(LinearInterpreter(model, torch.rand(1, 3, 2, 2)))
        >>> votes.winners.shape, float(votes.shares.sum()), votes.is_preview
        (torch.Size([2, 2]), 1.0, False)
    """
    check_classifier(interpreter)
    check_chunk(chunk)
    check_budget(budget)
    wanted = sorted(set(checked_labels(labels, interpreter)))
    discussion = Discussion(interpreter, wanted, method, budget)
    size = interpreter.images.shape[2:]
    values = interpreter.images.new_full(size, -math.inf)
    winners = torch.zeros(size, dtype=torch.int64, device=values.device)
    for start in range(0, len(wanted), chunk):
        some = wanted[start : start + chunk]
        _count(discussion.read(some), torch.tensor(some, device=values.device), winners, values)
    discussion.warn()
    chosen = torch.tensor(wanted, device=values.device)
    counts = torch.bincount(winners.flatten(), minlength=interpreter.output.shape[1])[chosen]
    return PixelVotes(
        winners=winners,
        values=values,
        labels=chosen,
        shares=counts.double() / winners.numel(),
        scores=interpreter.output[0, chosen],
        is_preview=len(wanted) < interpreter.output.shape[1],
        method=method,
    )


def _count(found: Tensor, labels: Tensor, winners: Tensor, values: Tensor) -> None:
    """Let the discussions of further labels (P, H, W) stand against the best so far, in place."""
    best = found.argmax(0)  # the first of equal ones
    largest = found.gather(0, best[None])[0]
    better = largest > values
    winners[better] = labels[best][better]
    values[better] = largest[better]
