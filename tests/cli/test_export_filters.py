"""filterscope export-filters: what it prints, writes and refuses."""

from pathlib import Path

import pytest
import torch

from filterscope.cli import main
from filterscope.models import create_image_network


def test_an_export_is_written_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export-filters", str(tmp_path / "out"), "--side=12", "--scale=2", "--stride=4"]
    assert main(words) == 0
    shown = capsys.readouterr()
    assert "index.html" in shown.out and "9 sheets written, 0 kept" in shown.out
    assert "about" in shown.err
    assert main(words) == 0
    assert "0 sheets written, 9 kept" in capsys.readouterr().out


def test_what_cannot_be_exported_is_told_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILTERSCOPE_TRACEBACK", raising=False)
    out = str(tmp_path / "out")
    weights = tmp_path / "espcn.pt"
    torch.save(
        create_image_network("espcn", random_weights=True, scale=3).model.state_dict(), weights
    )
    for words, told in (
        (["--model=resnet18"], "resnet18"),
        (["--model=espcn"], "random_weights"),
        (["--what=all"], "`what`"),
        (["--image=none.png"], "none.png"),
        (["--side=0"], "`side`"),
        (["--side=-5"], "`side`"),
        (["--model=espcn", f"--weights={weights}", "--scale=4"], "`scale` is 4"),
        (["--model=fast_style", "--random-weights", "--scale=2"], "`scale` of fast_style"),
        (["--video=path.avi"], ".mp4"),
        ([f"--video={tmp_path}/none/path.mp4"], "expected the folder"),
        (["--video=path.mp4", "--seconds=0"], "`seconds`"),
    ):
        assert main(["export-filters", out, *words]) == 2
        error = capsys.readouterr().err
        assert told in error and len(error.strip().splitlines()) == 1
        assert not Path(out).exists()
