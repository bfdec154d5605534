"""What is seen of a classifier: scores, rows, contributions, discussion, votes and filters."""

from __future__ import annotations

import math
from typing import Any

import torch

from filterscope.core.answers import class_probabilities
from filterscope.evaluation.explain import filter_owners
from filterscope.evaluation.interpret_settings import InterpretSettings
from filterscope.explorer.boxes import pack_boxes
from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.interpreters import Reading
from filterscope.explorer.views import check_position
from filterscope.linear import pixel_discussion, pixel_votes, residual_shares

TOP_LABELS = 10
TOP_FILTERS = 12


def open_labels(reading: Reading) -> bytes:
    """The picture as the network sees it, and the labels with the best scores."""
    logits = reading.interpreter.output[0]
    shares = class_probabilities(logits[None].double(), reading.subject.task_loss)[0]
    order = torch.argsort(logits, descending=True, stable=True)[:TOP_LABELS].tolist()
    scores = [
        {**_named(reading, k), "score": float(logits[k]), "probability": float(shares[k])}
        for k in order
    ]
    header = {"kind": reading.subject.kind, "scores": scores, "outputs": len(logits)}
    return pack_boxes(header, {"input": reading.pixels})


def probe_label(reading: Reading, position: tuple[int, int]) -> bytes:
    """What an input pixel paints: its part in the score of every label.

    Args:
        reading: Of a classifier.
        position: Row and column of the pixel, whose channels are probed together.

    Raises:
        ExplorerError: A position outside the picture.
    """
    interpreter = reading.interpreter
    height, width = reading.pixels.shape[1:]
    check_position(position, (height, width))
    probe = torch.zeros_like(interpreter.images[0])
    probe[:, position[0], position[1]] = 1
    column = interpreter.apply(probe)
    order = column.abs().argsort(descending=True, stable=True)[:TOP_LABELS].tolist()
    effects = [{**_named(reading, k), "effect": float(column[k])} for k in order]
    header = {"input": position, "effects": effects}
    return pack_boxes(header, {"column": column[:, None, None]})


def open_label(reading: Reading, label: int) -> bytes:
    """A label's row, its pixel discussion, and what layers and filters contribute to its score.

    Args:
        reading: Of a classifier.
        label: Position of its score.

    Raises:
        ExplorerError: There is no such label.
    """
    interpreter = reading.interpreter
    count = interpreter.output.shape[1]
    if not 0 <= label < count:
        raise ExplorerError(422, "label", f"`label` must be from 0 to {count - 1}, got {label}")
    found = interpreter.contributions([label], by="stage")[0]
    share = residual_shares(found).r1
    header: dict[str, Any] = {
        "label": _named(reading, label),
        "score": float(interpreter.output[0, label]),
        "image_part": found.input,
        "residual": found.residual,
        "residual_share": None if math.isnan(share) else share,
        "layers": [{"name": name, "value": value} for name, value in found.layers],
        "filters": _filters(reading, label),
    }
    pictures = {
        "row": interpreter.row(label),
        "discussion": pixel_discussion(interpreter, label)[None],
    }
    return pack_boxes(header, pictures)


def open_votes(reading: Reading) -> bytes:
    """The label that each pixel votes for; of a hundred labels and more the best scores' alone."""
    interpreter = reading.interpreter
    count = InterpretSettings().voters(interpreter.output.shape[1])
    best = interpreter.output[0].argsort(descending=True, stable=True)[:count]
    votes = pixel_votes(interpreter, sorted(best.tolist()))
    counts = [
        {**_named(reading, one.label), "share": one.share, "rank": one.rank}
        for one in votes.top(TOP_LABELS)
        if one.share
    ]
    header = {"counts": counts, "voters": len(votes.labels), "is_preview": votes.is_preview}
    return pack_boxes(header, {"winners": votes.winners[None].float()})


def _filters(reading: Reading, label: int) -> dict[str, Any] | None:
    """The filters of a run's studied layer that contribute most, with their classes."""
    run = reading.subject.run
    if run is None:
        return None
    owners = filter_owners(run)
    names = [name for name, _ in reading.subject.model.named_modules()]
    # part templates and the score for "not it" put the classifier into another module
    layer = min((name for name in names if f".{name}".endswith(f".{run.layer}")), key=len)
    found = reading.interpreter.filter_contributions([label], layer)[0]
    order = found.values.argsort(descending=True, stable=True)[:TOP_FILTERS].tolist()
    parts = [
        {"filter": k, "value": float(found.values[k]), "classes": list(owners[k]) if owners else []}
        for k in order
    ]
    return {"layer": run.layer, "gated": run.gate is not None, "top": parts,
            "rest": float(found.rest), "count": len(found.values)}  # fmt: skip


def _named(reading: Reading, label: int) -> dict[str, Any]:
    return {"label": label, "name": reading.subject.classes[label]}
