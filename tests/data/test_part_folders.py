"""part-folder:PATH: layouts, labels, landmarks, divisions and refusals."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from filterscope.data import ImageDataset, batches, describe_dataset, list_datasets, load_dataset


def load(path: Path, **settings: Any) -> ImageDataset:
    return load_dataset(f"part-folder:{path}", **{"image_size": 16, **settings})


def test_it_is_listed_and_described() -> None:
    assert "part-folder:PATH" in list_datasets()
    assert "landmarks" in describe_dataset("part-folder:PATH")


@pytest.mark.parametrize("below", ["", "bird"])
def test_one_category_is_learned_against_negatives(
    below: str, tmp_path: Path, part_folders: Any
) -> None:
    root = part_folders.bird(tmp_path / "birds")
    dataset = load(root / below)
    assert dataset.classes == ("neg", "bird")
    assert (dataset.negative, dataset.categories) == ("neg", ("bird",))
    assert dataset.train.class_counts(2).tolist() == [8, 24]
    assert dataset.test.class_counts(2).tolist() == [2, 2]
    assert not any("mirrored" in name for name in dataset.test.names)
    assert dataset.augmentation.flip is False
    assert dataset.augmentation.padding == 0
    assert dataset.transform.stretch


@pytest.mark.parametrize("image_size", [16, 128])
def test_landmarks_lie_on_the_network_s_input_and_mirror_with_it(
    image_size: int, tmp_path: Path, part_folders: Any
) -> None:
    # 20 x 10 pixels are stretched to a square; the head lies at (5, 4)
    dataset = load(part_folders.bird(tmp_path), image_size=image_size)
    train = dataset.train
    assert train.landmarks is not None
    assert train.landmarks.shape == (32, 1, 2)
    assert train.landmarks.dtype == torch.float32
    assert train.part_names == ("head",)
    for i, name in enumerate(train.names):
        point = train.landmarks[i, 0] / image_size
        if "neg/" in name:
            assert point.isnan().all()
            continue
        mirrored = name.startswith("mirrored:")
        assert point.tolist() == pytest.approx([0.75 if mirrored else 0.25, 0.4])
        red = train.raw(i)[2] < 128  # the coloured half has no blue
        assert bool(red[:, -image_size // 4 :].all()) == mirrored
        assert bool(red[:, : image_size // 4].all()) != mirrored


def test_batches_of_mirrored_files_are_the_images_as_read(
    tmp_path: Path, part_folders: Any
) -> None:
    dataset = load(part_folders.bird(tmp_path), image_size=100)
    seen = 0
    for batch in batches(dataset.train, 5, transform=dataset.transform, shuffle=True, workers=0):
        for image, i in zip(batch.images, batch.indices.tolist(), strict=True):
            pixels = dataset.transform.normalize(dataset.train.raw(i)[None])[0]
            assert torch.equal(image, pixels)
            seen += 1
    assert seen == len(dataset.train)


def test_several_categories_are_learned_against_each_other(
    tmp_path: Path, part_folders: Any
) -> None:
    part_folders.bird(tmp_path)
    rows = [f"{i:02d}.png,tail,20,10" for i in range(6)]  # without the folder, on the edge
    part_folders.category(tmp_path / "cow", 6, rows)
    dataset = load(tmp_path, test_fraction=0.5)
    assert dataset.classes == dataset.categories == ("bird", "cow")
    assert dataset.negative is None
    assert dataset.train.class_counts(2).tolist() == [750, 750]
    assert dataset.test.class_counts(2).tolist() == [5, 3]
    assert dataset.test.part_names == ("head", "tail")
    assert dataset.test.landmarks is not None
    shown = ~dataset.test.landmarks.isnan().any(2)
    assert shown.tolist() == [[True, False]] * 5 + [[False, True]] * 3
    assert dataset.test.landmarks[7, 1].tolist() == [16, 16]
    assert any("10 negatives" in note for note in dataset.landmark_notes)
    assert any("of 8 images, head in 5, tail in 3" in note for note in dataset.landmark_notes)


def test_no_object_is_on_both_sides_but_in_the_official_lists(
    tmp_path: Path, part_folders: Any
) -> None:
    part_folders.category(tmp_path / "cow", 10)
    part_folders.category(tmp_path / "dog", 10)

    def objects(dataset: ImageDataset) -> list[set[str]]:
        return [
            {name.removeprefix("mirrored:") for name in split.names}
            for split in (dataset.train, dataset.test)
        ]

    train, test = objects(load(tmp_path))
    assert not train & test
    assert len(train | test) == 20
    leaky = load(tmp_path, official_leaky_split=True, test_fraction=0.1)
    train, test = objects(leaky)
    assert test <= train
    assert (len(leaky.train), len(leaky.test)) == (2700, 300)


def test_the_official_lists_of_one_category_repeat_on_both_sides(
    tmp_path: Path, part_folders: Any
) -> None:
    root = part_folders.bird(tmp_path, 10, 20)
    dataset = load(root, official_leaky_split=True, test_fraction=0.1)
    assert dataset.train.class_counts(2).tolist() == [18, 54]
    assert dataset.test.class_counts(2).tolist() == [2, 6]
    assert any(name.startswith("mirrored:") for name in dataset.test.names)


def test_without_repetition_each_image_comes_once_and_is_mirrored_at_random(
    tmp_path: Path, part_folders: Any
) -> None:
    dataset = load(part_folders.bird(tmp_path), repeat=False)
    assert dataset.train.class_counts(2).tolist() == [8, 8]
    assert dataset.augmentation.flip is True
    assert len(set(dataset.train.names)) == 16


def test_limits_keep_the_shares_and_the_landmarks(tmp_path: Path, part_folders: Any) -> None:
    dataset = load(part_folders.bird(tmp_path), limit=8, limit_test=2)
    assert dataset.train.class_counts(2).tolist() == [2, 6]
    assert dataset.test.class_counts(2).tolist() == [1, 1]
    assert dataset.train.landmarks is not None
    assert (~dataset.train.landmarks.isnan()).all(2).sum() == 6


def test_given_training_and_test_folders_are_kept(tmp_path: Path, part_folders: Any) -> None:
    part_folders.bird(tmp_path / "train", 6, 1)
    part_folders.bird(tmp_path / "test", 3, 2)
    dataset = load(tmp_path)
    assert dataset.train.class_counts(2).tolist() == [2, 6]  # more birds than three a negative
    assert dataset.test.class_counts(2).tolist() == [2, 3]
    assert all("train/" in name for name in dataset.train.names)
    shutil.rmtree(tmp_path / "test" / "neg")
    with pytest.raises(ValueError, match="no negatives"):
        load(tmp_path)
    shutil.rmtree(tmp_path / "test")
    with pytest.raises(ValueError, match="holds train without test"):
        load(tmp_path)


def test_a_zip_file_is_read(tmp_path: Path, part_folders: Any) -> None:
    part_folders.bird(tmp_path / "data")
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "data"))
    dataset = load(archive)
    assert dataset.train.class_counts(2).tolist() == [8, 24]
    assert dataset.train.landmarks is not None
    assert not dataset.train.landmarks[0].isnan().any()


def test_negatives_may_lie_inside_or_be_the_other_categories(
    tmp_path: Path, part_folders: Any
) -> None:
    part_folders.category(tmp_path / "cow", 4)
    part_folders.category(tmp_path / "dog", 6)
    (tmp_path / "notes").mkdir()
    dataset = load(tmp_path / "cow", repeat=False, test_fraction=0.5)
    assert dataset.classes == ("neg", "cow")
    assert dataset.train.class_counts(2).tolist() == [3, 2]
    assert "the negatives of cow are the images of dog" in dataset.landmark_notes
    part_folders.negatives(tmp_path / "cow" / "neg", 8)
    dataset = load(tmp_path / "cow", repeat=False, test_fraction=0.5)
    assert dataset.train.class_counts(2).tolist() == [4, 2]


def test_parts_that_come_twice_have_no_place_and_are_counted(
    tmp_path: Path, part_folders: Any
) -> None:
    rows = ["images/00.png,head,1,1", "images/00.png,head,2,2", "images/02.png,head,10,5"]
    part_folders.category(tmp_path / "cow", 4, rows)
    part_folders.negatives(tmp_path / "neg", 4)
    dataset = load(tmp_path, repeat=False, test_fraction=0.25)
    assert dataset.train.landmarks is not None
    places = dict(zip(dataset.train.names, dataset.train.landmarks[:, 0].tolist(), strict=True))
    assert places["cow/images/02.png"] == [8, 8]
    assert torch.tensor(places["cow/images/00.png"]).isnan().all()
    assert any(note.startswith("1 parts that an image") for note in dataset.landmark_notes)


def broken(root: Path, change: str, make: Any) -> Path:
    """One category with something wrong."""
    make.bird(root)
    file = root / "bird" / "landmarks.csv"
    if change == "no negatives":
        shutil.rmtree(root / "neg")
    elif change == "no positives":
        shutil.rmtree(root / "bird" / "images")
    elif change == "no landmarks file":
        file.unlink()
    elif change == "no category":
        shutil.rmtree(root / "bird")
    elif change == "no landmark":
        file.write_text("image,part,x,y\n")
    elif change == "columns":
        file.write_text("file,part,x,y\n1,head,2,3\n")
    elif change == "no such image":
        file.write_text("image,part,x,y\nimages/77.png,head,2,3\n")
    elif change == "outside":
        file.write_text("image,part,x,y\nimages/00.png,head,21,3\n")
    elif change == "other size":
        file.write_text("image,width,height,part,x,y\nimages/00.png,40,20,head,2,3\n")
    elif change == "unfinished":
        (root / "manifest.json").write_text('{"complete": false}')
    return root


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no negatives", "the single category 'bird' and no negatives; put images"),
        ("no positives", "category 'bird' has no positives"),
        ("no landmarks file", "bird has no landmarks.csv; expected PATH/CATEGORY/images"),
        ("no category", "holds no category; expected"),
        ("no landmark", "landmarks.csv holds no landmark"),
        ("columns", "landmarks.csv lacks image"),
        ("no such image", "line 2: there is no image images/77.png"),
        ("outside", r"line 2: head at \(21, 3\) lies outside images/00.png, which is 20 x 10"),
        ("other size", "is said to be 40 x 20 pixels, but is 20 x 10"),
        ("unfinished", "was interrupted; give its command again"),
    ],
)
def test_what_is_wrong_is_refused(
    change: str, message: str, tmp_path: Path, part_folders: Any
) -> None:
    root = broken(tmp_path / "data", change, part_folders)
    with pytest.raises(ValueError, match=message):
        load(root)


def test_settings_that_cannot_be_are_refused(tmp_path: Path, part_folders: Any) -> None:
    with pytest.raises(FileNotFoundError, match=r"does not exist; expected PATH/CATEGORY/images"):
        load(tmp_path / "none")
    root = part_folders.bird(tmp_path)
    with pytest.raises(ValueError, match="`test_fraction` must lie between 0 and 1, got 1"):
        load(root, test_fraction=1)
    with pytest.raises(ValueError, match="`official_leaky_split` is for part-folder:PATH"):
        load_dataset("digits", official_leaky_split=True)
    single = part_folders.bird(tmp_path / "single", 1)
    with pytest.raises(ValueError, match="class 'bird' has a single image"):
        load(single)


def test_unreadable_images_are_left_out_with_their_landmarks(
    tmp_path: Path, part_folders: Any
) -> None:
    root = part_folders.bird(tmp_path)
    (root / "bird/images/03.png").write_bytes(b"nothing")
    dataset = load(root, repeat=False, max_unreadable=0.1)
    assert [name.endswith("03.png") for name, _ in dataset.unreadable] == [True]
    assert dataset.train.landmarks is not None
    assert len(dataset.train.landmarks) == len(dataset.train) == 15
    with pytest.raises(ValueError, match="1 of 20 images are unreadable"):
        load(root)


def test_landmarks_of_a_turned_photograph_are_those_of_the_upright_one(
    tmp_path: Path, part_folders: Any
) -> None:
    root = part_folders.bird(tmp_path)
    turned = Image.new("RGB", (20, 10))
    exif = turned.getexif()
    exif[274] = 6  # a quarter turn
    turned.save(root / "bird/images/00.png", exif=exif)
    (root / "bird/landmarks.csv").write_text("image,part,x,y\nimages/00.png,head,5,20\n")
    dataset = load(root, repeat=False)
    assert dataset.train.landmarks is not None
    place = dataset.train.landmarks[list(dataset.train.names).index("bird/images/00.png"), 0]
    assert place.tolist() == [8, 16]
