"""filterscope attack: change images so that a run errs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from filterscope.cli.outputs import free_file
from filterscope.cli.parser import Parser
from filterscope.core.files import refuse_unwritable
from filterscope.evaluation.attack_settings import AttackSettings


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "attack",
        "Attack test images that a run classifies rightly; print what each attack reaches, keep it "
        "in the run's folder as attack.json and attack.npz, and write a page with the attacked "
        "pictures and the pixels' votes before and after.",
    )
    parser.add_argument("run", type=str, help="the run folder")
    parser.add_settings(AttackSettings)
    parser.add_argument("--out", type=str | None, help="the page; default: attack.html of the run")
    parser.add_switch("overwrite", False, "replace the file in --out")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    settings = AttackSettings(
        **{field.name: getattr(arguments, field.name) for field in fields(AttackSettings)}
    )
    from filterscope.runs.folder import RunFolder

    files = RunFolder(Path(arguments.run))
    files.read_config()  # a wrong path is told before anything heavy is imported
    refuse_unwritable(files.path)
    page = files.attack_page
    if arguments.out is not None:
        page = free_file(arguments.out, overwrite=arguments.overwrite)
    from filterscope.evaluation import attack_run
    from filterscope.evaluation.attack_text import describe_attacks
    from filterscope.report import write_attacks
    from filterscope.runs import load_run

    chosen = load_run(files.path)
    dataset = chosen.dataset()
    result = attack_run(
        chosen, settings, dataset=dataset, tell=lambda line: print(line, file=sys.stderr)
    )
    result.save(files.path)
    print(describe_attacks(result))
    write_attacks(chosen, dataset, result, page, pictures=settings.pictures)
    print(f"page: {page}", file=sys.stderr)
    return 0
