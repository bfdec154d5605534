"""Do features of gated networks betray adversarial samples better?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from filterscope.evaluation.attack_settings import GRADIENT_ATTACKS
from filterscope.evaluation.attack_text import detection_notes, misclassified_note
from filterscope.evaluation.detection_result import COSINES, AttackDetection, Detection
from filterscope.report.detection_figures import cosine_figure, roc_figure
from filterscope.studies.adversarial import detections
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import CSG_TABLE_3
from filterscope.studies.verdict import Claim

# The defaults of `DetectSettings` are the paper's. The attack cw takes nearly all of the time.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "quick": {
        "per_class": (8, 15, 30), "pool": 40, "test_per_class": 15, "repeats": 3,
        "cw_searches": 2, "cw_const": 1.0,
    },
    "smoke": {
        "per_class": (3, 6), "pool": 6, "test_per_class": 3, "repeats": 2, "trees": 20,
        "cw_steps": 10, "cw_searches": 1, "cw_const": 10.0,
    },
}  # fmt: skip

_ORIGINAL, _TARGET, _OWN, _ = range(len(COSINES))

Found = dict[str, tuple[Detection, ...]]


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Errors of detectors by attack and size, their transfer, and the premise behind them."""
    options = {**_SETTINGS[settings.preset], "device": settings.device}
    found = detections(evidence, options)
    entries: list[Entry] = []
    claims: list[Claim] = []
    published = CSG_TABLE_3 if evidence.data == "cifar10" else {}
    for name in GRADIENT_ATTACKS:
        for side in evidence.sides:
            entries += _entries(found, side, name, published.get(side, {}).get(name, {}))
        for size in _sizes(found):
            theirs = {side: table[name].get(size) for side, table in published.items()}
            claims.append(_claim(found, name, size, theirs))
        claims.append(_premise(found, name))
    figures = {
        "roc": partial(roc_figure, found),
        "cosines": partial(cosine_figure, found),
    }
    return Findings(tuple(entries), tuple(claims), figures, _notes(found))


def _each(found: Found, side: str, name: str) -> list[AttackDetection]:
    return [one.attack(name) for one in found[side]]


def _sizes(found: Found) -> list[int]:
    """Numbers of training images of a class; a network may lack the larger ones."""
    return sorted({size for group in found.values() for one in group for size in one.sizes})


def _errors(found: Found, side: str, name: str, size: int) -> tuple[float, ...]:
    each = [one.errors.get(size) for one in _each(found, side, name)]
    return tuple(float("nan") if one is None else one.error for one in each)


def _entries(found: Found, side: str, name: str, printed: Mapping[int, float]) -> list[Entry]:
    each, sizes = _each(found, side, name), _sizes(found)
    largest = [one.errors[max(one.errors)] for one in each]
    moved = tuple(float("nan") if one.transfer is None else one.transfer.error for one in each)
    entries = [
        Entry(f"{name}: error, {size} a class", side, _errors(found, side, name, size),
              printed.get(size), "share")
        for size in sizes
    ]  # fmt: skip
    entries += [
        Entry(f"{name}: its spread over repeats", side, tuple(e.spread for e in largest),
              kind="share"),
        Entry(f"{name}: error, learned from the others", side, moved, kind="share"),
        Entry(f"{name}: area under the ROC curve", side,
              tuple(float(e.areas.mean()) for e in largest)),
        Entry(f"{name}: success of the attack", side, tuple(one.success_rate for one in each),
              kind="share"),
    ]  # fmt: skip
    for place, told in ((0, "first"), (-1, "last")):
        entries += [
            Entry(f"{name}: cosine at the {told} convolution, {COSINES[row]}", side,
                  tuple(float(one.cosines[row, place]) for one in each))
            for row in (_ORIGINAL, _TARGET, _OWN)
        ]  # fmt: skip
    return entries


def _claim(found: Found, name: str, size: int, theirs: Mapping[str, float | None]) -> Claim:
    standard, gated = (_errors(found, side, name, size) for side in ("standard", "gated"))
    published = None
    if theirs.get("standard") is not None and theirs.get("gated") is not None:
        published = float(theirs["standard"] or 0) - float(theirs["gated"] or 0)
    return Claim(
        f"{name}, {size} a class: the detector errs less on a gated network",
        tuple(a - b for a, b in zip(standard, gated, strict=True)),
        published,
    )


def _premise(found: Found, name: str) -> Claim:
    """Whether a gated network's features are harder to bring to where clean ones lie."""
    missing = {
        side: [one.cosines[_OWN, -1] - one.cosines[_TARGET, -1] for one in _each(found, side, name)]
        for side in ("standard", "gated")
    }
    return Claim(
        f"{name}: at the last convolution adversarial features fall short of the target class's "
        "mean by more in a gated network, against clean features and their own class's",
        tuple(float(a - b) for a, b in zip(missing["gated"], missing["standard"], strict=True)),
    )


def _notes(found: Found) -> tuple[str, ...]:
    """What holds of all runs; of single runs, what is missing."""
    first = next(iter(found.values()))[0]
    notes = [
        *detection_notes(first)[:2],
        f"Targets: {'random wrong classes' if first.settings['targeted'] else 'none'}; epsilon "
        f"{first.settings['epsilon']}, pgd {first.settings['pgd_steps']} steps of "
        f"{first.settings['pgd_step_size']}, cw {first.settings['cw_searches']} descents of "
        f"{first.settings['cw_steps']} steps from the weight {first.settings['cw_const']:g}; "
        "samples count whether or not they fooled the network.",
    ]
    for side, group in found.items():
        unchanged = {
            one.name: sum(each.attack(one.name).unchanged for each in group)
            for one in group[0].attacks
        }
        told = ", ".join(f"{name} {count}" for name, count in unchanged.items() if count)
        if told:
            notes.append(f"{side}: images that an attack left as they were, left out: {told}.")
        notes += list(dict.fromkeys(f"{side}: {note}" for each in group for note in _own(each)))
    return tuple(notes)


def _own(detection: Detection) -> list[str]:
    """What holds of one run: images that are missing, and gradients that its network hides."""
    told = [*misclassified_note(detection), *detection.notes]
    return told + [f"{one.name}, {note}" for one in detection.attacks for note in one.notes]


STUDY = Study(
    name="csg-table3",
    source="Liang et al., ECCV 2020, table 3 and appendix I",
    sides=("standard", "gated"),
    paper_data="cifar10",
    analyse=analyse,
    measured=False,
)
