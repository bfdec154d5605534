"""The page of interpreted images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterscope.evaluation import Interpretation, InterpretSettings, summarize
from filterscope.evaluation.interpretation import Discussion, Reading
from filterscope.evaluation.interpretation_summary import READINGS
from filterscope.evaluation.interpretation_text import (
    largest,
    number,
    percent,
    signed,
    voters,
)
from filterscope.linear import Contributions
from filterscope.report.interpretation_summary import summary_content
from filterscope.report.pixel_pictures import (
    AGAINST,
    FOR,
    LABEL_COLORS,
    is_small,
    photo_uri,
    signed_scale,
    signed_uri,
    votes_uri,
)
from filterscope.report.rendering import write_page
from filterscope.runs import Network

_LEADERS = 6
_LARGEST = 5
_BAR_WIDTH = 10


def write_interpretations(
    network: Network,
    settings: InterpretSettings,
    found: Sequence[Interpretation],
    path: str | Path,
) -> None:
    """Write interpretations as one HTML page that opens offline.

    Args:
        network: Which network was read.
        settings: How it was read.
        found: Of `interpret_images` with both.
        path: The HTML file to write.
    """
    write_page("interpretations.html.j2", page_content(network, settings, found), path)


def page_content(
    network: Network, settings: InterpretSettings, found: Sequence[Interpretation]
) -> dict[str, Any]:
    """What the page of interpretations names; other pages show them with more around them.

    Args:
        network: Which network was read.
        settings: How it was read.
        found: Of `interpret_images` or `interpret_states` with both.
    """
    summary = summarize(found)
    return {
        "title": f"What {network.name} does to {'these images' if len(found) > 1 else 'an image'}",
        "subject": (
            f"{len(network.classes)} classes, {network.source}, "
            f"{network.transform.image_size} pixels a side"
        ),
        "settings": _settings(settings),
        "method": settings.method,
        "colors": {"for": FOR, "against": AGAINST},
        "summary": summary_content(summary) if summary.num_images > 1 else None,
        "images": [_content(one, network.classes) for one in found if not _is_undrawn(one)],
        "undrawn": [_lines(one, network.classes) for one in found if _is_undrawn(one)],
    }


def _name(found: Interpretation) -> str:
    """The file with its folder, because images of several classes often have the same names."""
    return "/".join(found.image.resolve().parts[-2:])


def _is_undrawn(found: Interpretation) -> bool:
    return found.error is None and found.clean.pixels is None


def _lines(found: Interpretation, classes: Sequence[str]) -> dict[str, Any]:
    """An image of which nothing is drawn, a line for each state and place of normalisation."""
    return {
        "name": _name(found),
        "label": None if found.label is None else classes[found.label],
        "lines": [
            {
                "state": f"{reading.state}, {way}" if len(reading.parts) > 1 else reading.state,
                "name": reading.best.name,
                "probability": percent(reading.best.probability),
                "logit": number(reading.best.logit),
                "input": signed(parts.input),
                "constants": signed(parts.residual),
                "r1": percent(reading.residuals[way].r1),
            }
            for reading in found.readings
            for way, parts in reading.parts.items()
        ],
    }


def _settings(settings: InterpretSettings) -> list[tuple[str, str]]:
    """What decides the numbers, for the head of the page."""
    shown = {
        "pixel discussion": settings.method,
        "contributions by": settings.by,
        "normalisation": " and ".join(settings.ways) + " the network",
        "smooth units": settings.smooth,
        "norms keep": settings.norm_freeze,
        "gates and attention": "frozen" if settings.freeze_gates else "refused",
        "precision": settings.dtype,
    }
    if settings.epsilon is not None:
        shown["attack"] = f"FGSM, one step of {settings.fgsm} in pixel values"
    return list(shown.items())


def _content(found: Interpretation, classes: Sequence[str]) -> dict[str, Any]:
    if found.error is not None:
        return {"name": str(found.image), "error": found.error}
    colors = _label_colors(found)
    return {
        "name": _name(found),
        "error": None,
        "label": None if found.label is None else classes[found.label],
        "readings": [_reading(found, one, colors, classes) for one in found.readings],
    }


def _label_colors(found: Interpretation) -> dict[int, str]:
    """A colour for each label that is painted, the same before and after the attack."""
    labels: dict[int, str] = {}
    for reading in found.readings:
        for label in _painted(reading):
            labels.setdefault(label, LABEL_COLORS[len(labels) % len(LABEL_COLORS)])
    return labels


def _painted(reading: Reading) -> list[int]:
    """Labels with most votes, and the one with the best score in any case."""
    if reading.votes is None:
        return []
    leaders = [one.label for one in reading.votes.top(_LEADERS)]
    return leaders if reading.best.label in leaders else [*leaders[:-1], reading.best.label]


def _reading(
    found: Interpretation, reading: Reading, colors: dict[int, str], classes: Sequence[str]
) -> dict[str, Any]:
    assert reading.pixels is not None
    area = None if found.mask is None else float(found.mask.double().mean())
    return {
        "state": reading.state,
        "best": reading.best.name,
        "logit": number(reading.best.logit),
        "scores": [(s.name, percent(s.probability), number(s.logit)) for s in reading.scores],
        "change": _change(reading),
        "is_coarse": is_small(reading.pixels),
        "photo": photo_uri(reading.pixels),
        "discussions": [_discussion(one, area) for one in reading.discussions],
        "votes": _votes(reading, colors, classes, area),
        "parts": [_parts(way, reading) for way in reading.parts],
    }


def _change(reading: Reading) -> str | None:
    if reading.state == "clean":
        return None
    if reading.best.label == reading.original.label:
        return f"{reading.state}: still {reading.best.name}."
    original = reading.original
    return (
        f"{reading.state}: {original.name} falls to {percent(original.probability)}, now "
        f"{reading.best.name}."
    )


def _discussion(one: Discussion, area: float | None) -> dict[str, str]:
    inside = ""
    if one.inside is not None and area is not None:
        inside = f"{percent(one.inside)} of what speaks for it lies in the object ({percent(area)})"
    return {
        "name": one.score.name,
        "logit": number(one.score.logit),
        "picture": signed_uri(one.values),
        "scale": f"±{signed_scale(one.values):.2g}",
        "inside": inside,
    }


def _votes(
    reading: Reading, colors: dict[int, str], classes: Sequence[str], area: float | None
) -> dict[str, Any] | None:
    votes = reading.votes
    if votes is None:
        return None
    labels = _painted(reading)
    ranks = {one.label: one.rank for one in votes.top(len(votes.labels))}
    inside = ""
    if reading.votes_inside is not None and area is not None:
        inside = (
            f"{percent(reading.votes_inside.share)} of the votes for {reading.best.name} lie in "
            f"the object, which has {percent(area)} of the area."
        )
    return {
        "picture": votes_uri(votes.winners.numpy(), labels, [colors[label] for label in labels]),
        "legend": [
            {"color": colors[label], "name": classes[label], "rank": ranks[label],
             "share": percent(reading.votes_for(label)), "best": label == reading.best.label}
            for label in labels
        ],
        "others": percent(max(0.0, 1 - sum(reading.votes_for(label) for label in labels))),
        "entropy": f"{votes.entropy:.2f} of at most {votes.chance_entropy:.2f} nats",
        "count": votes.num_labels(),
        "voters": voters(reading, classes),
        "is_preview": votes.is_preview,
        "inside": inside,
    }  # fmt: skip


def _parts(way: str, reading: Reading) -> dict[str, Any]:
    parts = reading.parts[way]
    total = abs(parts.input) + abs(parts.residual)
    shares = reading.residuals[way]
    return {
        "way": way,
        "input": signed(parts.input),
        "constants": signed(parts.residual),
        "input_share": f"{100 * abs(parts.input) / total if total else 0:.2f}",
        "residuals": ", ".join(
            f"{name.upper()} {percent(getattr(shares, name))}".replace(" ", "\u00a0")
            for name in READINGS
        ),
        **_bars(parts),
    }


def _bars(parts: Contributions) -> dict[str, Any]:
    """The layers' bars as rectangles in a box of height 100."""
    values = [value for _, value in parts.layers]
    top, bottom = max(0.0, *values, 0.0), min(0.0, *values, 0.0)
    scale = 100 / (top - bottom) if top > bottom else 0.0
    return {
        "bars": [
            {
                "name": name,
                "value": signed(value),
                "x": k * _BAR_WIDTH + 1,
                "y": f"{(top - max(value, 0.0)) * scale:.2f}",
                "height": f"{abs(value) * scale:.2f}",
                "sign": "for" if value >= 0 else "against",
            }
            for k, (name, value) in enumerate(parts.layers)
        ],
        "width": len(values) * _BAR_WIDTH,
        "zero": f"{top * scale:.2f}",
        "top": f"{top:+.3g}",
        "bottom": f"{bottom:+.3g}",
        "largest": [(name, signed(value)) for name, value in largest(parts, _LARGEST)],
    }
