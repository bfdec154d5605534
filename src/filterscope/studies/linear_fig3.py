"""What does an attack do to the pixels' votes?"""

from __future__ import annotations

from functools import partial
from statistics import fmean

from filterscope.report.votes_figure import votes_figure
from filterscope.studies.affine import EPSILON, attacked, networks, sample
from filterscope.studies.linear_fig2 import IMAGES, SHOWN, Reading, columns, read, vote_numbers
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.verdict import Claim

_KEPT = "images whose top label the attack changed"


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Compare the votes before and after FGSM."""
    entries: list[Entry] = []
    claims: list[Claim] = []
    figures = {}
    for name, runs in networks(evidence):
        rows: dict[str, list[dict[str, float]]] = {"clean": [], "FGSM": []}
        changes = []
        for seed, run in zip(evidence.seeds, runs, strict=True):
            chosen = sample(evidence, run, seed, IMAGES)
            moved = attacked(run, chosen)
            before = [read(run, pixels) for pixels in chosen.pixels]
            after = [read(run, pixels) for pixels in moved.pixels]
            changes.append(_change(before, after))
            rows["clean"].append(vote_numbers(before))
            rows["FGSM"].append(vote_numbers(after))
            if seed == evidence.seeds[0]:
                classes = evidence.dataset.classes
                shown = [
                    *columns(chosen, before[:SHOWN], classes),
                    *columns(moved, after[:SHOWN], classes, "FGSM: "),
                ]
                figures[f"votes-{name}"] = partial(votes_figure, shown, classes)
        for told, numbers in rows.items():
            for quantity in numbers[0]:
                values = tuple(row[quantity] for row in numbers)
                kind = "share" if quantity.startswith("votes") else "number"
                entries.append(Entry(quantity, f"{name}, {told}", values, kind=kind))
        for quantity in changes[0]:
            values = tuple(change[quantity] for change in changes)
            entries.append(Entry(quantity, f"{name}, FGSM", values, kind="share"))
        claims += _claims(name, rows, changes)
    note = f"FGSM of {EPSILON * 255:.0f}/255 against the true label; {IMAGES} test images at most"
    return Findings(tuple(entries), tuple(claims), figures, (note,))


_OLD = "votes for the old top label where it changed"
_NEW = "votes for the new top label where it changed"


def _change(before: list[Reading], after: list[Reading]) -> dict[str, float]:
    """How often the top label changed, and the votes for the old and the new one then."""
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a.label != b.label]
    if not changed:
        return {_KEPT: 0.0, _OLD: float("nan"), _NEW: float("nan")}
    return {
        _KEPT: len(changed) / len(before),
        _OLD: fmean(float(b.votes.shares[a.label]) for a, b in changed),
        _NEW: fmean(float(b.votes.shares[b.label]) for _, b in changed),
    }


def _claims(
    name: str, rows: dict[str, list[dict[str, float]]], changes: list[dict[str, float]]
) -> list[Claim]:
    pairs = list(zip(rows["clean"], rows["FGSM"], strict=True))
    entropy, _, top = pairs[0][0]
    return [
        Claim(
            f"{name}: an attack spreads the votes over the labels (entropy)",
            tuple(b[entropy] - a[entropy] for a, b in pairs),
        ),
        Claim(
            f"{name}: fewer pixels vote for the new top label than did for the old one",
            tuple(a[top] - change[_NEW] for (a, _), change in zip(pairs, changes, strict=True)),
        ),
    ]


STUDY = Study(
    name="linear-fig3",
    source="Navarrete Michelini et al., ICCV 2019, figure 3 of the appendix",
    sides=("standard",),
    paper_data="imagenet",
    analyse=analyse,
    measured=False,
    published=("resnet18", "vgg16", "densenet121"),
)
