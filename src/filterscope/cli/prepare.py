"""filterscope prepare: build a data set from its official archives."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from filterscope.cli.parser import Parser
from filterscope.core.names import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from filterscope.data import PartPreparationReport, PreparationReport

WHAT = ("voc-animals", "voc-parts", "cub-parts", "ilsvrc-parts")
_SIZE = 128
_SHOWN = 10


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "prepare",
        "Build a data set from its official archives. voc-animals: one square picture for each "
        "bird, cat, dog, cow, horse and sheep of PASCAL VOC 2010, with its mask from PASCAL-Part. "
        "voc-parts, cub-parts and ilsvrc-parts: the objects of PASCAL-Part, CUB-200-2011 and "
        "ILSVRC 2013 in their boxes, with landmarks of their parts, for part-folder:DESTINATION.",
    )
    parser.add_argument("what", type=str, help=", ".join(WHAT))
    parser.add_argument(
        "source", type=str, help="folder with the unpacked archives, as VOCdevkit/VOC2010"
    )
    parser.add_argument(
        "destination", type=str, help="a new folder; one in $FILTERSCOPE_DATA is found by name"
    )
    parser.add_argument(
        "--size", type=int, default=_SIZE, help="side of the pictures in pixels (voc-animals)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of training and test images (voc-animals)"
    )
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    if arguments.what not in WHAT:
        raise unknown_name("data set to prepare", arguments.what, WHAT)
    parts = arguments.what != "voc-animals"
    if parts and (arguments.size, arguments.seed) != (_SIZE, 0):
        raise ValueError(f"`--size` and `--seed` are for voc-animals, not for {arguments.what}")
    try:
        if parts:
            print(
                _parts_summary(
                    _prepare_parts(arguments.what, arguments.source, arguments.destination)
                )
            )
            return 0
        report = _prepare(
            arguments.source, arguments.destination, size=arguments.size, seed=arguments.seed
        )
    except KeyboardInterrupt:
        again = shlex.join(["filterscope", "prepare", *words])
        print(f"\nstopped; go on with: {again}")
        return 130
    print(_summary(report))
    return 0


def _prepare(source: str, destination: str, *, size: int, seed: int) -> PreparationReport:
    from filterscope.data import prepare_voc_animals

    with _progress("photographs") as moved:
        return prepare_voc_animals(source, destination, size=size, seed=seed, on_progress=moved)


def _prepare_parts(what: str, source: str, destination: str) -> PartPreparationReport:
    from filterscope.data import prepare_parts

    with _progress("objects") as moved:
        return prepare_parts(what, source, destination, on_progress=moved)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task(what, total=None)

        def moved(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield moved


def _summary(report: PreparationReport) -> str:
    """The counts as a table, and what was left out."""
    splits = list(report.counts)
    lines = [f"{'class':<8}" + "".join(f"{split:>8}" for split in splits)]
    for name in report.counts[splits[0]]:
        cells = "".join(f"{report.counts[split][name]:>8}" for split in splits)
        lines.append(f"{name:<8}{cells}")
    totals = "".join(f"{sum(report.counts[split].values()):>8}" for split in splits)
    lines.append(f"{'objects':<8}{totals}")
    lines.append(f"{'photos':<8}" + "".join(f"{report.images[split]:>8}" for split in splits))
    lines.append(f"{report.parts} masks of parts; {report.made} objects made, {report.kept} kept")
    return "\n".join([*lines, *_left_out(report), str(report.destination)])


def _parts_summary(report: PartPreparationReport) -> str:
    """The objects of each category, and what was left out."""
    lines = [f"{name:<16}{count:>8}" for name, count in sorted(report.counts.items())]
    lines.append(f"{'neg':<16}{report.negatives:>8}")
    lines.append(f"{report.landmarks} landmarks")
    return "\n".join([*lines, *_left_out(report), str(report.destination)])


def _left_out(report: PreparationReport | PartPreparationReport) -> list[str]:
    lines: list[str] = []
    for title, entries in (("skipped", report.skipped), ("corrupt", report.corrupt)):
        lines += [f"{title}: {name}: {reason}" for name, reason in entries[:_SHOWN]]
        if len(entries) > _SHOWN:
            lines.append(f"{title}: {len(entries) - _SHOWN} more, see manifest.json")
    return lines
