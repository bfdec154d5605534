"""Damage that once slipped through, or ended in the wrong error."""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.data import batches, load_dataset
from filterscope.data.choice import choose
from filterscope.data.decode import fit, open_rgb
from filterscope.data.transform import Transform


def write_cifar(root: Path, batch: object, meta: object = None) -> Path:
    """CIFAR-10's official layout with the given content in every batch."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for part in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    names = {"label_names": ["a", "b", "c"]} if meta is None else meta
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol=2))
    return folder


PIXELS = np.zeros((2, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"data": PIXELS, "labels": [1]}, "2 images and labels of shape"),
        ({"data": PIXELS, "labels": [1, 12]}, "labels run from 1 to 12.*3 class names"),
        ({"data": PIXELS, "labels": [-1, 0]}, "labels run from -1 to 0"),
        ({"data": None, "labels": [0, 1]}, "no CIFAR batch"),
        ({"data": [[300] * 3072] * 2, "labels": [0, 1]}, "no CIFAR batch"),
    ],
)
def test_cifar_batches_that_do_not_fit_are_named(
    tmp_path: Path, batch: object, message: str
) -> None:
    write_cifar(tmp_path, batch)
    with pytest.raises(ValueError, match=message):
        load_dataset("cifar10", root=tmp_path)


def test_cifar_without_class_names_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path, {"data": PIXELS, "labels": [0, 1]}, meta={"other": 1})
    with pytest.raises(ValueError, match=r"batches\.meta holds no class names"):
        load_dataset("cifar10", root=tmp_path)


@pytest.mark.parametrize("content", [b"\x80\x02}U\x01aa.", b"\x80\x02K\x01K\x02R.", b"", b"\x80"])
def test_any_damaged_pickle_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    folder = write_cifar(tmp_path, {"data": PIXELS, "labels": [0, 1]})
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(ValueError, match="data_batch_2 is no"):
        load_dataset("cifar10", root=tmp_path)


@pytest.mark.parametrize("count", [4, 10, 50, 99])
def test_a_limit_is_never_exceeded(count: int) -> None:
    labels = torch.tensor([0] * 97 + [1, 2, 3])
    chosen = choose(labels, count, seed=0)
    assert len(chosen) == count
    assert sorted(set(labels[chosen].tolist())) == [0, 1, 2, 3]


def photos(root: Path, size: int = 40) -> Path:
    for c, name in enumerate(("a", "b")):
        (root / name).mkdir(parents=True)
        for i in range(10):
            Image.effect_noise((size, size), 60 + c).save(root / name / f"{i}.png")
    return root


@pytest.mark.parametrize("image_size", [32, 128])
def test_nothing_but_broken_files_is_told_alike_in_memory_and_streamed(
    tmp_path: Path, image_size: int
) -> None:
    path = photos(tmp_path / "photos")
    for file in path.rglob("*.png"):
        file.write_bytes(b"x")
    with pytest.raises(ValueError, match="20 of 20 images are unreadable"):
        load_dataset(f"folder:{path}", image_size=image_size)


@pytest.mark.parametrize("image_size", [32, 128])
def test_a_damaged_member_of_an_archive_is_counted(tmp_path: Path, image_size: int) -> None:
    path = photos(tmp_path / "photos")
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in sorted(path.rglob("*.png")):
            target.write(file, file.relative_to(path))
    content = bytearray(archive.read_bytes())
    content[200] ^= 0xFF  # inside the first image
    archive.write_bytes(content)
    dataset = load_dataset(f"folder:{archive}", image_size=image_size, max_unreadable=0.5)
    ((name, reason),) = dataset.unreadable
    assert name.endswith("a/0.png")
    assert "archive" in reason


def test_reasons_are_the_same_in_every_run(tmp_path: Path) -> None:
    path = photos(tmp_path / "photos")
    (path / "a" / "0.png").write_bytes(b"x")
    first, second = (load_dataset(f"folder:{path}", max_unreadable=0.5) for _ in range(2))
    assert first.unreadable == second.unreadable
    assert "0x" not in first.unreadable[0][1]


def test_mixed_sizes_are_seen_beyond_the_first_class(tmp_path: Path) -> None:
    path = photos(tmp_path / "photos")
    for file in (path / "b").iterdir():
        Image.new("RGB", (60, 60)).save(file)
    assert load_dataset(f"folder:{path}").transform.image_size == 224


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "`image_size` must be at least 1"),
        ({"limit": 0}, "`limit` must be at least 1"),
        ({"test_fraction": 1.0}, "`test_fraction` must lie between"),
        ({"name": "folder:"}, "needs the path"),
    ],
)
def test_numbers_out_of_range_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_dataset(**arguments)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"rank": 2, "world_size": 2}])
def test_impossible_batches_are_refused(options: dict) -> None:
    dataset = load_dataset(limit=20)
    arguments = {"batch_size": 4, "transform": dataset.transform, **options}
    with pytest.raises(ValueError, match="`batch_size`"):
        next(batches(dataset.train, **arguments))


@pytest.mark.parametrize(
    "change", [{"extra": 1}, {"mean": [0.5, 0.5]}, {"mean": "abc"}, {"std": [0, 0, 0]}]
)
def test_descriptions_that_cannot_work_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=r"transform|mean|std"):
        Transform.from_dict({**Transform(8).to_dict(), **change})


def test_deep_and_thin_images_are_shown_as_they_are() -> None:
    deep = Image.fromarray(np.array([[0, 65535, 70_000]], dtype=np.int32))
    assert np.asarray(open_rgb(deep))[0, :, 0].tolist() == [0, 255, 255]
    unit = Image.fromarray(np.array([[0.0, 0.5, 1.0]], dtype=np.float32))
    assert np.asarray(open_rgb(unit))[0, :, 0].tolist() == [0, 128, 255]
    assert fit(Image.new("L", (1, 20_000), 9).convert("RGB"), 224, 224).size == (224, 224)
