"""Videos of a pointer path, with subtitles as a text track."""

import importlib
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from filterscope.explorer.export_plan import Export
from filterscope.explorer.export_video import ffmpeg_program, pointer_path, write_video
from filterscope.explorer.pictures import drawn_picture
from filterscope.models import create_image_network


def bicubic() -> Export:
    return Export(create_image_network("bicubic", scale=2), drawn_picture(16))


def test_the_pointer_stays_on_the_picture_and_moves_in_small_steps() -> None:
    path = pointer_path((40, 30), 240)
    assert all(0 <= row < 40 and 0 <= column < 30 for row, column in path)
    for (a, b), (c, d) in pairwise(path):
        assert abs(a - c) <= 2 and abs(b - d) <= 2


def test_a_video_has_a_picture_and_a_text_track(tmp_path: Path) -> None:
    file = write_video(bicubic(), tmp_path / "path.mp4", seconds=0.5)
    told = subprocess.run(
        [ffmpeg_program(), "-hide_banner", "-i", str(file), "-map", "0:s", "-f", "srt", "-"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert "h264" in told.stderr and "mov_text" in told.stderr and "640x696" in told.stderr
    assert "paints its column" in told.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["path.mp4"]


def test_bad_files_and_a_missing_program_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match=r"\.mp4"):
        write_video(bicubic(), tmp_path / "path.avi")
    for seconds in (0.01, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="`seconds`"):
            write_video(bicubic(), tmp_path / "path.mp4", seconds=seconds)
    with pytest.raises(FileNotFoundError, match="expected the folder"):
        write_video(bicubic(), tmp_path / "none" / "path.mp4")

    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ModuleNotFoundError, match=r"filterscope\[video\]"):
        write_video(bicubic(), tmp_path / "path.mp4")
