"""What cannot be written is told before any work is done for it."""

from pathlib import Path

import pytest

from filterscope.cli import main
from filterscope.cli.outputs import free_file
from filterscope.core.files import refuse_unwritable


@pytest.fixture
def blocked(tmp_path: Path) -> str:
    """A path below a file, which nobody can write to, not even root."""
    (tmp_path / "file").write_text("")
    return str(tmp_path / "file" / "below")


def test_a_file_is_free_where_it_can_be_written(tmp_path: Path, blocked: str) -> None:
    page = tmp_path / "new" / "page.html"
    assert free_file(str(page), overwrite=False) == page
    assert not page.parent.exists(), "nothing is made on the way"
    page.parent.mkdir()
    page.write_text("mine")
    assert free_file(str(page), overwrite=True) == page
    with pytest.raises(FileExistsError, match="replace it with --overwrite"):
        free_file(str(page), overwrite=False)
    with pytest.raises(FileExistsError, match="is a folder; name a file in it"):
        free_file(str(tmp_path), overwrite=True)
    with pytest.raises(NotADirectoryError, match="is a file"):
        free_file(blocked, overwrite=False)


def test_folders_without_room_or_access_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unwritable(tmp_path / "not" / "there")
    assert not list(tmp_path.iterdir())

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("filterscope.core.files.tempfile.TemporaryFile", full)
    with pytest.raises(PermissionError, match=r"cannot be written to \(No space left on device\)"):
        refuse_unwritable(tmp_path)


@pytest.mark.parametrize("verb", ["attack", "detect", "explain", "study", "compare"])
def test_verbs_tell_it_first(
    verb: str, tmp_path: Path, blocked: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"  # of which nothing but the settings are read before
    run.mkdir()
    (run / "config.yaml").write_text("data: digits\n")
    words = {"study": ["parts-templates"], "explain": [str(run), "image.png"]}.get(verb, [str(run)])
    assert main([verb, *words, f"--out={blocked}"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "is a file; " in line
