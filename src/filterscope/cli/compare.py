"""filterscope compare: put runs side by side in one HTML report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filterscope.cli.outputs import free_file
from filterscope.cli.parser import Parser

if TYPE_CHECKING:
    from filterscope.report import Comparison


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "compare",
        "Put runs side by side. Runs that differ only in their seed form one side, "
        "with mean and spread.",
    )
    parser.add_argument("runs", nargs="+", type=str, help="two or more run folders")
    parser.add_argument("--out", type=str, default="report.html", help="the HTML file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the file in --out")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    out = free_file(arguments.out, overwrite=arguments.overwrite)

    from filterscope.runs.folder import RunFolder

    for path in arguments.runs:
        RunFolder(Path(path)).read_config()  # told before anything heavy is imported
    from filterscope.report import compare_runs, write_report
    from filterscope.runs import load_run

    comparison = compare_runs([load_run(path) for path in arguments.runs])
    write_report(comparison, out)
    show(comparison)
    print(f"report: {out}")
    return 0


def show(comparison: Comparison) -> None:
    """Print the comparison's table."""
    print(comparison.console_table())
