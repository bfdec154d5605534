"""Landmarks of parts in CSV files: one row for each part that an image shows."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LANDMARKS_FILE = "landmarks.csv"
COLUMNS = ("image", "part", "x", "y")
EXPECTED_COLUMNS = (
    "expected the columns image, part, x, y and perhaps width and height, in pixels of the image"
)


@dataclass(frozen=True)
class Landmark:
    """The place of a part in an image.

    Attributes:
        image: The image, as the file names it.
        part: The part.
        x: From the left edge of the image, in its pixels.
        y: From its top edge.
        size: Width and height of the image, where the file says them.
        line: Line of the file.
    """

    image: str
    part: str
    x: float
    y: float
    size: tuple[int, int] | None
    line: int


def read_landmarks(content: bytes, where: str) -> list[Landmark]:
    r"""Read a file of landmarks.

    Args:
        content: Its bytes: comma-separated UTF-8 with a header. Further columns are left aside.
            A row whose x and y are empty or NaN says that the part is missing.
        where: What the file is called in messages.

    Returns:
        The landmarks, without those of missing parts.

    Raises:
        ValueError: Missing columns, or a value that is no number.

    Examples:
        >>> read_landmarks(b"image,part,x,y\n1.jpg,head,3,4.5\n", "a.csv")[0].y
        4.5
    """
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
        header = list(reader.fieldnames or [])
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{where} is not readable as a CSV file: {error}") from error
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        found = ", ".join(header[:8]) or "nothing"
        raise ValueError(f"{where} lacks {', '.join(missing)} (it has {found}); {EXPECTED_COLUMNS}")
    twice = [column for column in (*COLUMNS, "width", "height") if header.count(column) > 1]
    if twice:
        raise ValueError(f"{where} has the column {twice[0]} twice; {EXPECTED_COLUMNS}")
    landmarks = []
    for line, row in rows:
        x, y = _number(row, "x", where, line), _number(row, "y", where, line)
        image, part = (row["image"] or "").strip(), (row["part"] or "").strip()
        if not image or not part:
            raise ValueError(f"{where}, line {line}: it names no image or no part")
        if math.isnan(x) != math.isnan(y):
            raise ValueError(f"{where}, line {line}: one of x and y is missing")
        if not math.isnan(x):
            landmarks.append(Landmark(image, part, x, y, _size(row, where, line), line))
    return landmarks


def _number(row: dict[str, str], column: str, where: str, line: int) -> float:
    value = (row[column] or "").strip()
    try:
        number = float(value) if value else math.nan
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"{where}, line {line}: {column} is {value!r}, expected a number")
    return number


def _size(row: dict[str, str], where: str, line: int) -> tuple[int, int] | None:
    if not row.get("width") or not row.get("height"):
        return None
    width, height = _number(row, "width", where, line), _number(row, "height", where, line)
    if math.isnan(width) or math.isnan(height):
        return None
    return round(width), round(height)


def refuse_outside(landmark: Landmark, size: tuple[int, int], where: str) -> None:
    """Raise when a landmark does not lie in its image, or is told for an image of another size.

    Args:
        landmark: The landmark.
        size: Width and height of the image.
        where: What the file is called.

    Raises:
        ValueError: With the line and both sizes.
    """
    width, height = size
    if landmark.size is not None and landmark.size != size:
        raise ValueError(
            f"{where}, line {landmark.line}: {landmark.image} is said to be {landmark.size[0]} x "
            f"{landmark.size[1]} pixels, but is {width} x {height}"
        )
    if not (0 <= landmark.x <= width and 0 <= landmark.y <= height):
        raise ValueError(
            f"{where}, line {landmark.line}: {landmark.part} at ({landmark.x:g}, {landmark.y:g}) "
            f"lies outside {landmark.image}, which is {width} x {height} pixels"
        )


def as_points(landmarks: Sequence[Landmark], part_names: Sequence[str]) -> tuple[Tensor, int]:
    """Put the landmarks of one image into the order of the parts.

    Args:
        landmarks: Of the image.
        part_names: The P parts.

    Returns:
        (P, 2) float64, x and y, NaN where a part is missing. A part that the image shows more than
        once has no single place and is NaN, too; the number of these.

    Source: Zhang et al., CVPR 2018, the authors' code, which leaves out such parts.

    Examples:
        >>> as_points([Landmark("a", "head", 3.0, 4.0, None, 2)], ["head", "legs"])[0]
        tensor([[3., 4.],
                [nan, nan]], dtype=torch.float64)
    """
    counts = Counter(landmark.part for landmark in landmarks)
    points = torch.full((len(part_names), 2), torch.nan, dtype=torch.float64)
    for landmark in landmarks:
        if counts[landmark.part] == 1:
            place = torch.tensor([landmark.x, landmark.y], dtype=torch.float64)
            points[list(part_names).index(landmark.part)] = place
    return points, sum(count > 1 for count in counts.values())
