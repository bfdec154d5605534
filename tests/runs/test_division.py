"""Images that are added to or taken from a run's data after its training."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from filterscope import load_run
from filterscope.core.files import write_json
from filterscope.runs import RunFolder
from filterscope.training import TrainSettings, train


def draw(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def trained(tmp_path: Path, *sides: str) -> tuple[Path, TrainSettings]:
    for side in sides:
        for place in range(20):
            draw(tmp_path / "photos" / side / "ab"[place % 2] / f"{place}.png", place + len(side))
    settings = TrainSettings(
        data=f"folder:{tmp_path / 'photos'}", image_size=8, epochs=1, batch_size=8, workers=0
    )
    return train(settings, tmp_path / "run"), settings


def test_another_division_is_warned_about_and_not_resumed(tmp_path: Path) -> None:
    path, settings = trained(tmp_path, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        held_out = load_run(path).dataset().test.names
    train(settings, path, resume=True)
    draw(tmp_path / "photos" / "a" / "00.png", 99)
    with pytest.warns(UserWarning, match="images that it learned from may be among them"):
        now = load_run(path).dataset().test.names
    assert set(now) - set(held_out) - {"a/00.png"}
    with pytest.raises(ValueError, match=r"are not those that .*run was begun with"):
        train(settings, path, resume=True)


def test_test_images_of_their_own_cannot_have_been_learned_from(tmp_path: Path) -> None:
    path, _ = trained(tmp_path, "train", "test")
    draw(tmp_path / "photos" / "train" / "a" / "new.png", 98)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_run(path).dataset()  # the test images are those of the training
    (tmp_path / "photos" / "train" / "a" / "new.png").unlink()
    draw(tmp_path / "photos" / "test" / "a" / "new.png", 97)
    with pytest.warns(UserWarning, match="test images of .* are not those") as found:
        load_run(path).dataset()
    assert "learned" not in str(found[0].message)


def test_moved_data_and_older_runs_are_not_warned_about(tmp_path: Path) -> None:
    path, settings = trained(tmp_path, "")
    shutil.move(tmp_path / "photos", tmp_path / "moved")
    folder = RunFolder(path)
    folder.write_config(settings.to_dict() | {"data": f"folder:{tmp_path / 'moved'}"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_run(path).dataset()
    described = folder.read_json(folder.classes)
    assert described is not None
    write_json(folder.classes, {k: v for k, v in described.items() if k != "division"})
    draw(tmp_path / "moved" / "a" / "00.png", 99)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_run(path).dataset()
