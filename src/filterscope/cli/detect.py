"""filterscope detect: tell adversarial samples of a run from clean images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from filterscope.cli.outputs import free_file
from filterscope.cli.parser import Parser
from filterscope.core.files import refuse_unwritable
from filterscope.evaluation.attack_settings import DetectSettings


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "detect",
        "Learn to tell adversarial samples of a run from clean images by its features after every "
        "convolution; print the errors, keep them in the run's folder as detection.json and "
        "detection.npz, and write a page with ROC curves.",
    )
    parser.add_argument("run", type=str, help="the run folder")
    parser.add_argument(
        "--baseline", type=str | None, help="run folder of a standard network, for comparison"
    )
    parser.add_settings(DetectSettings)
    parser.add_argument(
        "--out", type=str | None, help="the page; default: detection.html of the run"
    )
    parser.add_switch("overwrite", False, "replace the file in --out")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    settings = DetectSettings(
        **{field.name: getattr(arguments, field.name) for field in fields(DetectSettings)}
    )
    from filterscope.runs.folder import RunFolder

    named = [arguments.run] + ([] if arguments.baseline is None else [arguments.baseline])
    folders = [RunFolder(Path(name)) for name in named]
    for files in folders:
        files.read_config()  # a wrong path is told before anything heavy is imported
        refuse_unwritable(files.path)
    page = folders[0].detection_page
    if arguments.out is not None:
        page = free_file(arguments.out, overwrite=arguments.overwrite)
    from filterscope.evaluation import detect_run
    from filterscope.evaluation.attack_text import describe_detection
    from filterscope.report import write_detection
    from filterscope.runs import load_run

    chosen = [load_run(files.path) for files in folders]
    labels = [one.label for one in chosen]
    if len(chosen) == 2:
        from filterscope.evaluation.attack_images import check_same_data

        check_same_data(*chosen)
        labels[1] += " (baseline)"
    dataset = chosen[0].dataset()
    found = {}
    for one, label in zip(chosen, labels, strict=True):
        print(f"{label}:", file=sys.stderr)
        found[label] = detect_run(
            one, settings, dataset=dataset, tell=lambda line: print(f"  {line}", file=sys.stderr)
        )
        found[label].save(one.path)
    print(describe_detection(found))
    write_detection(found, page)
    print(f"page: {page}", file=sys.stderr)
    return 0
