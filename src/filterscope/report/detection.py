"""The page of detected adversarial samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from filterscope.evaluation import Detection
from filterscope.evaluation.attack_text import cosine_table, detection_notes, detection_table
from filterscope.report.detection_figures import cosine_figure, roc_figure
from filterscope.report.rendering import write_page
from filterscope.report.theme import draw


def write_detection(found: Mapping[str, Detection], path: str | Path) -> None:
    """Write detections as one HTML page that opens offline.

    Args:
        found: Of `detect_run`, by the network's name: one network, or it and its baseline.
        path: The HTML file to write.
    """
    series = {name: (one,) for name, one in found.items()}
    first = next(iter(found.values()))
    content = {
        "title": f"Adversarial samples of {next(iter(found))}",
        "subject": f"{first.settings['model']}, data {first.settings['data']}",
        "errors": detection_table(found),
        "roc": draw(partial(roc_figure, series), "ROC curves of the detectors"),
        "sides": [
            {
                "name": name,
                "cosines": cosine_table(one),
                "figure": draw(
                    partial(cosine_figure, {name: series[name]}),
                    "Cosines of features and class means at every convolution",
                ),
                "notes": [note.rstrip(".") for note in detection_notes(one)],
            }
            for name, one in found.items()
        ],
    }
    write_page("detection.html.j2", content, path)
