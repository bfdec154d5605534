"""filterscope completion: what a shell needs to complete verbs, settings and names."""

from __future__ import annotations

import importlib
from argparse import SUPPRESS, Action
from collections.abc import Sequence

from filterscope.cli.completion_scripts import SCRIPTS, Option, Verb
from filterscope.cli.parser import Parser
from filterscope.cli.verbs import VERBS, verb_module
from filterscope.core.names import unknown_name

Known = dict[tuple[str, str], tuple[str, ...]]
"""Names by verb and setting."""


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "completion",
        "Print the script that completes filterscope's verbs, settings and names in a shell. Keep "
        "it where the shell looks for such scripts, see docs/install.md, and make it again after "
        "an update.",
    )
    parser.add_argument("shell", type=str, help=", ".join(SCRIPTS))
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    shell = make_parser().parse(words).shell
    if shell not in SCRIPTS:
        raise unknown_name("shell", shell, SCRIPTS)
    known = _known_names()
    print(SCRIPTS[shell]([_describe(verb, known) for verb in VERBS]), end="")
    return 0


def _describe(verb: str, known: Known) -> Verb:
    """Read a verb's settings from its parser."""
    parser: Parser = importlib.import_module(verb_module(verb)).make_parser()
    options = []
    after = {word: names for (of, word), names in known.items() if of == verb}
    for action in parser._actions:
        if action.help == SUPPRESS:
            continue
        if action.option_strings:
            options.append(_option(parser, action, after.pop(action.dest, ())))
        elif action.dest in after:  # names that the verb's own word is followed by
            after[verb] = after.pop(action.dest)
    return Verb(verb, VERBS[verb], tuple(options), after)


def _option(parser: Parser, action: Action, names: tuple[str, ...]) -> Option:
    flag = next(flag for flag in action.option_strings if flag.startswith("--"))
    is_switch = flag in parser.switches or action.nargs == 0 or flag == "--print_config"
    text = " ".join((action.help or "").split()).replace("%%", "%")
    return Option(flag, text, names or parser.choices.get(flag, ()), is_switch)


def _known_names() -> Known:
    """Names that no type tells: of models, data sets, presets, studies."""
    from filterscope.cli import listing, prepare
    from filterscope.data import list_datasets
    from filterscope.models import list_image_networks, list_models
    from filterscope.studies.catalogue import STUDIES
    from filterscope.training.presets import PRESETS

    models, pictures = tuple(list_models()), tuple(list_image_networks())
    devices = ("auto", "cpu", "cuda", "mps")
    return {
        ("train", "preset"): tuple(PRESETS),
        ("train", "model"): models,
        # of folder:PATH the shell completes the path itself
        ("train", "data"): tuple(name.removesuffix("PATH") for name in list_datasets()),
        ("evaluate", "device"): devices,
        ("interpret", "model"): models,
        ("explore", "model"): (*pictures, *models),
        ("export-filters", "model"): pictures,
        ("export-filters", "what"): ("both", "rows", "columns"),
        ("study", "name"): tuple(STUDIES),
        ("prepare", "what"): prepare.WHAT,
        ("list", "what"): listing.WHAT,
        ("list", "layers"): models,
        ("completion", "shell"): tuple(SCRIPTS),
    }
