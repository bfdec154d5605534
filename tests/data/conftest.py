"""Small folders with landmarks, for tests."""

from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

HEADER = "image,part,x,y"


class PartFolders:
    """Writes small folders with landmarks."""

    @staticmethod
    def picture(file: Path, size: tuple[int, int] = (20, 10), colour: str = "red") -> None:
        """An image whose left half is coloured and whose right half is white."""
        image = Image.new("RGB", size, "white")
        image.paste(colour, (0, 0, size[0] // 2, size[1]))
        file.parent.mkdir(parents=True, exist_ok=True)
        image.save(file)

    @staticmethod
    def category(
        folder: Path,
        count: int = 10,
        rows: Iterable[str] | None = None,
        header: str = HEADER,
        size: tuple[int, int] = (20, 10),
    ) -> Path:
        """A category: images/00.png, ... and one head an image, at (5, 4)."""
        for i in range(count):
            PartFolders.picture(folder / "images" / f"{i:02d}.png", size)
        if rows is None:
            rows = [f"images/{i:02d}.png,head,5,4" for i in range(count)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "landmarks.csv").write_text("\n".join([header, *rows]) + "\n")
        return folder

    @staticmethod
    def negatives(folder: Path, count: int = 10) -> Path:
        """Images of nothing: images/00.png, ..."""
        for i in range(count):
            PartFolders.picture(folder / "images" / f"{i:02d}.png", colour="blue")
        return folder

    @staticmethod
    def bird(root: Path, count: int = 10, others: int = 10) -> Path:
        """One category, bird, and negatives."""
        PartFolders.category(root / "bird", count)
        PartFolders.negatives(root / "neg", others)
        return root


@pytest.fixture
def part_folders() -> PartFolders:
    """What writes small folders with landmarks."""
    return PartFolders()
