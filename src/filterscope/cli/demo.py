"""filterscope demo: standard and gated networks on digits, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from filterscope.cli.compare import show
from filterscope.cli.parser import Parser


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "demo",
        "Train a ResNet-20 with and without class-specific gates on scikit-learn's digits, "
        "measure both and compare them in one report.",
    )
    parser.add_argument("--out", type=str, default="demo", help="folder for runs and report")
    parser.add_argument("--seeds", type=int, default=1, help="networks a side")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)

    from filterscope.studies import run_demo

    comparison, report = run_demo(
        arguments.out, seeds=arguments.seeds, overwrite=arguments.overwrite
    )
    show(comparison)
    print(f"\nopen {report}")
    return 0
