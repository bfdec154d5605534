"""Official archives with landmarks, turned into folders for part-folder:PATH."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from filterscope.core.brief import Brief
from filterscope.core.files import atomic_write, read_json, write_json, write_text
from filterscope.core.names import unknown_name
from filterscope.data.landmarks import LANDMARKS_FILE
from filterscope.data.part_folders import MANIFEST, NEGATIVES
from filterscope.data.part_sources import (
    MIN_AREA,
    Broken,
    Entry,
    Negative,
    PartObject,
    read_cub_objects,
    read_ilsvrc_objects,
    read_voc_objects,
)

_READERS = {
    "voc-parts": read_voc_objects,
    "cub-parts": read_cub_objects,
    "ilsvrc-parts": read_ilsvrc_objects,
}
PART_SETS = tuple(_READERS)
"""What `prepare_parts` makes."""

_QUALITY = 95
_HEADER = ("image", "width", "height", "part", "x", "y")

Row = tuple[str, int, int, str, float, float]


@dataclass(frozen=True, repr=False)
class PartPreparationReport(Brief):
    """What `prepare_parts` made.

    Attributes:
        destination: The folder.
        counts: Objects of each category; "train/bird" where the layout has sides.
        negatives: Photographs without any category.
        landmarks: Rows of landmarks.
        skipped: Objects and landmarks that were left out, each with the reason.
        corrupt: Files that are missing or damaged, each with the reason.
    """

    destination: Path
    counts: dict[str, int]
    negatives: int
    landmarks: int
    skipped: tuple[tuple[str, str], ...] = ()
    corrupt: tuple[tuple[str, str], ...] = ()


def prepare_parts(
    name: str,
    source: str | Path,
    destination: str | Path,
    *,
    min_area: int = MIN_AREA,
    on_progress: Callable[[int, int], None] | None = None,
) -> PartPreparationReport:
    """Cut the objects of a published data set out of its photographs, with their landmarks.

    The picture of an object is its box, without context and in its own aspect ratio, as JPEG of
    quality 95. The result is ``CATEGORY/images/NAME.jpg``, ``CATEGORY/landmarks.csv`` and
    ``neg/images``, below train and test where the data set has an official split. It loads as
    ``part-folder:DESTINATION``, a category of it as ``part-folder:DESTINATION/CATEGORY``. An
    interrupted call is taken up by the same call.

    Args:
        name: One of `PART_SETS`.
        source: The unpacked archives; see the readers in `filterscope.data.part_sources`.
        destination: A new folder, or one that this function began with the same settings.
        min_area: Objects with a smaller box are left out; in pixels, the authors' by default.
        on_progress: Called with the entries done and their total, after each.

    Returns:
        What was made. Damaged files are listed in it; they do not end the work.

    Raises:
        FileNotFoundError: The source lacks something; the message has the layout and the origin.
        ValueError: Another name, no object, or a destination that was begun otherwise.
        FileExistsError: The destination holds something else.

    Source: Zhang et al., CVPR 2018, section 5, and the authors' code.
    """
    if name not in _READERS:
        raise unknown_name("data set to prepare", name, PART_SETS)
    if min_area < 1:
        raise ValueError(f"`min_area` must be at least 1, got {min_area}")
    work = _Work(Path(destination), min_area)
    entries = list(_READERS[name](Path(source)))
    if not any(isinstance(entry, PartObject) for entry in entries):
        raise ValueError(f"{source} holds no readable object of {name}")
    rules = {"data": name, "min_area": min_area, "quality": _QUALITY}
    _begin(work.destination, rules)
    for done, entry in enumerate(entries, start=1):
        work.take(entry)
        if on_progress is not None:
            on_progress(done, len(entries))
    if not work.counts:
        first = "; ".join(f"{name} ({why})" for name, why in (*work.corrupt, *work.skipped)[:2])
        raise ValueError(f"every object of {source} was left out: {first}")
    report = work.finish()
    facts = {"counts": report.counts, "negatives": report.negatives, "skipped": report.skipped}
    manifest = {"complete": True, "rules": rules, "corrupt": report.corrupt, **facts}
    write_json(work.destination / MANIFEST, manifest)
    return report


def _begin(destination: Path, rules: dict[str, Any]) -> None:
    """Mark the folder as begun, or refuse one that holds something else."""
    manifest = destination / MANIFEST
    if manifest.is_file():
        begun = read_json(manifest)
        if not isinstance(begun, dict) or begun.get("rules") != rules:
            raise ValueError(f"{destination} was prepared otherwise; name another folder")
    elif destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise FileExistsError(f"{destination} holds something else; name a new folder")
    destination.mkdir(parents=True, exist_ok=True)
    write_json(manifest, {"complete": False, "rules": rules})


@dataclass
class _Work:
    """The pictures made so far."""

    destination: Path
    min_area: int
    counts: dict[str, int] = field(default_factory=dict)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    negatives: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    corrupt: list[tuple[str, str]] = field(default_factory=list)

    def take(self, entry: Entry) -> None:
        """Make the picture of an entry, or say why not."""
        if isinstance(entry, Broken):
            self.corrupt.append((str(entry.file), entry.reason))
            return
        try:
            if isinstance(entry, Negative):
                self._copy(entry)
            else:
                self._cut(entry)
        except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises
            missing = isinstance(error, FileNotFoundError)
            reason = "missing" if missing else str(error).splitlines()[0] if str(error) else "bad"
            self.corrupt.append((str(entry.photograph), reason))

    def _copy(self, negative: Negative) -> None:
        folder = self.destination / negative.side / NEGATIVES / "images"
        folder.mkdir(parents=True, exist_ok=True)
        with Image.open(negative.photograph) as image:
            image.load()
        with atomic_write(folder / negative.photograph.name) as file:
            file.write(negative.photograph.read_bytes())
        self.negatives += 1

    def _cut(self, found: PartObject) -> None:
        left, top, right, bottom = found.box
        width, height = right - left, bottom - top
        if width < 1 or height < 1 or width * height < self.min_area:
            self.skipped.append((found.name, f"its box has {width} x {height} pixels"))
            return
        key = f"{found.side}/{found.category}" if found.side else found.category
        path = self.destination / key / "images" / f"{found.name}.jpg"
        if not _is_whole(path, (width, height)):
            with Image.open(found.photograph) as image:
                buffer = io.BytesIO()
                crop = image.convert("RGB").crop(found.box)
                crop.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as file:
                file.write(buffer.getvalue())
        self.counts[key] = self.counts.get(key, 0) + 1
        rows = self.rows.setdefault(key, [])
        for part, x, y in found.landmarks:
            if left <= x <= right and top <= y <= bottom:
                rows.append((f"images/{path.name}", width, height, part, x - left, y - top))
            else:
                self.skipped.append((found.name, f"its {part} lies outside its box"))

    def finish(self) -> PartPreparationReport:
        """Write the landmarks and sum up."""
        for key, rows in self.rows.items():
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(_HEADER)
            writer.writerows((*row[:4], f"{row[4]:.2f}", f"{row[5]:.2f}") for row in rows)
            write_text(self.destination / key / LANDMARKS_FILE, text.getvalue())
        return PartPreparationReport(
            self.destination,
            self.counts,
            self.negatives,
            sum(len(rows) for rows in self.rows.values()),
            tuple(self.skipped),
            tuple(self.corrupt),
        )


def _is_whole(path: Path, size: tuple[int, int]) -> bool:
    """Whether a picture is there, can be decoded to its end, and is of the wanted size."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture.size == size
    except Exception:  # Pillow's decoders raise anything; what cannot be read is made again
        return False
