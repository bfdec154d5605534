"""filterscope evaluate: measure a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from filterscope.cli.parser import Parser
from filterscope.core.files import refuse_unwritable

Device = Literal["auto", "cpu", "cuda", "mps"]


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser("evaluate", "Measure a run: accuracy, filters, gate; write its report.")
    parser.add_argument("run", type=str, help="the run folder")
    parser.add_argument("--device", type=Device, default="auto", help="auto, cpu, cuda or mps")
    parser.add_argument("--devices", type=int, default=1, help="processes that share the images")
    parser.add_argument("--batch_size", type=int, default=256, help="images at once")
    parser.add_argument(
        "--balanced",
        type=bool | None,
        help="MI with as many negatives as positives; default: from 100 classes on",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the estimator's noise")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    measure(
        Path(arguments.run),
        device=arguments.device,
        devices=arguments.devices,
        batch_size=arguments.batch_size,
        balanced=arguments.balanced,
        seed=arguments.seed,
    )
    return 0


def measure(
    path: Path,
    *,
    device: str = "auto",
    devices: int = 1,
    batch_size: int = 256,
    balanced: bool | None = None,
    seed: int = 0,
) -> None:
    """Measure the run in a folder, write its evaluation and report, and print the table."""
    from filterscope.runs.folder import RunFolder

    RunFolder(path).read_config()  # a wrong path is told before anything heavy is imported
    refuse_unwritable(path)
    from filterscope.cli.compare import show
    from filterscope.evaluation import assist_evaluation, evaluate_run
    from filterscope.report import compare_runs, write_report
    from filterscope.runs import load_run
    from filterscope.runs.data_notes import write_data_notes
    from filterscope.runs.launched import is_first_process

    run = load_run(path)
    if not is_first_process():
        assist_evaluation(run, device=device, devices=devices, batch_size=batch_size)
        return
    dataset = run.dataset()
    for note in dataset.left_out_notes:
        print(f"note: {note}", file=sys.stderr)
    evaluation = evaluate_run(
        run,
        dataset=dataset,
        device=device,
        devices=devices,
        batch_size=batch_size,
        balanced=balanced,
        seed=seed,
    )
    evaluation.save(path)
    write_data_notes(RunFolder(path), dataset)
    comparison = compare_runs([load_run(path)])
    report = RunFolder(path).report
    write_report(comparison, report)
    show(comparison)
    print(f"report: {report}")
