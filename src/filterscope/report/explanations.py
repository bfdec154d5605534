"""The page of explained images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterscope.evaluation import Explanation
from filterscope.report.overlay import overlay, picture_uri
from filterscope.report.rendering import write_page
from filterscope.runs import Run


def write_explanations(run: Run, explanations: Sequence[Explanation], path: str | Path) -> None:
    """Write explanations as one HTML page that opens offline.

    Args:
        run: Whose answers are explained.
        explanations: Of `explain_images`.
        path: The HTML file to write.
    """
    content = {
        "title": f"What {run.label} says, and why",
        "subject": f"{run.config['model']} with {len(run.classes)} classes, layer {run.layer}",
        "images": [_content(explanation) for explanation in explanations],
    }
    write_page("explanations.html.j2", content, path)


def _content(explanation: Explanation) -> dict[str, Any]:
    content: dict[str, Any] = {"name": str(explanation.image), "error": explanation.error}
    if explanation.error is not None:
        return content
    name, pictures = explanation.probabilities[0][0], explanation.pictures
    content |= {
        "prediction": name,
        "logit": f"{explanation.logit:.3f}",
        "probabilities": [(c, f"{100 * share:.1f} %") for c, share in explanation.probabilities],
        "without": [item.sentence(name) for item in explanation.without],
        "picture": "" if pictures is None else picture_uri(pictures.image),
        "cam": "",
        "filters": [],
    }
    if pictures is not None and pictures.cam is not None:
        content["cam"] = picture_uri(overlay(pictures.image, pictures.cam, signed=True))
    maps = [None] * len(explanation.filters) if pictures is None else pictures.filter_maps
    for part, values in zip(explanation.filters, maps, strict=True):
        shown = "" if pictures is None else picture_uri(overlay(pictures.image, values))
        content["filters"].append(
            {
                "index": part.index,
                "classes": ", ".join(part.classes),
                "contribution": f"{part.contribution:+.3f}",
                "picture": shown,
            }
        )
    return content
