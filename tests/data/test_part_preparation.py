"""PASCAL-Part, CUB-200-2011 and ILSVRC parts in their official layouts, made here in small."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from filterscope.data import load_dataset, prepare_parts
from filterscope.data.part_sources import (
    Broken,
    Negative,
    PartObject,
    read_cub_objects,
    read_ilsvrc_objects,
    read_voc_objects,
)


def photograph(file: Path, size: tuple[int, int] = (120, 100)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.effect_noise(size, 60).convert("RGB").save(file)


def rectangle(box: tuple[int, int, int, int]) -> np.ndarray:
    left, top, right, bottom = box
    mask = np.zeros((100, 120), np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def annotate(file: Path, objects: list[tuple[str, np.ndarray, dict[str, np.ndarray]]]) -> None:
    names = [("class", object), ("mask", object), ("parts", object)]
    rows = np.empty((1, len(objects)), dtype=names)
    for i, (kind, mask, parts) in enumerate(objects):
        cells = np.empty((1, len(parts)), dtype=[("part_name", object), ("mask", object)])
        for j, part in enumerate(parts.items()):
            cells[0, j] = part
        rows[0, i] = (kind, mask, cells)
    scipy.io.savemat(file, {"anno": {"imname": file.stem, "objects": rows}})


def write_voc(root: Path) -> Path:
    """Six photographs of a bird and a person, four of a cow's corner, eight of a table."""
    voc, annotations = root / "VOCdevkit/VOC2010", root / "Annotations_Part"
    for folder in (voc / "JPEGImages", voc / "ImageSets/Main", annotations):
        folder.mkdir(parents=True)
    parts = {
        "head": rectangle((20, 10, 40, 30)),
        "torso": rectangle((30, 30, 90, 60)),
        "beak": rectangle((20, 20, 24, 24)),
    }
    bird = ("bird", rectangle((20, 10, 100, 70)), parts)
    person = ("person", rectangle((0, 0, 9, 9)), {})
    contents = [[person, bird]] * 6 + [[("cow", rectangle((0, 0, 49, 50)), {})]] * 4
    contents += [[("table", rectangle((0, 0, 60, 60)), {})]] * 8
    names = [f"2008_{i:06d}" for i in range(len(contents))]
    for name, objects in zip(names, contents, strict=True):
        photograph(voc / "JPEGImages" / f"{name}.jpg")
        annotate(annotations / f"{name}.mat", objects)
    (voc / "ImageSets/Main/trainval.txt").write_text("\n".join(names))
    return root


def test_voc_objects_have_the_boxes_of_their_masks_and_the_middles_of_their_parts(
    tmp_path: Path,
) -> None:
    source = write_voc(tmp_path)
    (source / "Annotations_Part/2008_000005.mat").write_bytes(b"nothing")
    entries = list(read_voc_objects(source))
    objects = [entry for entry in entries if isinstance(entry, PartObject)]
    assert [entry.category for entry in objects] == ["bird"] * 5 + ["cow"] * 4
    assert objects[0].name == "2008_000000_1"
    assert objects[0].box == (20, 10, 100, 70)
    assert objects[0].landmarks == (("head", 30, 20), ("torso", 60, 45))
    assert sum(isinstance(entry, Negative) for entry in entries) == 8
    assert [entry.file.name for entry in entries if isinstance(entry, Broken)] == [
        "2008_000005.mat"
    ]


def test_voc_parts_are_cut_and_load(tmp_path: Path) -> None:
    source, out = write_voc(tmp_path / "voc"), tmp_path / "voc-parts"
    (source / "VOCdevkit/VOC2010/JPEGImages/2008_000004.jpg").unlink()
    moved: list[tuple[int, int]] = []
    report = prepare_parts("voc-parts", source, out, on_progress=lambda *n: moved.append(n))
    assert report.counts == {"bird": 5}
    assert (report.negatives, report.landmarks) == (8, 10)
    assert len(report.skipped) == 4
    assert report.skipped[0] == ("2008_000006_0", "its box has 49 x 50 pixels")
    assert [reason for _, reason in report.corrupt] == ["missing"]
    assert moved[-1] == (18, 18)
    lines = (out / "bird/landmarks.csv").read_text().splitlines()
    assert lines[0] == "image,width,height,part,x,y"
    assert lines[1] == "images/2008_000000_1.jpg,80,60,head,10.00,10.00"
    with Image.open(out / "bird/images/2008_000000_1.jpg") as picture:
        assert picture.size == (80, 60)
    dataset = load_dataset(f"part-folder:{out}", image_size=64)
    assert dataset.classes == ("neg", "bird")
    assert dataset.test.landmarks is not None
    assert dataset.test.landmarks[-1].tolist() == [
        [8, pytest.approx(10 * 64 / 60)], [32, pytest.approx(35 * 64 / 60)]
    ]  # fmt: skip


def test_an_interrupted_preparation_is_refused_and_taken_up(tmp_path: Path) -> None:
    source, out = write_voc(tmp_path / "voc"), tmp_path / "out"

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_parts("voc-parts", source, out, on_progress=stop)
    for path in (out, out / "bird"):
        with pytest.raises(ValueError, match="was interrupted; give its command again"):
            load_dataset(f"part-folder:{path}")
    kept = out / "bird/images/2008_000000_1.jpg"
    before = kept.stat().st_mtime_ns
    (out / "bird/images/2008_000001_1.jpg").write_bytes(b"half")
    report = prepare_parts("voc-parts", source, out)
    assert report.counts == {"bird": 6}
    assert kept.stat().st_mtime_ns == before
    assert len(load_dataset(f"part-folder:{out}").test) > 0
    with pytest.raises(ValueError, match="was prepared otherwise"):
        prepare_parts("voc-parts", source, out, min_area=4)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    with pytest.raises(FileExistsError, match="holds something else"):
        prepare_parts("voc-parts", source, tmp_path / "full")


def write_cub(root: Path) -> Path:
    """Eight birds, every second one for testing, and three photographs without."""
    cub = root / "CUB_200_2011"
    (cub / "parts").mkdir(parents=True)
    count = range(1, 9)
    for i in count:
        photograph(cub / f"images/{i:03d}.Bird/b{i}.jpg")
    for i in range(3):
        photograph(root / "neg" / f"{i:05d}.JPEG")
    places = [f"{i} {part} {part + 30}.0 40.5 {int(part != 14)}" for i in count
              for part in range(1, 16)]  # fmt: skip
    lists = {
        "images.txt": [f"{i} {i:03d}.Bird/b{i}.jpg" for i in count],
        "train_test_split.txt": [f"{i} {i % 2}" for i in count],
        "bounding_boxes.txt": [f"{i} 20.0 10.0 80.0 60.0" for i in count],
        "parts/part_locs.txt": places,
    }
    for name, lines in lists.items():
        (cub / name).write_text("\n".join(lines) + "\n")
    return root


def test_cub_keeps_its_split_and_divides_the_negatives(tmp_path: Path) -> None:
    source, out = write_cub(tmp_path / "cub"), tmp_path / "cub-parts"
    objects = [e for e in read_cub_objects(source) if isinstance(e, PartObject)]
    assert objects[1].landmarks == (("back", 31, 40.5), ("forehead", 36, 40.5))
    assert objects[1].box == (20, 10, 100, 70)
    report = prepare_parts("cub-parts", source, out)
    assert report.counts == {"train/bird": 4, "test/bird": 4}
    dataset = load_dataset(f"part-folder:{out}", image_size=32)
    assert dataset.train.class_counts(2).tolist() == [2, 6]
    assert dataset.test.class_counts(2).tolist() == [1, 4]
    assert dataset.test.part_names == ("back", "forehead")
    assert dataset.test.landmarks is not None
    assert dataset.test.landmarks[0].tolist() == [
        [pytest.approx(11 * 32 / 80, abs=1e-4), pytest.approx(30.5 * 32 / 60, abs=1e-4)],
        [pytest.approx(16 * 32 / 80, abs=1e-4), pytest.approx(30.5 * 32 / 60, abs=1e-4)],
    ]


def structs(names: str, rows: list[tuple[object, ...]]) -> np.ndarray:
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names.split()])
    for i, row in enumerate(rows):
        array[0, i] = row
    return array


def write_ilsvrc(root: Path) -> Path:
    """Two categories of four images; the second image shows two heads, the third none."""
    heads = [np.array([[56.0], [112.0]]), np.array([[56.0, 112.0], [112.0, 168.0]]),
             np.zeros((0, 0)), np.array([[224.0], [224.0]])]  # fmt: skip
    truth = root / "data_input_DET-2015-subset-ILSVRC2013train"
    for category in ("n01", "n02"):
        folder = root / "detanimalpart" / f"{category}_obj/img"
        boxes = [{"xmin": 21.0, "ymin": 11.0, "xmax": 100.0, "ymax": 70.0}] * 4
        for i in range(4):
            photograph(folder / "img" / f"{i + 1:05d}.jpg")
        samples = structs("obj", [({"bndbox": box},) for box in boxes])
        scipy.io.savemat(folder / "data.mat", {"samples": samples})
        (truth / category).mkdir(parents=True)
        content = structs("pHW_center", [(head,) for head in heads])
        scipy.io.savemat(truth / category / "truth_part01.mat", {"truth": content})
    return root


def test_ilsvrc_parts_are_read_from_the_authors_truth(tmp_path: Path) -> None:
    source, out = write_ilsvrc(tmp_path / "ilsvrc"), tmp_path / "out"
    objects = [e for e in read_ilsvrc_objects(source) if isinstance(e, PartObject)]
    assert len(objects) == 8
    assert objects[0].box == (20, 10, 100, 70)
    assert objects[0].landmarks == (("head", 60, 25),)  # row 56 and column 112 of 224
    assert [len(entry.landmarks) for entry in objects[:4]] == [1, 2, 0, 1]
    (source / "detanimalpart/n02_obj/img/data.mat").write_bytes(b"nothing")
    report = prepare_parts("ilsvrc-parts", source, out)
    assert report.counts == {"n01": 4}
    assert report.landmarks == 4
    assert len(report.corrupt) == 1
    for i in range(4):
        photograph(source / "neg" / f"{i}.JPEG")
    out = tmp_path / "again"
    prepare_parts("ilsvrc-parts", source, out)
    dataset = load_dataset(f"part-folder:{out}", image_size=32, repeat=False, test_fraction=0.25)
    assert dataset.classes == ("neg", "n01")
    assert any("1 parts" in note for note in dataset.landmark_notes)


@pytest.mark.parametrize(
    ("name", "write", "lost", "message"),
    [
        ("cub-parts", write_cub, "CUB_200_2011/parts/part_locs.txt", "has no parts/part_locs.txt"),
        ("ilsvrc-parts", write_ilsvrc, "detanimalpart", "has no detanimalpart; expected"),
        (
            "ilsvrc-parts",
            write_ilsvrc,
            "data_input_DET-2015-subset-ILSVRC2013train",
            "has no data_input_DET",
        ),
        ("voc-parts", write_voc, "Annotations_Part", "PASCAL-Part is not in"),
    ],
)
def test_what_is_missing_is_named(
    name: str, write: Callable[[Path], Path], lost: str, message: str, tmp_path: Path
) -> None:
    source = write(tmp_path / "source")
    (source / lost).rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=message):
        prepare_parts(name, source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_lists_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source = write_cub(tmp_path)
    boxes = source / "CUB_200_2011/bounding_boxes.txt"
    boxes.write_text("1 20.0 10.0 80.0 60.0\n")
    with pytest.raises(ValueError, match="image 2 has no split or no box"):
        prepare_parts("cub-parts", source, tmp_path / "out")
    boxes.write_text("1 20.0 10.0 80.0 60.0\n2 20\n")
    with pytest.raises(ValueError, match="is damaged: its lines differ"):
        prepare_parts("cub-parts", source, tmp_path / "out")
    with pytest.raises(ValueError, match="unknown data set to prepare 'voc-part'; near: voc-parts"):
        prepare_parts("voc-part", source, tmp_path / "out")
    with pytest.raises(ValueError, match="`min_area` must be at least 1, got 0"):
        prepare_parts("voc-parts", source, tmp_path / "out", min_area=0)
