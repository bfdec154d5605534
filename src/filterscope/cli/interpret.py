"""filterscope interpret: the exact affine map of any network at an image."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filterscope.cli.networks import add_network_flags, chosen_network
from filterscope.cli.outputs import free_file
from filterscope.cli.parser import Parser
from filterscope.evaluation.interpret_settings import InterpretSettings

if TYPE_CHECKING:
    from filterscope.evaluation import Interpretation


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "interpret",
        "Read a network at images as the affine map y = F x + r that it is there: what the image "
        "and each layer's constants contribute to the best score, which pixels speak for it, and "
        "which label each pixel votes for; --out writes a page with pictures.",
    )
    parser.add_argument("images", nargs="+", type=str, help="image files, or folders of them")
    add_network_flags(parser)
    parser.add_settings(InterpretSettings)
    parser.add_switch("csv", False, "one line an image, state and place, for other programs")
    parser.add_argument("--out", type=str | None, help="an HTML page to write, with pictures")
    parser.add_switch("overwrite", False, "replace the file in --out")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    out = None
    if arguments.out is not None:
        out = free_file(arguments.out, overwrite=arguments.overwrite)
    settings = InterpretSettings(
        **{field.name: getattr(arguments, field.name) for field in fields(InterpretSettings)}
    )
    if (arguments.run is None) == (arguments.model is None):  # told before torch is imported
        raise ValueError("give either --run FOLDER or --model NAME (see filterscope list models)")
    missing = [image for image in arguments.images if not Path(image).exists()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} does not exist; expected an image or a folder")
    network = chosen_network(arguments)
    from filterscope.evaluation import interpret_images, summarize
    from filterscope.evaluation.interpretation_text import describe_summary

    print(f"{network.name}, {len(network.classes)} classes, {network.source}", file=sys.stderr)
    found: list[Interpretation] = []
    stopped = False
    try:
        _tell(interpret_images(network, arguments.images, settings), found, network.classes,
              as_csv=arguments.csv)  # fmt: skip
    except KeyboardInterrupt:
        stopped = True  # what is done is kept
    summary = summarize(found)
    if summary.num_images > 1 and not arguments.csv:
        print(describe_summary(summary))
    if out is not None and found:
        from filterscope.report import write_interpretations

        write_interpretations(network, settings, found, out)
        print(f"page: {out}", file=sys.stderr)
    if stopped:
        raise KeyboardInterrupt
    return 2 if summary.num_errors else 0


def _tell(
    results: Iterable[Interpretation],
    found: list[Interpretation],
    classes: Sequence[str],
    *,
    as_csv: bool,
) -> None:
    """Print each result as soon as it is there, and keep it."""
    from filterscope.evaluation.interpretation_text import COLUMNS, describe, rows

    writer: Any = csv.writer(sys.stdout)
    if as_csv:
        writer.writerow(COLUMNS)
    for one in results:
        found.append(one)
        if as_csv:
            writer.writerows(rows(one, classes))
        else:
            print(describe(one, classes), end="\n\n")
        sys.stdout.flush()
