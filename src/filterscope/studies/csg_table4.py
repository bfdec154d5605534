"""Do gated networks resist attacks that see nothing but scores?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filterscope.evaluation import AttackResult, class_spread
from filterscope.evaluation.distances import ClassSpread
from filterscope.studies.adversarial import attacks
from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import CSG_TABLE_4
from filterscope.studies.verdict import Claim

ATTACKS = ("single-pixel", "local-search")

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "quick": {"rounds": 30},
    "smoke": {"images": 8, "max_pixels": 10, "rounds": 2},
}

_OF_CLASS = 100  # test images of a class whose distances are measured

Values = Mapping[str, tuple[float, ...]]


def analyse(evidence: Evidence, settings: StudySettings) -> Findings:
    """Success of the attacks, and the distances of classes that the paper guesses behind it."""
    options = {**_SETTINGS[settings.preset], "attacks": ATTACKS, "device": settings.device}
    found = attacks(evidence, options)
    spreads = {
        side: [
            class_spread(
                run, dataset=evidence.dataset, per_class=_OF_CLASS, seed=seed,
                device=settings.device,
            )
            for run, seed in zip(runs, evidence.seeds, strict=True)
        ]
        for side, runs in evidence.runs.items()
    }  # fmt: skip
    published = CSG_TABLE_4 if evidence.data == "cifar10" else {}
    rows = _rows(found)
    entries = [
        Entry(_told(key), side, values[side], published.get(side, {}).get(key), "share")
        for key, values in rows.items()
        for side in evidence.sides
    ]
    for name in ATTACKS:
        for side, results in found.items():
            medians = tuple(one.outcome(name).median_queries for one in results)
            entries.append(Entry(f"{name}: median queries of a success", side, medians,
                                 kind="count"))  # fmt: skip
    distances = _distances(spreads)
    entries += [Entry(key, side, v[side]) for key, v in distances.items() for side in v]
    claims = [_claim(rows, "accuracy", published, "a gated network is more accurate", 1)]
    claims += [
        _claim(rows, name, published, f"{name} succeeds less on a gated network", -1)
        for name in ATTACKS
    ]
    claims.append(_claim(distances, _RATIO, {}, "classes lie further apart against their width "
                         "in a gated network", 1))  # fmt: skip
    return Findings(tuple(entries), tuple(claims), notes=_notes(found, spreads))


_RATIO = "distance between over within classes"


def _told(key: str) -> str:
    return "accuracy before attacks" if key == "accuracy" else f"{key}: success"


def _rows(found: Mapping[str, tuple[AttackResult, ...]]) -> dict[str, Values]:
    """Accuracy and success of each attack, one a seed."""
    rows: dict[str, Values] = {
        "accuracy": {side: tuple(one.accuracy for one in each) for side, each in found.items()}
    }
    for name in ATTACKS:
        rows[name] = {
            side: tuple(one.outcome(name).success_rate for one in each)
            for side, each in found.items()
        }
    return rows


def _distances(spreads: Mapping[str, list[ClassSpread]]) -> dict[str, Values]:
    """Distances at the studied layer, raw and over the mean norm of the features."""
    studied = {side: [one.studied for one in each] for side, each in spreads.items()}
    rows: dict[str, Values] = {}
    for name in ("within", "between"):
        told = f"distance {name} classes"
        rows[told] = {side: tuple(getattr(d, name) for d in each) for side, each in studied.items()}
        rows[f"{told}, over the mean norm"] = {
            side: tuple(getattr(d, f"relative_{name}") for d in each)
            for side, each in studied.items()
        }
    rows[_RATIO] = {side: tuple(one.ratio for one in each) for side, each in spreads.items()}
    return rows


def _claim(
    rows: Mapping[str, Values],
    key: str,
    published: Mapping[str, Mapping[str, float]],
    text: str,
    sign: int,
) -> Claim:
    more, less = ("gated", "standard") if sign > 0 else ("standard", "gated")
    pairs = zip(rows[key][more], rows[key][less], strict=True)
    theirs = published[more][key] - published[less][key] if published else None
    return Claim(text, tuple(a - b for a, b in pairs), theirs)


def _notes(
    found: Mapping[str, tuple[AttackResult, ...]], spreads: Mapping[str, list[ClassSpread]]
) -> tuple[str, ...]:
    first = next(iter(found.values()))[0]
    attempted = ", ".join(
        f"{side} {'/'.join(str(one.outcome(ATTACKS[0]).attempted) for one in each)}"
        for side, each in found.items()
    )
    told = "; ".join(f"{one.name} {_settings(one.options)}" for one in first.outcomes)
    images = next(iter(spreads.values()))[0].num_images
    notes = [
        f"Attacked images, random ones that a network classifies rightly, by seed: {attempted}.",
        f"Untargeted; settings of {first.settings['preset']}: {told}.",
        f"Distances: Euclidean, of pooled rectified features of the gated layer, over all pairs of "
        f"{images} clean test images.",
    ]
    for side, each in found.items():
        notes += list(dict.fromkeys(f"{side}: {note}" for one in each for note in one.notes))
    return tuple(notes)


def _settings(options: Mapping[str, Any]) -> str:
    """What was changed of the preset."""
    own = [f"{name} {value}" for name, value in options.items() if name != "preset"]
    return f"with {', '.join(own)}" if own else "as they are"


STUDY = Study(
    name="csg-table4",
    source="Liang et al., ECCV 2020, table 4 (J.1) and appendix J",
    sides=("standard", "gated"),
    paper_data="cifar10",
    analyse=analyse,
    measured=False,
)
