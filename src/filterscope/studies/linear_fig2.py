"""Which pixels speak for the top label, and which label wins each pixel?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import torch
from torch import Tensor

from filterscope.linear import PixelVotes, pixel_discussion, pixel_votes
from filterscope.report.votes_figure import Column, votes_figure
from filterscope.runs import Run
from filterscope.studies.affine import Sample, interpret, networks, sample
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

IMAGES = 20
SHOWN = 4


@dataclass(frozen=True)
class Reading:
    """What the pixels of an image say.

    Attributes:
        label: Top label.
        discussion: Of the top label, (S, S).
        votes: Over all labels.
    """

    label: int
    discussion: Tensor
    votes: PixelVotes


def read(run: Run, pixels: Tensor) -> Reading:
    """Discussion and votes of one image (3, S, S) in [0, 1]."""
    interpreter = interpret(run, pixels[None])
    label = int(interpreter.output.argmax())
    return Reading(label, pixel_discussion(interpreter, label), pixel_votes(interpreter))


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Measure and draw discussion and votes of test images."""
    entries: list[Entry] = []
    claims: list[Claim] = []
    figures = {}
    for name, runs in networks(evidence):
        rows = []
        for seed, run in zip(evidence.seeds, runs, strict=True):
            chosen = sample(evidence, run, seed, IMAGES)
            readings = [read(run, pixels) for pixels in chosen.pixels]
            rows.append({**vote_numbers(readings), **_focus(evidence, chosen, readings)})
            if seed == evidence.seeds[0]:
                shown = columns(chosen, readings[:SHOWN], evidence.dataset.classes)
                figures[f"votes-{name}"] = partial(votes_figure, shown, evidence.dataset.classes)
        for quantity, kind in _KINDS.items():
            if quantity in rows[0]:
                values = tuple(row[quantity] for row in rows)
                entries.append(Entry(quantity, name, values, kind=kind))
        for own, area in ((_VOTES, _AREA), (_POSITIVE, _AREA)):
            if own in rows[0]:
                claims.append(
                    Claim(
                        f"{name}: {_CLAIMED[own]} lie in the object more than by its area",
                        tuple(row[own] - row[area] for row in rows),
                    )
                )
    notes = (
        f"conserving discussion; mean over {IMAGES} test images at most; equal votes "
        "for all labels, as by chance, have an entropy of 1",
    )
    return Findings(tuple(entries), tuple(claims), figures, notes)


_ENTROPY = "entropy of the votes over that of equal ones"
_MANY = "labels with 1 % of the pixels"
_TOP = "votes for the top label"
_VOTES = "votes for the top label that lie inside the object"
_POSITIVE = "positive discussion that lies inside the object"
_AREA = "area of the object (chance)"
_KINDS = {
    _ENTROPY: "number", _MANY: "number", _TOP: "share",
    _VOTES: "share", _POSITIVE: "share", _AREA: "share",
}  # fmt: skip
_CLAIMED = {_VOTES: "the top label's votes", _POSITIVE: "the pixels for it"}


def columns(
    chosen: Sample, readings: Sequence[Reading], classes: Sequence[str], state: str = ""
) -> list[Column]:
    """What a figure shows of the first images."""
    pictures = [pixels.permute(1, 2, 0).numpy() for pixels in chosen.pixels]
    return [
        Column(f"{state}{classes[r.label]}", picture, r.discussion.numpy(), r.votes)
        for r, picture in zip(readings, pictures, strict=False)
    ]


def vote_numbers(readings: list[Reading]) -> dict[str, float]:
    """Entropy, number of labels and share of the top label, means over images."""
    votes = [reading.votes for reading in readings]
    tops = [float(reading.votes.shares[reading.label]) for reading in readings]
    return {
        _ENTROPY: fmean(vote.entropy / math.log(len(vote.labels)) for vote in votes),
        _MANY: fmean(vote.num_labels() for vote in votes),
        _TOP: fmean(tops),
    }


def _focus(evidence: Evidence, chosen: Sample, readings: list[Reading]) -> dict[str, float]:
    """What lies inside the objects, where the data has masks."""
    split = evidence.dataset.test
    if not split.has_masks:
        return {}
    rows = []
    for place, reading in zip(chosen.places.tolist(), readings, strict=True):
        mask = split.mask(place)
        if mask.shape != reading.discussion.shape:
            return {}
        positive = reading.discussion.clamp(min=0)
        inside = reading.votes.share_inside(mask, reading.label)
        rows.append([inside.share, float(positive[mask].sum() / positive.sum()), inside.area])
    table = torch.tensor(rows, dtype=torch.float64)
    return dict(zip((_VOTES, _POSITIVE, _AREA), table.nanmean(0).tolist(), strict=True))


STUDY = Study(
    name="linear-fig2",
    source="Navarrete Michelini et al., ICCV 2019, figure 2 of the appendix",
    sides=("standard",),
    paper_data="imagenet",
    analyse=analyse,
    measured=False,
    published=("resnet18", "vgg16", "densenet121"),
)
