"""A data set full of damaged and unusual images: nothing is lost, nothing is read wrongly."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks.damaged_images import Sample, make_samples, try_files, write
from PIL import Image

from filterscope.data import batches, load_dataset

SAMPLES = make_samples(56, seed=1)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("image_size", [64, 128])
def test_every_file_is_read_rightly_or_counted(
    tmp_path: Path, packed: bool, image_size: int
) -> None:
    counts, wrong = try_files(SAMPLES, write(SAMPLES, tmp_path, packed=packed), image_size)
    assert wrong == []
    assert sum(counts.values()) == len(SAMPLES)
    assert counts["truncated", "unreadable"] == counts["EXIF rotation", "read"] == 4


def test_the_bench_sees_a_file_that_was_read_wrongly_or_lost(tmp_path: Path) -> None:
    samples = dict(SAMPLES)
    good = next(name for name, sample in samples.items() if sample.kind == "good")
    samples[good] = Sample("good", ".png", samples[good].content, "read", lambda pixels: False)
    path = write(samples, tmp_path, packed=False)
    _, wrong = try_files(samples, path, 64)
    assert wrong == [f"good {good} was read wrongly"]
    samples["a/lost.png"] = Sample("good", ".png", b"", "read")
    assert "good a/lost.png: lost, expected read" in try_files(samples, path, 64)[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_later_is_named_in_a_line(tmp_path: Path, workers: int) -> None:
    for name in (f"{c}/{i}.png" for c in "ab" for i in range(3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((120, 120, 3), np.uint8)).save(tmp_path / name)
    dataset = load_dataset(f"folder:{tmp_path}", image_size=100)
    (tmp_path / dataset.train.names[0]).write_bytes(b"broken")
    with pytest.raises(ValueError, match=dataset.train.names[0]) as caught:
        list(batches(dataset.train, 2, transform=dataset.transform, workers=workers))
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
