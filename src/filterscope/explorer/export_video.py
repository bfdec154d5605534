"""An MP4 of a pointer that wanders over a picture, with the rows and columns under it."""

from __future__ import annotations

import importlib
import math
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from filterscope.explorer.export_plan import Export
from filterscope.explorer.views import across
from filterscope.linear import LinearInterpreter, pixel_column, pixel_row
from filterscope.report.filter_pictures import signed_picture

RATE = 12
"""Pictures a second."""

PANE = 320
"""Side of each of the four panes in pixels."""

_TITLE = 28
_MARK = (243, 154, 75)

Pixel = tuple[int, int]
Frame = NDArray[np.uint8]


def ffmpeg_program() -> str:
    """Find ffmpeg.

    Raises:
        ModuleNotFoundError: imageio-ffmpeg, which brings it, is not installed.
    """
    try:
        found: str = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "videos need imageio-ffmpeg: pip install 'filterscope[video]'"
        ) from error
    return found


def check_video(file: str | Path, seconds: float) -> str:
    """Refuse a video that could not be written, before anything is computed for it.

    Args:
        file: Where.
        seconds: How long.

    Returns:
        ffmpeg.

    Raises:
        FileNotFoundError: There is no such folder.
        ModuleNotFoundError: imageio-ffmpeg is not installed.
        ValueError: Another ending than ``.mp4``, less than a picture, or more than an hour.
    """
    folder = Path(file).absolute().parent
    if Path(file).suffix != ".mp4":
        raise ValueError(f"`file` must end in .mp4, got {file}")
    if not 1 / RATE <= seconds <= 3600:
        raise ValueError(f"`seconds` must be from {1 / RATE:.2g} to 3600, got {seconds}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} does not exist; expected the folder of {file}")
    return ffmpeg_program()


def pointer_path(size: Pixel, count: int) -> list[Pixel]:
    """Lead a pointer over a picture without a break, and back to where it began.

    Args:
        size: Height and width of the picture.
        count: How many places.

    Examples:
        >>> pointer_path((9, 9), 4)
        [(4, 4), (0, 4), (4, 4), (8, 4)]
    """
    path = []
    for k in range(count):
        turn = 2 * math.pi * k / count
        share = 0.5 - 0.4 * math.sin(3 * turn + math.pi), 0.5 + 0.4 * math.sin(2 * turn)
        path.append((int(share[0] * size[0]), int(share[1] * size[1])))
    return path


def write_video(export: Export, file: str | Path, *, seconds: float = 20.0) -> Path:
    """Write the video.

    The subtitles are a text track of the file, which players show and hide; they name the pixels
    and the scales of what is shown.

    Args:
        export: Network and picture.
        file: Ends in ``.mp4``; replaced if it is there, once the new one is whole.
        seconds: How long it is.

    Raises:
        FileNotFoundError: There is no such folder.
        ModuleNotFoundError: imageio-ffmpeg is not installed.
        ValueError: Another ending, less than a picture, or more than an hour.
        OSError: ffmpeg failed; its last words.
    """
    program = check_video(file, seconds)
    file, count = Path(file), int(seconds * RATE)
    interpreter = export.interpreter
    size: Pixel = (interpreter.images.shape[2], interpreter.images.shape[3])
    path = pointer_path(size, count)
    views = _views(export, interpreter, path)
    first = next(views)
    with tempfile.TemporaryDirectory(prefix=".video-", dir=file.absolute().parent) as folder:
        made, text = Path(folder) / "video.mp4", Path(folder) / "subtitles.srt"
        silent = Path(folder) / "silent.mp4"
        told = [first[1]]

        def frames() -> Iterator[bytes]:
            yield first[0].tobytes()
            for frame, words in views:
                told.append(words)
                yield frame.tobytes()

        height, width = first[0].shape[:2]
        _run(
            [
                program, "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r",
                str(RATE), "-i", "-", "-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p",
                str(silent),
            ],
            frames(),
        )  # fmt: skip
        text.write_text(subtitles(told), encoding="utf-8")
        _run(
            [
                program, "-i", str(silent), "-i", str(text), "-map", "0:v", "-map", "1:s", "-c:v",
                "copy", "-c:s", "mov_text", "-metadata:s:s:0", "language=eng", "-movflags",
                "+faststart", str(made),
            ],
            iter(()),
        )  # fmt: skip
        made.replace(file)
    return file


def subtitles(words: Sequence[str]) -> str:
    """Write the words of every second's first picture as SubRip text.

    Args:
        words: One a picture.

    Examples:
        >>> print(subtitles(["a"] * 12 + ["b"] * 6))
        1
        00:00:00,000 --> 00:00:01,000
        a
        <BLANKLINE>
        2
        00:00:01,000 --> 00:00:01,500
        b
        <BLANKLINE>
    """
    blocks = []
    for number, first in enumerate(range(0, len(words), RATE), start=1):
        end = min(first + RATE, len(words))
        blocks.append(f"{number}\n{_clock(first)} --> {_clock(end)}\n{words[first]}\n")
    return "\n".join(blocks)


def _clock(frame: int) -> str:
    thousandths = round(1000 * frame / RATE)
    seconds, thousandths = divmod(thousandths, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d},{thousandths:03d}"


def _views(
    export: Export, interpreter: LinearInterpreter, path: Sequence[Pixel]
) -> Iterator[tuple[Frame, str]]:
    """Frame and words for each place; a place that comes twice in a row is computed once."""
    pictures = export.pictures()
    size, larger = (tuple(pictures[name].shape[1:]) for name in ("input", "output"))
    last: tuple[Pixel, tuple[Frame, str]] | None = None
    for place in path:
        if last is None or last[0] != place:
            target = across(place, (size[0], size[1]), (larger[0], larger[1]))
            column, plus = signed_picture(pixel_column(interpreter, place))
            row, minus = signed_picture(pixel_row(interpreter, target))
            frame = _frame(
                [
                    (f"input, pixel {place}", _marked(pictures["input"], place)),
                    (f"column: what it paints, ±{plus:.2g}", column),
                    (f"output, pixel {target}", _marked(pictures["output"], target)),
                    (f"row: what it reads, ±{minus:.2g}", row),
                ]
            )
            words = (
                f"Input pixel {place} paints its column (grey 0, white +{plus:.3g}); output pixel "
                f"{target} reads its row (white +{minus:.3g})"
            )
            last = place, (frame, words)
        yield last[1]


def _marked(pixels: Tensor, place: Pixel) -> Frame:
    picture: Frame = pixels.permute(1, 2, 0).numpy().copy()
    row, column = place
    reach = max(1, len(picture) // 40)
    top, left = max(row - reach, 0), max(column - reach, 0)
    picture[top : row + reach + 1, left : column + reach + 1] = _MARK
    inner = max(reach - 1, 0)
    picture[row - inner : row + inner + 1, column - inner : column + inner + 1] = np.asarray(
        pixels[:, row, column]
    )
    return picture


def _frame(panes: Sequence[tuple[str, Frame]]) -> Frame:
    """Four panes in two lines, each with its title."""
    image = Image.new("RGB", (2 * PANE, 2 * (PANE + _TITLE)), (28, 36, 48))
    draw = ImageDraw.Draw(image)
    for k, (title, picture) in enumerate(panes):
        top, left = (PANE + _TITLE) * (k // 2), PANE * (k % 2)
        draw.text((left + 8, top + 8), title, fill=(227, 232, 238))
        height, width = picture.shape[:2]
        share = (PANE - 4) / max(height, width)
        shown = Image.fromarray(picture).resize(
            (max(1, round(width * share)), max(1, round(height * share))), Image.Resampling.NEAREST
        )
        image.paste(shown, (left + 2, top + _TITLE))
    return np.asarray(image)


def _run(command: Sequence[str], frames: Iterator[bytes]) -> None:
    """Run ffmpeg and feed it."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [command[0], "-y", "-loglevel", "error", *command[1:]],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said,
        )  # fmt: skip
        assert process.stdin is not None
        try:
            for frame in frames:
                process.stdin.write(frame)
            process.stdin.close()
        except BrokenPipeError:
            pass  # ffmpeg has ended; what it said is told below
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.wait():
            said.seek(0)
            words = said.read().decode(errors="replace").strip().splitlines()[-1:]
            raise OSError(f"ffmpeg failed: {' '.join(words) or process.returncode}")
