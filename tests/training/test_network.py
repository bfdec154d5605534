"""What a run trains, built from its settings."""

from pathlib import Path

import pytest
from PIL import Image

from filterscope.training.run import train
from filterscope.training.settings import TrainSettings


def test_data_of_a_single_class_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for i in range(10):
        for folder, mode in (("images", "RGB"), ("masks", "1")):
            (tmp_path / "cups" / folder).mkdir(parents=True, exist_ok=True)
            Image.new(mode, (16, 16)).save(tmp_path / "cups" / folder / f"{i}.png")
    for method in ("standard", "gated"):
        settings = TrainSettings(data=f"masked-folder:{tmp_path / 'cups'}", method=method)
        with pytest.raises(ValueError, match="`data` has a single class, and training needs two"):
            train(settings, tmp_path / "run")
        assert not (tmp_path / "run").exists()
