"""Real crops of animals with landmarks, found through FILTERSCOPE_DATA."""

import csv
import os
from pathlib import Path

import pytest
import torch

from filterscope.data import batches, load_dataset

pytestmark = pytest.mark.data


@pytest.mark.parametrize("animal", ["bird", "cow", "dog", "horse"])
def test_each_animal_has_its_landmarks_where_the_file_says(animal: str) -> None:
    root = Path(os.environ["FILTERSCOPE_DATA"])
    dataset = load_dataset(f"part-folder:animal_parts/{animal}", root=root, repeat=False)
    assert dataset.classes == ("neg", animal)
    images = len(list((root / f"animal_parts/{animal}/images").iterdir()))
    assert len(dataset.train) + len(dataset.test) == images + 200
    assert dataset.train.part_names == ("head", "legs")
    with (root / "animal_parts" / animal / "landmarks.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "head"]
    heads = {row["image"]: row for row in rows}
    twice = {row["image"] for row in rows if row is not heads[row["image"]]}
    for split in (dataset.train, dataset.test):
        assert split.landmarks is not None
        for name, (x, y) in zip(split.names, split.landmarks[:, 0].tolist(), strict=True):
            row = heads.get(name.removeprefix(f"{animal}/"))
            if row is None or row["image"] in twice:
                assert x != x
            else:
                assert x == pytest.approx(float(row["x"]) / float(row["width"]) * 224, abs=1e-3)
                assert y == pytest.approx(float(row["y"]) / float(row["height"]) * 224, abs=1e-3)


def test_four_animals_are_balanced_and_stay_on_their_side() -> None:
    root = os.environ["FILTERSCOPE_DATA"]
    dataset = load_dataset("part-folder:animal_parts", root=root, image_size=48, test_fraction=0.1)
    assert dataset.classes == ("bird", "cow", "dog", "horse")
    assert dataset.train.class_counts(4).tolist() == [1350] * 4
    assert dataset.test.class_counts(4).tolist() == [20, 20, 20, 20]
    train = {name.removeprefix("mirrored:") for name in dataset.train.names}
    assert not train & set(dataset.test.names)
    assert "39 parts" in dataset.landmark_notes[-1]
    (batch,) = batches(dataset.test, 80, transform=dataset.transform)
    assert batch.images.shape == (80, 3, 48, 48)
    assert torch.isfinite(batch.images).all()
