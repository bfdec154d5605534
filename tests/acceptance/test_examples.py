"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

# What each must print.
WORDS = {"own_training_loop": "MIS", "localisation": "mean IoU"}
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path) -> None:
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert WORDS[example.stem] in done.stdout
