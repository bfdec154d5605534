"""Data sets in every layout, right and wrong."""

import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.utils.class_weight import compute_class_weight

from filterscope.data import batches, class_weights, load_dataset, num_batches

COLORS = {"ant": "red", "bee": "lime", "cat": "blue"}


def fill(root: Path, count: int = 10, size: tuple[int, int] = (12, 12)) -> Path:
    for name, color in COLORS.items():
        (root / name).mkdir(parents=True)
        for i in range(count):
            Image.new("RGB", size, color).save(root / name / f"{i:03}.png")
    return root


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return file


def colors_fit(dataset: object) -> bool:
    """Whether each image has its class's colour: labels and pixels belong together."""
    channel = {"ant": 0, "bee": 1, "cat": 2}
    return all(
        int(split.raw(i).float().mean((1, 2)).argmax())
        == channel[dataset.classes[int(split.labels[i])]]
        for split in (dataset.train, dataset.test)
        for i in range(len(split))
    )


def layouts(root: Path) -> dict[str, Path]:
    """The same images in every accepted layout."""
    fill(root / "plain")
    for test in ("test", "val"):
        fill(root / f"split-{test}" / "train", 8)
        fill(root / f"split-{test}" / test, 2)
    zips = root / "zips"
    zips.mkdir()
    zipped(root / "split-test" / "train", zips / "train.zip")
    zipped(root / "split-test" / "test", zips / "test.zip")
    inner = root / "inner"
    inner.mkdir()
    for side in ("train", "test"):
        shutil.copytree(root / "split-test" / side, root / "tmp" / side / side)
        zipped(root / "tmp" / side, inner / f"{side}.zip")
    shutil.copytree(root / "split-test", root / "tmp2" / "archive")
    return {
        "plain": root / "plain",
        "split-test": root / "split-test",
        "split-val": root / "split-val",
        "two zips": zips,
        "zips with an inner folder": inner,
        "one zip of classes": zipped(root / "plain", root / "plain.zip"),
        "one zip with a root folder": zipped(root / "tmp2", root / "rooted.zip"),
    }


def test_every_layout_gives_the_same_classes_and_counts(tmp_path: Path) -> None:
    for name, path in layouts(tmp_path).items():
        dataset = load_dataset(f"folder:{path}")
        assert dataset.classes == ("ant", "bee", "cat"), name
        assert (len(dataset.train), len(dataset.test)) == (24, 6), name
        assert dataset.transform.image_size == 12, name
        assert colors_fit(dataset), name
        assert dataset.test.class_counts(3).tolist() == [2, 2, 2], name


def test_large_images_stream_and_small_ones_stay_in_memory(tmp_path: Path) -> None:
    path = zipped(fill(tmp_path / "photos", 6, (140, 120)), tmp_path / "photos.zip")
    for image_size, kind in ((None, "Streamed"), (32, "InMemory")):
        dataset = load_dataset(f"folder:{path}", image_size=image_size)
        assert type(dataset.train.images).__name__ == kind
        assert dataset.transform.image_size == (image_size or 224)
        assert colors_fit(dataset)


def test_held_out_images_depend_on_the_seed_alone(tmp_path: Path) -> None:
    path = fill(tmp_path / "photos")
    one, same = (load_dataset(f"folder:{path}", seed=3) for _ in range(2))
    other = load_dataset(f"folder:{path}", seed=4)
    assert one.test.names == same.test.names != other.test.names
    assert not set(one.train.names) & set(one.test.names)
    assert len({*one.train.names, *one.test.names}) == 30
    half = load_dataset(f"folder:{path}", test_fraction=0.5)
    assert half.test.class_counts(3).tolist() == [5, 5, 5]


def test_limits_keep_the_shares_of_the_classes(tmp_path: Path) -> None:
    path = fill(tmp_path / "photos")
    for i in range(20):
        Image.new("RGB", (12, 12), "red").save(path / "ant" / f"more{i}.png")
    dataset = load_dataset(f"folder:{path}", limit=20, limit_test=5)
    assert dataset.train.class_counts(3).tolist() == [12, 4, 4]
    assert len(dataset.test) == 5
    assert int(load_dataset(f"folder:{path}", limit=3).train.class_counts(3).min()) == 1


def test_hidden_and_foreign_files_are_ignored_and_nested_ones_found(tmp_path: Path) -> None:
    path = fill(tmp_path / "photos")
    (path / "ant" / "notes.txt").write_text("x")
    (path / "bee" / ".hidden.png").write_bytes(b"x")
    (path / "__MACOSX" / "ant").mkdir(parents=True)
    (path / "__MACOSX" / "ant" / "0.png").write_bytes(b"x")
    (path / "cat" / "deep").mkdir()
    Image.new("RGB", (12, 12), "blue").save(path / "cat" / "deep" / "x.PNG")
    dataset = load_dataset(f"folder:{path}")
    assert len(dataset.train) + len(dataset.test) == 31
    assert not dataset.unreadable


@pytest.mark.parametrize("image_size", [None, 128])
def test_unreadable_images_are_listed_and_refused_above_a_limit(
    tmp_path: Path, image_size: int | None
) -> None:
    path = fill(tmp_path / "photos", 40)
    whole = (path / "ant" / "000.png").read_bytes()
    (path / "ant" / "000.png").write_bytes(whole[: len(whole) // 2])
    dataset = load_dataset(f"folder:{path}", image_size=image_size)
    ((name, reason),) = dataset.unreadable
    assert name.endswith("ant/000.png")
    assert reason
    assert len(dataset.train) + len(dataset.test) == 119
    (path / "bee" / "001.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"2 of 120 images are unreadable, more than 1\.0%.*\.png"):
        load_dataset(f"folder:{path}", image_size=image_size)
    assert len(load_dataset(f"folder:{path}", max_unreadable=0.02).unreadable) == 2


def break_nothing(path: Path) -> None:
    shutil.rmtree(path)


def leave_one_class(path: Path) -> None:
    shutil.rmtree(path / "bee")
    shutil.rmtree(path / "cat")


def empty_a_class(path: Path) -> None:
    for file in (path / "bee").iterdir():
        file.unlink()


def flatten(path: Path) -> None:
    for file in list(path.rglob("*.png")):
        file.rename(path / f"{file.parent.name}-{file.name}")
    for name in COLORS:
        (path / name).rmdir()


def add_other_test_classes(path: Path) -> None:
    fill(path / "train")
    fill(path / "test")
    (path / "test" / "cat").rename(path / "test" / "dog")


def break_a_zip(path: Path) -> None:
    (path / "train.zip").write_bytes(b"PK nothing")


def spoil_a_class(path: Path) -> None:
    for file in (path / "bee").iterdir():
        file.write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (break_nothing, "does not exist; expected one folder a class"),
        (leave_one_class, r"a single class \(ant\)"),
        (empty_a_class, "class folder 'bee' holds no image"),
        (flatten, "holds ant-000.png.* more; expected one folder a class"),
        (add_other_test_classes, "dog are only in the test"),
        (break_a_zip, "not readable as a zip file"),
        (spoil_a_class, "10 of 30 images are unreadable"),
    ],
)
def test_wrong_layouts_say_what_was_expected_and_found(
    tmp_path: Path, spoil: object, message: str
) -> None:
    path = fill(tmp_path / "photos")
    spoil(path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_dataset(f"folder:{path}")


def test_named_data_is_found_below_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "photos")
    assert len(load_dataset("folder:photos", root=tmp_path).classes) == 3
    monkeypatch.setenv("FILTERSCOPE_DATA", str(tmp_path))
    assert len(load_dataset("folder:photos").classes) == 3
    (tmp_path / "imagenet" / "train").mkdir(parents=True)
    shutil.move(tmp_path / "photos", tmp_path / "imagenet" / "val")
    fill(tmp_path / "imagenet" / "train" / "x").rename(tmp_path / "tmp")
    shutil.rmtree(tmp_path / "imagenet" / "train")
    (tmp_path / "tmp").rename(tmp_path / "imagenet" / "train")
    assert load_dataset("imagenet", image_size=16).classes == ("ant", "bee", "cat")


def write_cifar(root: Path, name: str) -> tuple[np.ndarray, list[int]]:
    """A few images in the official python layout."""
    generator = np.random.default_rng(0)
    data = generator.integers(0, 256, (6, 3072), dtype=np.uint8)
    labels = [3, 1, 0, 2, 3, 1]
    fine = name == "cifar100"
    folder = root / ("cifar-100-python" if fine else "cifar-10-batches-py")
    folder.mkdir(parents=True)
    key = "fine_labels" if fine else "labels"
    parts = ["train", "test"] if fine else [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for part in parts:
        batch = {"data": data, key: labels, "coarse_labels": [0] * 6, "filenames": ["x"] * 6}
        (folder / part).write_bytes(pickle.dumps(batch, protocol=2))
    names = {"fine_label_names" if fine else "label_names": list("abcd")}
    (folder / ("meta" if fine else "batches.meta")).write_bytes(pickle.dumps(names, protocol=2))
    return data, labels


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_is_read_in_its_official_python_layout(tmp_path: Path, name: str) -> None:
    data, labels = write_cifar(tmp_path, name)
    dataset = load_dataset(name, root=tmp_path)
    assert dataset.classes == tuple("abcd")
    assert len(dataset.train) == (30 if name == "cifar10" else 6)
    assert dataset.test.labels.tolist() == labels
    for i in range(6):
        assert (dataset.test.raw(i).numpy() == data[i].reshape(3, 32, 32)).all()


@pytest.mark.parametrize(("name", "label_bytes"), [("cifar10", 1), ("cifar100", 2)])
def test_cifar_is_read_in_its_binary_layout(tmp_path: Path, name: str, label_bytes: int) -> None:
    fine = name == "cifar100"
    folder = tmp_path / ("cifar-100-binary" if fine else "cifar-10-batches-bin")
    folder.mkdir()
    rows = np.random.default_rng(0).integers(0, 256, (4, label_bytes + 3072), dtype=np.uint8)
    rows[:, label_bytes - 1] = [2, 0, 1, 2]
    parts = ["train", "test"] if fine else [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for part in parts:
        (folder / f"{part}.bin").write_bytes(rows.tobytes())
    meta = "fine_label_names.txt" if fine else "batches.meta.txt"
    (folder / meta).write_text("x\ny\nz\n\n")
    dataset = load_dataset(name, root=tmp_path)
    assert dataset.test.labels.tolist() == [2, 0, 1, 2]
    assert dataset.classes == ("x", "y", "z")
    assert (dataset.test.raw(3).numpy().ravel() == rows[3, label_bytes:]).all()
    (folder / f"{parts[-1]}.bin").write_bytes(rows.tobytes()[:-1])
    with pytest.raises(ValueError, match="truncated"):
        load_dataset(name, root=tmp_path)


class Villain:
    def __reduce__(self) -> tuple:
        return (os.system, ("touch pwned",))


def test_a_pickle_with_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cifar(tmp_path, "cifar10")
    batch = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    batch.write_bytes(pickle.dumps({"data": Villain()}))
    with pytest.raises(ValueError, match="no CIFAR file needs"):
        load_dataset("cifar10", root=tmp_path)
    assert not (tmp_path / "pwned").exists()
    batch.write_bytes(b"\x80\x02}q")
    with pytest.raises(ValueError, match="not readable as a CIFAR batch"):
        load_dataset("cifar10", root=tmp_path)


def test_nothing_is_downloaded_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        "torchvision.datasets.utils.download_and_extract_archive",
        lambda *a, **k: (asked.append(k), write_cifar(tmp_path, "cifar10")),
    )
    with pytest.raises(FileNotFoundError, match=r"cifar-10-batches-py.*--download"):
        load_dataset("cifar10", root=tmp_path)
    assert not asked
    assert len(load_dataset("cifar10", root=tmp_path, download=True).test) == 6
    assert len(asked) == 1


def test_digits_are_always_there_and_never_mirrored() -> None:
    dataset = load_dataset()
    assert (len(dataset.train), len(dataset.test)) == (1438, 359)
    assert not dataset.augmentation.flip
    assert load_dataset(image_size=32).train.raw(0).shape == (3, 32, 32)
    mean = dataset.train.images.pixels.float().mean() / 255
    assert float(mean) == pytest.approx(dataset.transform.mean[0], abs=2e-3)


def test_class_weights_equal_scikit_learns() -> None:
    labels = torch.tensor([0, 0, 1, 2, 2, 2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert class_weights(labels, 3).numpy() == pytest.approx(expected)
    with pytest.raises(ValueError, match=r"classes \[3\]"):
        class_weights(labels, 4)


def gathered(dataset: object, world_size: int, **options: object) -> dict[int, torch.Tensor]:
    """Augmented pixels by index, over all processes; no index may come twice."""
    found: dict[int, torch.Tensor] = {}
    for rank in range(world_size):
        for batch in batches(
            dataset.train, 7, transform=dataset.transform, augmentation=dataset.augmentation,
            shuffle=True, rank=rank, world_size=world_size, **options,
        ):  # fmt: skip
            assert torch.equal(batch.labels, dataset.train.labels[batch.indices])
            for i, image in zip(batch.indices.tolist(), batch.images, strict=True):
                assert i not in found
                found[i] = image
    return found


def same(one: dict[int, torch.Tensor], other: dict[int, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[i], other[i]) for i in one)


@pytest.mark.parametrize("kind", ["in memory", "streamed"])
def test_processes_share_the_images_without_padding_and_change_them_alike(
    tmp_path: Path, kind: str
) -> None:
    if kind == "in memory":
        dataset = load_dataset("digits", limit=64)
    else:
        path = fill(tmp_path / "photos", 12, (150, 130))
        for file in path.rglob("*.png"):
            Image.effect_noise((150, 130), 90).save(file)
        dataset = load_dataset(f"folder:{path}", image_size=100)
    alone = gathered(dataset, 1)
    assert len(alone) == len(dataset.train)
    assert same(alone, gathered(dataset, 1, workers=0))
    assert same(alone, gathered(dataset, 3))
    assert not same(alone, gathered(dataset, 1, epoch=1))
    assert not same(alone, gathered(dataset, 1, seed=1))
    whole = gathered(dataset, 2, drop_last=True)
    assert len(whole) == 7 * num_batches(dataset.train, 7, drop_last=True)


@pytest.mark.data
def test_cifar_in_zip_files_of_jpegs() -> None:
    dataset = load_dataset("folder:cifar10_jpeg", limit=200, limit_test=100)
    assert len(dataset.classes) == 10
    assert dataset.transform.image_size == 32
    assert dataset.train.class_counts(10).tolist() == [20] * 10
    assert dataset.test.class_counts(10).tolist() == [10] * 10
    assert all(name.endswith(".jpg") for name in dataset.train.names)
