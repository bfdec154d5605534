"""filterscope study: run a published table or figure again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from filterscope.cli.parser import Parser
from filterscope.core.files import refuse_unwritable
from filterscope.studies.settings import StudySettings


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "study",
        "Run a published table or figure again: train or take networks, measure them, print the "
        "paper's numbers beside ours and say which claims hold.",
    )
    parser.add_argument("name", type=str, help="see filterscope list studies")
    parser.add_argument("--out", type=str | None, help="folder of the result; default studies/NAME")
    parser.add_argument(
        "--runs", type=str, default="studies/runs", help="folder of the runs that studies share"
    )
    parser.add_argument(
        "--use", type=list[str], default=[], help="run folders to take instead of training"
    )
    parser.lists.add("--use")
    parser.add_switch("overwrite", False, "replace an earlier result in --out")
    parser.add_settings(StudySettings)
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)

    from filterscope.studies.catalogue import STUDIES

    if arguments.name not in STUDIES:
        from filterscope.core.names import unknown_name

        raise unknown_name("study", arguments.name, STUDIES, "filterscope list studies")
    out = Path(arguments.out or f"studies/{arguments.name}")
    if (out / "result.json").exists() and not arguments.overwrite:
        raise FileExistsError(
            f"{out} holds a result; replace it with --overwrite, or name another folder"
        )
    refuse_unwritable(out)  # told before hours of training
    settings = StudySettings(
        **{name: getattr(arguments, name) for name in StudySettings.__dataclass_fields__}
    )
    from filterscope.studies.catalogue import find_study
    from filterscope.studies.running import run_study

    result = run_study(
        find_study(arguments.name),
        settings,
        runs=arguments.runs,
        use=arguments.use,
        command=shlex.join(["filterscope", "study", *words]),
        progress=True,
    )
    result.save(out)
    print(result.console())
    print(f"written: {out}")
    return 0
