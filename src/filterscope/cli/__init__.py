"""The command line: one module a verb, no logic."""

from __future__ import annotations

import sys

# Verb, its module here, and its line in the help. Only what is typed is imported.
_GROUPS: dict[str, dict[str, str]] = {
    "Start": {
        "demo": "Train small networks with and without gates and compare them, in minutes",
        "doctor": "Versions, devices, data found",
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
_VERBS = {verb: line for group in _GROUPS.values() for verb, line in group.items()}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; None takes those of this process.

    Returns:
        Exit code: 0 done, 2 bad input (one line on standard error), 130 interrupted.
    """
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("--version", "-V"):
        from filterscope import __version__

        print(f"filterscope {__version__}")
        return 0
    from filterscope.cli.running import run_verb

    return run_verb(words[0], words[1:], list(_VERBS))


def _help() -> str:
    lines = [
        "filterscope  Train convolutional networks whose filters mean something; look inside any.",
        "",
    ]
    for group, verbs in _GROUPS.items():
        for i, (verb, line) in enumerate(verbs.items()):
            lines.append(f" {group if i == 0 else '':<8} {verb:<14} {line}")
    lines += [
        "",
        "`filterscope VERB --help` tells a verb's settings; `filterscope --version` the version.",
        "Settings: defaults < --preset < --config FILE < flags.",
    ]
    return "\n".join(lines)
