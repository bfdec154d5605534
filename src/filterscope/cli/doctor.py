"""filterscope doctor: versions, devices, data found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from filterscope.cli.parser import Parser


def make_parser() -> Parser:
    """Make the verb's parser."""
    return Parser("doctor", "Tell versions, devices, memory and the data that was found.")


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    make_parser().parse(words)

    import torch

    from filterscope.runs.environment import describe_environment

    about = describe_environment("cuda" if torch.cuda.is_available() else "cpu")
    for package, version in about["versions"].items():
        print(f"{package:<14} {version}")
    print(f"{'platform':<14} {about['platform']}")
    print(f"{'device':<14} {about['device']} ({about['device_name']})")
    print(f"{'threads':<14} {about['threads']} of {os.cpu_count()} cores")
    print(f"{'disk':<14} {shutil.disk_usage('.').free / 2**30:.0f} GB free here")
    root = os.environ.get("FILTERSCOPE_DATA")
    print(f"{'data':<14} {_data(root)}")
    return 0


def _data(root: str | None) -> str:
    if root is None:
        return "FILTERSCOPE_DATA is not set; named data sets are looked for in ./data"
    folder = Path(root)
    if not folder.is_dir():
        return f"FILTERSCOPE_DATA is {root}, which is no folder"
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return f"{root}: {', '.join(names) or 'empty'}"
