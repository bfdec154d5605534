"""Names of classes and the classes of image files."""

from pathlib import Path

import pytest

from filterscope.data.image_files import image_files
from filterscope.data.labels import (
    imagenet_classes,
    imagenet_synsets,
    label_images,
    read_classes,
)


def test_imagenets_names_and_numbers_stand_in_one_order() -> None:
    names, synsets = imagenet_classes(), imagenet_synsets()
    assert len(names) == len(synsets) == len(set(synsets)) == 1000
    assert list(synsets) == sorted(synsets)
    known = dict(zip(synsets, names, strict=True))
    assert known["n01440764"] == "tench"
    assert known["n02391049"] == "zebra"
    assert known["n15075141"] == "toilet tissue"


def test_classes_are_read_a_line_each(tmp_path: Path) -> None:
    file = tmp_path / "classes.txt"
    file.write_text("\ufeffa cat\r\n dog \n\n\n", encoding="utf-8")
    assert read_classes(file) == ("a cat", "dog")
    for content, expected in ((b"a\n\nb\n", "no class in line 2"), (b"\n", "is empty"),
                              (b"\xff\xfe\x00", "UTF-8")):  # fmt: skip
        file.write_bytes(content)
        with pytest.raises(ValueError, match=expected):
            read_classes(file)


def test_labels_by_folder_number_and_order() -> None:
    files = [Path("x/dog/1.png"), Path("x/cat/0.png")]
    assert label_images(files, "folder", ["cat", "dog"]) == (1, 0)
    assert label_images(files, "sorted", ["a", "b"]) == (1, 0)
    numbered = [
        Path("n01440764_tench.JPEG"),
        Path("n02391049/7.png"),
        Path("xn01440764/n02391049_"),
    ]
    assert label_images(numbered, "synset", imagenet_classes()) == (0, 340, 340)


@pytest.mark.parametrize(
    ("by", "classes", "expected"),
    [
        ("folder", ["cats", "fish"], "near: cats"),
        ("folder", ["cat", "cat"], "classes 0 and 1"),
        ("sorted", ["cat", "dog"], "one image for each of 2 classes, got 1"),
        ("synset", ["cat"], "ImageNet's 1000 classes"),
        ("synset", ["cat"] * 1000, "named after one of ImageNet's"),
        ("sort", ["cat"], "near: sorted"),
    ],
)
def test_labels_that_cannot_be_told(by: str, classes: list[str], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        label_images([Path("cat/1.png")], by, classes)


def test_image_files_are_sorted_below_folders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/1.JPG", "a.png", "note.txt"):
        (tmp_path / name).touch()
    assert [f.name for f in image_files([tmp_path])] == ["a.png", "1.JPG"]
    assert list(image_files([tmp_path / "note.txt"])) == [tmp_path / "note.txt"]
    for path in (tmp_path / "nowhere", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(FileNotFoundError):
            list(image_files([path]))
