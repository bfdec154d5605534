"""The verbs: a table that is read before anything is imported."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "Start": {
        "demo": "Train small networks with and without gates and compare them, in minutes",
        "doctor": "Versions, devices, data found, and what does not fit",
        "completion": "Completion of verbs and settings for bash, zsh or fish",
    },
    "Train": {
        "train": "Train a network: standard, gated, with part templates",
        "evaluate": "Measure a run",
        "compare": "Put runs side by side in one HTML report",
    },
    "Look": {
        "explain": "Which filters made this run say this about an image",
        "interpret": "The exact affine map of any network at an image",
        "explore": "Rows, columns and filters live in the browser",
        "export-filters": "All rows and columns as a page that needs no server",
    },
    "Attack": {
        "attack": "Change images so that a run errs",
        "detect": "Tell adversarial samples of a run from clean images",
    },
    "Papers": {
        "study": "Re-run a published table or figure",
    },
    "Data": {
        "prepare": "Build a data set from its official archives",
        "list": "models, image-networks, layers MODEL, datasets, presets, studies",
    },
}
"""Groups of the help, their verbs, and each verb's line."""

SHARED = frozenset({"train", "evaluate", "doctor", "completion", "list"})
"""Verbs that torchrun and SLURM may start several times: two share their work, three only tell."""

VERBS = {verb: line for group in GROUPS.values() for verb, line in group.items()}


def verb_module(verb: str) -> str:
    """Name the module of a verb; only the module of the verb that was typed is imported."""
    name = "listing" if verb == "list" else verb.replace("-", "_")  # list is Python's
    return f"filterscope.cli.{name}"
