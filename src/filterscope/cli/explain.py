"""filterscope explain: which filters made this run say this about an image."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from filterscope.cli.outputs import free_file
from filterscope.cli.parser import Parser


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "explain",
        "Tell a run's prediction for images, the filters that carried it, and what removing them "
        "does; --out writes a page with their maps.",
    )
    parser.add_argument("run", type=str, help="the run folder")
    parser.add_argument("images", nargs="+", type=str, help="image files, or folders of them")
    parser.add_argument("--top", type=int, default=5, help="number of filters to name")
    parser.add_switch("csv", False, "one line an image and filter, for other programs")
    parser.add_argument("--out", type=str | None, help="an HTML page to write, with pictures")
    parser.add_switch("overwrite", False, "replace the file in --out")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    out = None
    if arguments.out is not None:
        out = free_file(arguments.out, overwrite=arguments.overwrite)

    from filterscope.runs.folder import RunFolder

    RunFolder(Path(arguments.run)).read_config()  # told before anything heavy is imported
    from filterscope.evaluation import explain_images
    from filterscope.runs import load_run

    run = load_run(arguments.run)
    explanations = explain_images(
        run, [Path(image) for image in arguments.images], top_filters=arguments.top
    )
    if arguments.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(explanations[0].columns)
        for explanation in explanations:
            writer.writerows(explanation.rows())
    else:
        print("\n\n".join(str(explanation) for explanation in explanations))
    if out is not None:
        from filterscope.report import write_explanations

        write_explanations(run, explanations, out)
        print(f"page: {out}", file=sys.stderr)
    return 2 if any(explanation.error for explanation in explanations) else 0
