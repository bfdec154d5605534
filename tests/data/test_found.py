"""Layouts of data sets, recognised without reading an image."""

import os
import zipfile
from pathlib import Path

import pytest

from filterscope.data import load_dataset
from filterscope.data.found import FoundData, find_data


def touch(root: Path, *names: str) -> None:
    for name in names:
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def uses(root: Path) -> dict[str, str | None]:
    return {found.name: found.use for found in find_data(root)}


@pytest.mark.parametrize(
    ("files", "use", "what"),
    [
        (["d/cat/1.jpg", "d/dog/1.PNG"], "--data folder:d", "2 classes (cat, dog)"),
        (["d/train/cat/1.jpg", "d/val/cat/2.jpg"], "--data folder:d", "1 class (cat)"),
        (
            ["d/images/cat/1.jpg", "d/masks/cat/1.png"],
            "--data masked-folder:d",
            "images with object masks, 1 class (cat)",
        ),
        (
            ["d/train/images/cat/1.jpg", "d/train/masks/cat/1.png", "d/val/images/cat/2.jpg"],
            "--data masked-folder:d",
            "images with object masks, 1 class (cat)",
        ),
        (
            ["d/bird/landmarks.csv", "d/bird/images/1.jpg", "d/neg/images/1.jpg"],
            "--data part-folder:d",
            "landmarks of 1 category (bird)",
        ),
        (["d/bird/landmarks.csv"], None, "landmarks of 1 category (bird), without images"),
        (["d/a.pt", "d/b.safetensors"], "--weights FILE", "weights in 2 files (a.pt, b.safe"),
        (["d/notes.txt"], None, "no layout that is known here"),
        (["d/empty/readme.txt"], None, "no layout that is known here"),
    ],
)
def test_a_layout_is_told_by_its_files(
    files: list[str], use: str | None, what: str, tmp_path: Path
) -> None:
    touch(tmp_path, *files)
    (found,) = find_data(tmp_path)
    assert found.use == use
    assert found.what.startswith(what)
    assert bool(found.good_for) == (use is not None)


def test_sets_with_names_go_by_them(tmp_path: Path) -> None:
    touch(tmp_path, "cifar-10-batches-py/data_batch_1", "imagenet/train/n01440764/1.JPEG")
    touch(tmp_path, "voc-animals/manifest.json", "super_resolution/Set5/x3/a_HR.png", ".git/HEAD")
    assert uses(tmp_path) == {
        "cifar-10-batches-py": "--data cifar10",
        "imagenet": "--data imagenet",
        "super_resolution": "--data set5",
        "voc-animals": "--data voc-animals",
    }


def test_zip_files_are_looked_into(tmp_path: Path) -> None:
    for place in ("both/train.zip", "both/test.zip", "both/more.zip", "one/pets.zip"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(tmp_path / place, "w") as archive:
            archive.writestr("photos/cat/1.png", b"")
            archive.writestr("photos/dog/1.png", b"")
    touch(tmp_path, "torn/train.zip")
    assert find_data(tmp_path) == [
        FoundData(
            "both", "2 classes (cat, dog) in train.zip, test.zip", "--data folder:both",
            "train, evaluate, compare",
        ),
        FoundData(
            "one", "2 classes (cat, dog) in pets.zip", "--data folder:one/pets.zip",
            "train, evaluate, compare",
        ),
        FoundData("torn", "train.zip cannot be read as a zip file", None, ""),
    ]  # fmt: skip


def test_a_folder_of_photographs_is_for_looking(tmp_path: Path) -> None:
    touch(tmp_path, "photos/1.jpg", "photos/2.jpg")
    (found,) = find_data(tmp_path)
    assert (found.what, found.use) == (
        "2 images, not in class folders",
        f"the path {tmp_path / 'photos'}",
    )


def test_many_names_are_cut(tmp_path: Path) -> None:
    touch(tmp_path, *(f"d/c{i}/1.jpg" for i in range(8)))
    (found,) = find_data(tmp_path)
    assert found.what == "8 classes (c0, c1, c2, c3, c4, c5, ...)"


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`root` must be a folder"):
        find_data(tmp_path / "nowhere")


@pytest.mark.data
@pytest.mark.slow
def test_what_is_told_of_real_data_is_what_loads() -> None:
    root = Path(os.environ["FILTERSCOPE_DATA"])
    found = [one.use for one in find_data(root) if one.use and one.use.startswith("--data ")]
    chosen = [use.removeprefix("--data ") for use in found if ":" in use]
    assert chosen
    for name in chosen:
        assert len(load_dataset(name, root=root, limit=20, limit_test=20).test) > 0
