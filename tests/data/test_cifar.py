"""CIFAR-10 and CIFAR-100 as their archives have them, and files that are not what they seem."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets.utils

from filterscope.data import Split, load_dataset

NAMES = {
    "cifar10": [
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ],
    "cifar100": [f"fine_{i:02}" for i in range(100)],
}
TRAIN_FILES = {"cifar10": [f"data_batch_{i}" for i in range(1, 6)], "cifar100": ["train"]}
TEST_FILES = {"cifar10": ["test_batch"], "cifar100": ["test"]}
PYTHON_FOLDER = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}
BINARY_FOLDER = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}
ONE_TEST_FILE = {"cifar10": "test_batch", "cifar100": "test"}
META = {"cifar10": "batches.meta", "cifar100": "meta"}
PER_FILE = 4


def contents(name: str) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Rows of 3,072 bytes, and labels, of each file."""
    made = {}
    rng = np.random.default_rng(7)
    for file in (*TRAIN_FILES[name], *TEST_FILES[name]):
        rows = rng.integers(0, 256, (PER_FILE, 3072)).astype(np.uint8)
        made[file] = (rows, rng.integers(0, len(NAMES[name]), PER_FILE).tolist())
    return made


def write_python(name: str, root: Path) -> Path:
    folder = root / PYTHON_FOLDER[name]
    folder.mkdir(parents=True)
    for file, (rows, labels) in contents(name).items():
        values: dict[str, Any] = {
            "batch_label": f"batch {file}",
            "data": rows,
            "filenames": [f"image_{i}.png" for i in range(len(rows))],
        }
        if name == "cifar10":
            values["labels"] = labels
        else:
            values["fine_labels"] = labels
            values["coarse_labels"] = [label // 5 for label in labels]
        (folder / file).write_bytes(pickle.dumps(values, protocol=2))
    key = "label_names" if name == "cifar10" else "fine_label_names"
    meta = {key: NAMES[name], "num_cases_per_batch": PER_FILE, "coarse_label_names": ["x"] * 20}
    (folder / META[name]).write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def write_binary(name: str, root: Path) -> Path:
    folder = root / BINARY_FOLDER[name]
    folder.mkdir(parents=True)
    for file, (rows, labels) in contents(name).items():
        with (folder / f"{file}.bin").open("wb") as stream:
            for row, label in zip(rows, labels, strict=True):
                coarse = bytes([label // 5]) if name == "cifar100" else b""
                stream.write(coarse + bytes([label]) + row.tobytes())
    meta = "batches.meta.txt" if name == "cifar10" else "fine_label_names.txt"
    # the real files end in empty lines
    (folder / meta).write_text("\n".join(NAMES[name]) + "\n\n")
    return folder


def assert_read(split: Split, name: str, files: list[str]) -> None:
    made = contents(name)
    assert len(split) == PER_FILE * len(files)
    for index in range(len(split)):
        rows, labels = made[files[index // PER_FILE]]
        row, pixels = rows[index % PER_FILE], split.raw(index)
        assert pixels.dtype == torch.uint8
        # the 1,024 reds first, then greens and blues, each line by line from the top
        for channel in range(3):
            for line in range(32):
                start = 1024 * channel + 32 * line
                assert pixels[channel, line].tolist() == row[start : start + 32].tolist()
        assert int(split.labels[index]) == labels[index % PER_FILE]


WRITERS = {"python": write_python, "binary": write_binary}


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_every_pixel_and_label_of_the_official_layouts_is_read(
    tmp_path: Path, name: str, layout: str
) -> None:
    WRITERS[layout](name, tmp_path)
    dataset = load_dataset(name, root=tmp_path)
    assert dataset.classes == tuple(NAMES[name])
    assert_read(dataset.train, name, TRAIN_FILES[name])
    assert_read(dataset.test, name, TEST_FILES[name])


@pytest.mark.parametrize("layout", WRITERS)
def test_a_folder_with_the_name_of_the_data_set_around_the_layout_is_found(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITERS[layout]("cifar10", tmp_path / "cifar10")
    monkeypatch.setenv("FILTERSCOPE_DATA", str(tmp_path))
    assert_read(load_dataset("cifar10").train, "cifar10", TRAIN_FILES["cifar10"])


def test_cifar_is_32_pixels_large_and_augmented_by_shifts_of_4_and_mirroring(
    tmp_path: Path,
) -> None:
    write_python("cifar10", tmp_path)
    dataset = load_dataset("cifar10", root=tmp_path)
    assert dataset.transform.image_size == 32
    assert (dataset.augmentation.padding, dataset.augmentation.flip) == (4, True)


def test_another_image_size_scales_the_pixels_and_keeps_the_labels(tmp_path: Path) -> None:
    write_python("cifar10", tmp_path)
    small = load_dataset("cifar10", root=tmp_path, image_size=16)
    whole = load_dataset("cifar10", root=tmp_path)
    assert torch.equal(small.train.labels, whole.train.labels)
    for index in range(len(whole.train)):
        pixels = small.train.raw(index)
        assert pixels.shape == (3, 16, 16)
        assert torch.equal(pixels, small.transform.pixels(whole.train.raw(index)))


def test_limited_images_are_the_ones_their_names_tell(tmp_path: Path) -> None:
    write_python("cifar10", tmp_path)
    whole = load_dataset("cifar10", root=tmp_path).train
    part = load_dataset("cifar10", root=tmp_path, limit=12, limit_test=4)
    classes = len(set(whole.labels.tolist()))
    assert classes <= len(part.train) < len(whole)
    for index, name in enumerate(part.train.names):
        origin = int(name.removeprefix("cifar10 train "))
        assert torch.equal(part.train.raw(index), whole.raw(origin))
        assert part.train.labels[index] == whole.labels[origin]


class RunsCommand:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_pickle_that_runs_a_command_is_refused_and_the_command_is_not_run(
    tmp_path: Path, file: str, protocol: int
) -> None:
    folder = write_python("cifar10", tmp_path)
    trace = tmp_path / "was_here"
    bad = pickle.dumps({"labels": [0], "data": RunsCommand(f"touch {trace}")}, protocol=protocol)
    (folder / file).write_bytes(bad)
    with pytest.raises(ValueError, match=r"it names \w+\.system, which no CIFAR file needs") as no:
        load_dataset("cifar10", root=tmp_path)
    assert str(folder / file) in str(no.value)
    assert not trace.exists()
    # the same bytes do run the command where pickles are trusted
    pickle.loads(bad)
    assert trace.exists()


@pytest.mark.parametrize("value", [OrderedDict(a=1), Path("x"), np.float64(3), eval, complex(1, 2)])
def test_a_pickle_that_names_anything_but_arrays_is_refused(tmp_path: Path, value: Any) -> None:
    folder = write_python("cifar10", tmp_path)
    (folder / "test_batch").write_bytes(pickle.dumps({"labels": value}, protocol=2))
    with pytest.raises(ValueError, match="which no CIFAR file needs"):
        load_dataset("cifar10", root=tmp_path)


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 5000, -1])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_truncated_pickle_is_refused_by_name(tmp_path: Path, name: str, kept: int) -> None:
    file = write_python(name, tmp_path) / ONE_TEST_FILE[name]
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match="is not readable as a CIFAR batch") as caught:
        load_dataset(name, root=tmp_path)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        [1, 2, 3],
        {"labels": [1]},
        {"data": np.zeros((1, 3072), np.uint8)},
        {"data": np.zeros((1, 3071), np.uint8), "labels": [1]},
        {"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]},
    ],
)
def test_a_pickle_with_other_content_is_no_batch(tmp_path: Path, values: Any) -> None:
    file = write_python("cifar10", tmp_path) / "data_batch_2"
    file.write_bytes(pickle.dumps(values, protocol=2))
    with pytest.raises(ValueError, match="is no CIFAR batch") as caught:
        load_dataset("cifar10", root=tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("cut", [1, 3072, 3073 * PER_FILE])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_truncated_binary_is_refused_by_name(tmp_path: Path, name: str, cut: int) -> None:
    file = write_binary(name, tmp_path) / f"{ONE_TEST_FILE[name]}.bin"
    content = file.read_bytes()
    file.write_bytes(content[: max(0, len(content) - cut)])
    with pytest.raises(ValueError, match="is truncated") as caught:
        load_dataset(name, root=tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("part", ["data_batch_4", "test_batch", "batches.meta"])
def test_a_missing_part_is_named(tmp_path: Path, layout: str, part: str) -> None:
    (file,) = WRITERS[layout]("cifar10", tmp_path).glob(f"{part}*")
    file.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset("cifar10", root=tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_missing_data_is_not_downloaded_unasked_and_the_layout_is_told(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*args: Any, **options: Any) -> None:
        pytest.fail("nobody asked for a download")

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", download)
    with pytest.raises(FileNotFoundError) as caught:
        load_dataset(name, root=tmp_path)
    for part in (str(tmp_path), PYTHON_FOLDER[name], BINARY_FOLDER[name], "cs.toronto.edu"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_data_that_is_there_is_not_downloaded_again(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*args: Any, **options: Any) -> None:
        pytest.fail("the data is there")

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", download)
    write_python(name, tmp_path)
    assert_read(load_dataset(name, root=tmp_path, download=True).test, name, TEST_FILES[name])


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_wanted_download_comes_from_the_official_page_with_its_checksum(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str | None]] = []

    def download(url: str, root: str, *, filename: str, md5: str | None = None) -> None:
        asked.append((url, md5))
        write_python(name, Path(root))

    monkeypatch.setattr(torchvision.datasets.utils, "download_and_extract_archive", download)
    dataset = load_dataset(name, root=tmp_path, download=True)
    assert_read(dataset.train, name, TRAIN_FILES[name])
    ((url, md5),) = asked
    assert url.startswith("https://www.cs.toronto.edu/~kriz/cifar-")
    # as the page prints them
    assert (
        md5
        == {
            "cifar10": "c58f30108f718f92721af3b95e74349a",
            "cifar100": "eb9058c3a382ffc7106e4002c42a8d85",
        }[name]
    )
