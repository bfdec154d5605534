"""filterscope export-filters: what it prints, writes and refuses."""

from pathlib import Path

import pytest

from filterscope.cli import main


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
    for words, told in (
        (["--model=resnet18"], "resnet18"),
        (["--model=espcn"], "random_weights"),
        (["--what=all"], "`what`"),
        (["--image=none.png"], "none.png"),
    ):
        assert main(["export-filters", out, *words]) == 2
        error = capsys.readouterr().err
        assert told in error and len(error.strip().splitlines()) == 1
