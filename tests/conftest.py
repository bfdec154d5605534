"""Shared by all tests."""

import os
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

MakeBlobs = Callable[..., str]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of real data where FILTERSCOPE_DATA does not say where it is."""
    if os.environ.get("FILTERSCOPE_DATA"):
        return
    real = [item for item in items if item.get_closest_marker("data")]
    if real:
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> MakeBlobs:
    """Makes a part-folder of tiny images; gives its name as a data set.

    Each category is a spot of its colour on noise, its landmark the spot's centre; negatives are
    noise alone.
    """

    def make(*categories: str, count: int = 10, side: int = 24) -> str:
        root = tmp_path_factory.mktemp("blobs")
        rng = np.random.default_rng(0)
        for channel, category in enumerate(
            [*categories, *(["neg"] if len(categories) == 1 else [])]
        ):
            folder = root / category
            (folder / "images").mkdir(parents=True)
            rows = ["image,part,x,y"]
            for i in range(count):
                pixels = rng.integers(0, 120, (side, side, 3)).astype(np.uint8)
                if category != "neg":
                    row, column = rng.integers(4, side - 4, 2)
                    pixels[row - 3 : row + 3, column - 3 : column + 3, channel % 3] = 255
                    rows.append(f"{i:02d}.png,spot,{column},{row}")
                Image.fromarray(pixels).save(folder / "images" / f"{i:02d}.png")
            if category != "neg":
                (folder / "landmarks.csv").write_text("\n".join(rows))
        return f"part-folder:{root}"

    return make
