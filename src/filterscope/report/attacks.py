"""The page of a run under attack: what was reached, the pictures, and the pixels' votes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from filterscope.data import ImageDataset
from filterscope.evaluation import (
    AttackResult,
    Interpretation,
    InterpretSettings,
    interpret_states,
)
from filterscope.evaluation.attack_text import attack_notes, attack_table
from filterscope.linear import UnsupportedOperation
from filterscope.report.interpretations import page_content
from filterscope.report.rendering import write_page
from filterscope.runs import Network, Run, load_network


def write_attacks(
    run: Run, dataset: ImageDataset, result: AttackResult, path: str | Path, *, pictures: int = 3
) -> None:
    """Write what attacks reached as one HTML page that opens offline.

    Args:
        run: Of `load_run`; it was attacked.
        dataset: Its data.
        result: Of `attack_run`.
        path: The HTML file to write.
        pictures: Images that are shown, clean and after each attack, with the pixels' votes by
            the linear interpreter. Those that the most attacks turned come first. A network that
            the interpreter does not take gives a page without pictures, and the reason.
    """
    network = load_network(run.path)
    settings = InterpretSettings(top=2, pictures=pictures)
    found: list[Interpretation] = []
    told = ""
    try:
        for place in shown_images(result, pictures):
            found.append(_interpreted(network, dataset, result, place, settings))
    except UnsupportedOperation as error:
        found, told = [], f"No pictures: the linear interpreter refuses this network ({error})"
    content = page_content(network, settings, found)
    names = ", ".join(one.name for one in result.outcomes)
    content |= {
        "title": f"{run.label} under attack",
        "settings": [("attacks", names), *content["settings"]],
        "attacks": attack_table(result),
        "notes": [note.rstrip(".") for note in attack_notes(result)],
        "pictures_note": told,
    }
    write_page("attacks.html.j2", content, path)


def shown_images(result: AttackResult, count: int) -> list[int]:
    """Choose attacked images: those that the most attacks turned first, else in their order.

    Args:
        result: Of `attack_run`.
        count: How many at most.

    Returns:
        Rows of the result's arrays.
    """
    turned = sum(result.arrays[f"success_{one.name}"].astype(int) for one in result.outcomes)
    order: Sequence[int] = np.argsort(-np.asarray(turned), kind="stable")[:count].tolist()
    return list(order)


def _interpreted(
    network: Network,
    dataset: ImageDataset,
    result: AttackResult,
    row: int,
    settings: InterpretSettings,
) -> Interpretation:
    arrays, place = result.arrays, int(result.arrays["places"][row])
    raw = dataset.test.raw(place)
    if raw.shape[-1] != network.transform.image_size:
        raw = network.transform.pixels(raw)
    states = {"clean": raw.float() / 255}
    for one in result.outcomes:
        states[one.name] = torch.from_numpy(arrays[f"images_{one.name}"][row])
    name = Path(dataset.name.rpartition("/")[2]) / f"test image {place}"
    label = int(arrays["labels"][row])
    return interpret_states(network, name, states, label, settings)
