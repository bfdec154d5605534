"""filterscope train: train a network and write its run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filterscope.cli.parser import Parser
from filterscope.cli.running import exit_code
from filterscope.runs.identity import run_name
from filterscope.training.presets import preset
from filterscope.training.settings import TrainSettings


def make_parser(defaults: dict[str, Any] | None = None) -> Parser:
    """Make the verb's parser; `defaults` are a preset's settings."""
    parser = Parser(
        "train", "Train a network: standard, gated, with part templates; write its run folder."
    )
    parser.add_argument(
        "--preset", type=str | None, help="settings by name, see filterscope list presets"
    )
    parser.add_argument("--config", action="config", help="YAML file with settings")
    parser.add_argument(
        "--out", type=str | None, help="the run folder; default runs/DATA-MODEL-METHOD-sSEED"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--overwrite", action="store_true", help="replace the run in --out")
    parser.add_switch("evaluate", True, "measure the trained network and write its report")
    parser.add_settings(TrainSettings)
    if defaults:
        parser.set_defaults(defaults)
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = parse(words)
    settings = TrainSettings.from_dict(
        {name: getattr(arguments, name) for name in TrainSettings().to_dict()}
    )
    out = Path(arguments.out or default_folder(settings))
    from filterscope.runs.folder import RunFolder
    from filterscope.runs.launched import is_first_process

    if not arguments.resume and is_first_process():
        RunFolder(out).check_free(overwrite=arguments.overwrite)
    from filterscope.training.run import train  # imports torch, which no error above waits for

    try:
        train(settings, out, resume=arguments.resume, overwrite=arguments.overwrite, progress=True)
    except KeyboardInterrupt as stop:
        begun = RunFolder(out).config.is_file()
        go_on = f"go on with: filterscope train --resume --out {out}"
        print(f"\nstopped; {go_on if begun else 'nothing was written yet'}")
        return exit_code(stop)
    if arguments.evaluate:
        from filterscope.cli.evaluate import measure

        measure(out, device=settings.device, devices=settings.devices)
    elif is_first_process():
        print(out)
    return 0


def parse(words: Sequence[str]) -> Any:
    """Parse in the order defaults < --preset < --config < flags.

    With --resume the stored settings of the run come in the place of the preset's.
    """
    words = list(words)
    silent = [word for word in words if not word.startswith(("--print_config", "--print-config"))]
    first = make_parser().parse(silent)
    if first.resume:
        if first.out is None:
            raise ValueError("--resume needs --out FOLDER, the run to go on with")
        from filterscope.runs.folder import RunFolder

        return make_parser(RunFolder(Path(first.out)).read_config()).parse(words)
    if first.preset is None:
        return make_parser().parse(words)
    named = make_parser(preset(first.preset)).parse(silent)
    # A recipe's baseline may differ in more than the method, and an architecture in more than its
    # name: look again once both are known.
    return make_parser(preset(first.preset, named.method, named.model)).parse(words)


def default_folder(settings: TrainSettings) -> str:
    """Name the run folder after what is trained."""
    return f"runs/{run_name(settings.to_dict())}-s{settings.seed}"
