"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

# What each must print.
WORDS = {"own_training_loop": "MIS", "localisation": "mean IoU", "image_filters": "of its column"}
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    words = [sys.executable, str(example)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert WORDS[example.stem] in done.stdout
