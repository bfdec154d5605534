"""Do the maps of class-specific filters find the object better?"""

from __future__ import annotations

import numpy as np

from filterscope.studies.settings import StudySettings
from filterscope.studies.study import Entry, Evidence, Findings, Study
from filterscope.studies.targets import CSG_TABLE_2
from filterscope.studies.verdict import Claim

_ROWS = {
    "GradMap Avg-IoU": "gradmap_iou",
    "GradMap AP20": "gradmap_ap20",
    "GradMap (text) Avg-IoU": "gradmap_paper_iou",
    "GradMap (text) AP20": "gradmap_paper_ap20",
    "ActivMap Avg-IoU": "activmap_iou",
    "ActivMap AP30": "activmap_ap30",
    "CAM Avg-IoU": "cam_iou",
    "CAM AP30": "cam_ap30",
}
_CHANCE = {"Avg-IoU": "iou", "AP20": "ap20", "AP30": "ap30"}
_MOST_CLASSES = 20


def analyse(evidence: Evidence, _: StudySettings) -> Findings:
    """Localisation in total and by class, beside masks that know nothing of the image."""
    published = CSG_TABLE_2 if evidence.data == "voc-animals" else {}
    entries: list[Entry] = []
    claims = []
    classes = evidence.dataset.classes
    for quantity, key in _ROWS.items():
        rows = published.get("gated", {}).get(quantity, ())
        for side in evidence.sides:
            printed = published.get(side, {}).get(quantity)
            total = None if printed is None else printed[-1]
            entries.append(evidence.entry(key, f"{quantity}, total", side, total))
            entries += _class_entries(evidence, side, key, quantity, printed)
        chance = _CHANCE[quantity.split()[-1]]
        for kind, name in (("full", "all-ones mask"), ("box", "centred box")):
            entries.append(
                Entry(
                    f"{quantity}, total",
                    name,
                    evidence.metric("standard", f"chance_{kind}_{chance}"),
                )
            )
        difference = evidence.difference(key, "gated", "standard")
        if np.isfinite(difference).all():
            theirs = published["standard"][quantity][-1] if rows else 0.0
            claims.append(
                Claim(
                    f"{quantity} of gated networks is higher",
                    difference,
                    rows[-1] - theirs if rows else None,
                )
            )
    return Findings(tuple(entries), tuple(claims), notes=_notes(evidence, len(classes)))


def _class_entries(
    evidence: Evidence, side: str, key: str, quantity: str, printed: tuple[float, ...] | None
) -> list[Entry]:
    classes = evidence.dataset.classes
    rows = [arrays.get(key) for arrays in evidence.arrays(side)]
    if len(classes) > _MOST_CLASSES or any(row is None for row in rows):
        return []
    return [
        Entry(
            f"{quantity}, {name}",
            side,
            tuple(float(row[c]) for row in rows if row is not None),
            None if printed is None else printed[c],
        )
        for c, name in enumerate(classes)
    ]


def _notes(evidence: Evidence, num_classes: int) -> tuple[str, ...]:
    area = evidence.metric("standard", "object_area")[0]
    images, filters, every = (
        evidence.metric("standard", f"gradmap_{name}")[0]
        for name in ("images_of_class", "filters", "paper_filters")
    )
    dead = ", ".join(
        f"{side}: {sum(evidence.metric(side, 'activmap_degenerate')):.0f}"
        for side in evidence.sides
    )
    notes = [
        f"The object covers {100 * area:.1f} % of an image on average.",
        f"Filters with a degenerate threshold, over all seeds: {dead}.",
        f"GradMap as in the authors' code, which the table rests on (the {filters:.0f} strongest "
        f"filters of a class), and as in the paper's text (each of {every:.0f} filters on its "
        f"focus class), on the first {images:.0f} test images of each class.",
    ]
    if num_classes > _MOST_CLASSES:
        notes.append(f"Rows by class are left out above {_MOST_CLASSES} classes.")
    return tuple(notes)


STUDY = Study(
    name="csg-table2",
    source="Liang et al., ECCV 2020, table 2",
    sides=("standard", "gated"),
    paper_data="voc-animals",
    analyse=analyse,
    needs_masks=True,
)
