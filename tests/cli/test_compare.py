"""filterscope compare on data with landmarks."""

from collections.abc import Callable
from pathlib import Path

import pytest

from filterscope.cli import main

MakeBlobs = Callable[..., str]


def test_sides_of_landmark_data_are_marked_in_the_pareto_set(
    blobs: MakeBlobs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"--data={blobs('bird', count=8)}"
    tiny = ["--epochs=1", "--image_size=24", "--batch_size=8", "--device=cpu", "--repeat=false"]
    folders = [str(tmp_path / method) for method in ("standard", "parts")]
    for method, folder in zip(("standard", "parts"), folders, strict=True):
        words = ["train", data, f"--method={method}", f"--out={folder}", *tiny]
        assert main([*words, "--test_fraction=0.5", "--workers=0"]) == 0
    capsys.readouterr()
    page = tmp_path / "both.html"
    assert main(["compare", *folders, f"--out={page}"]) == 0
    out = capsys.readouterr().out
    marked = [line for line in out.splitlines() if line.startswith(("standard *", "parts *"))]
    assert marked
    assert out.count("* Pareto set") == 1
    assert "middle unit" in out
    assert "Steady and right" in page.read_text()
