"""Training that is stopped and resumed, and data that is damaged, by the verbs."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.damage import damaged

from filterscope.cli import main
from filterscope.cli.train import parse

BENCH = Path(__file__).parents[2] / "benchmarks" / "faults.py"


@pytest.mark.slow
def test_stopped_training_resumes_to_the_same_bits() -> None:
    """One stop by each fault; the bench itself does hundreds."""
    words = [sys.executable, str(BENCH), "--kills", "5", "--seed", "3"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(r"^(SIG\w+|disk full|read-only folder) +(\d+) +\d+ +(\d+) +(\d+) +(\d+)$",
                      done.stdout, re.M)  # fmt: skip
    assert len(rows) == 5
    assert all(row[1:] == ("1", "1", "1", "0") for row in rows)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two classes of twelve images, one of them damaged, and a file that is no image."""
    generator = np.random.default_rng(0)
    for name in (f"{c}/{i:02d}.png" for c in "ab" for i in range(12)):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "a" / "00.png").write_bytes(b"GIF89a")
    (tmp_path / "photos" / "b" / "notes.txt").write_text("mine")
    return tmp_path / "photos"


@pytest.mark.slow
@pytest.mark.usefixtures("few_gradient_maps")
def test_verbs_say_and_keep_what_was_left_out(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["train", f"--data=folder:{photos}", "--epochs=1", "--batch_size=8", f"--out={out}"]
    assert main([*words, "--evaluate=false"]) == 2
    assert "1 of 24 images are unreadable, more than 1.0%" in capsys.readouterr().err
    assert not out.exists()
    assert main([*words, "--evaluate=false", "--max_unreadable=0.1"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "1 images are unreadable and left out" in said
    assert "1 files are not taken for images" in said
    kept = json.loads((out / "data.json").read_text())
    assert kept["train"] + kept["test"] == 23
    ((broken, reason),) = kept["unreadable"]
    assert broken == f"{photos}/a/00.png"
    assert reason
    assert kept["ignored"][0][0] == f"{photos}/b/notes.txt"
    (photos / "b" / "more.txt").write_text("mine")
    assert main(["evaluate", str(out)]) == 0
    assert "note: 1 images are unreadable and left out" in capsys.readouterr().err
    assert json.loads((out / "evaluation.json").read_text())["settings"]["unreadable"] == 1
    assert len(json.loads((out / "data.json").read_text())["ignored"]) == 2


CONFIG = b"data: digits\nlr: 0.1\nfreeze: [conv1]\nepochs: 3\nmethod: gated\nfixed_gate: [6, 4]\n"


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.one_of(damaged(CONFIG), st.text(max_size=40).map(str.encode)))
def test_damaged_settings_are_taken_or_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    try:
        parse(["--config", str(file)])
    except SystemExit as stop:
        assert stop.code == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    except ValueError as error:
        assert str(file) in str(error)


def test_settings_that_refer_to_themselves_are_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(12)]
    file = tmp_path / "laughs.yaml"
    file.write_text("\n".join(lines))
    assert main(["train", "--config", str(file)]) == 2
    assert f"{file} is not readable as YAML: references" in capsys.readouterr().err
