"""The command line: one module a verb, no logic."""

from __future__ import annotations

import sys

from filterscope.cli.verbs import GROUPS, VERBS


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

    return run_verb(words[0], words[1:], list(VERBS))


def _help() -> str:
    lines = [
        "filterscope  Train convolutional networks whose filters mean something; look inside any.",
        "",
    ]
    for group, verbs in GROUPS.items():
        for i, (verb, line) in enumerate(verbs.items()):
            lines.append(f" {group if i == 0 else '':<8} {verb:<14} {line}")
    lines += [
        "",
        "`filterscope VERB --help` tells a verb's settings; `filterscope --version` the version.",
        "Settings: defaults < --preset < --config FILE < flags.",
    ]
    return "\n".join(lines)
