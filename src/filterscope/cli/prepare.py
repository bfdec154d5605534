"""filterscope prepare: build a data set from its official archives."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from filterscope.cli.parser import Parser
from filterscope.core.names import unknown_name

if TYPE_CHECKING:
    from filterscope.data import PreparationReport

WHAT = ("voc-animals",)
_SHOWN = 10


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    parser = Parser(
        "prepare",
        "Build a data set from its official archives. voc-animals: one square picture for each "
        "bird, cat, dog, cow, horse and sheep of PASCAL VOC 2010, with its mask from PASCAL-Part.",
    )
    parser.add_argument("what", type=str, help=", ".join(WHAT))
    parser.add_argument(
        "source", type=str, help="folder with VOCdevkit/VOC2010 and Annotations_Part, unpacked"
    )
    parser.add_argument(
        "destination", type=str, help="a new folder; $FILTERSCOPE_DATA/voc-animals is found by name"
    )
    parser.add_argument("--size", type=int, default=128, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=0, help="seed of training and test images")
    arguments = parser.parse(words)
    if arguments.what not in WHAT:
        raise unknown_name("data set to prepare", arguments.what, WHAT)
    try:
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
    """Prepare under a progress bar on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from filterscope.data import prepare_voc_animals

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
        task = progress.add_task("photographs", total=None)

        def moved(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return prepare_voc_animals(source, destination, size=size, seed=seed, on_progress=moved)


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
    for title, entries in (("skipped", report.skipped), ("corrupt", report.corrupt)):
        lines += [f"{title}: {name}: {reason}" for name, reason in entries[:_SHOWN]]
        if len(entries) > _SHOWN:
            lines.append(f"{title}: {len(entries) - _SHOWN} more, see manifest.json")
    lines.append(str(report.destination))
    return "\n".join(lines)
