"""Archives, landmarks, masks, annotations from outside: a value, or a ValueError with the name."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.damage import damaged

from filterscope.data import folders, load_dataset
from filterscope.data.decode import UnreadableImageError, open_mask
from filterscope.data.landmarks import read_landmarks
from filterscope.data.part_sources import read_cub_objects
from filterscope.data.voc_parts import read_objects


def picture(seed: int = 0, kind: str = "PNG") -> bytes:
    values = np.random.default_rng(seed).integers(0, 256, (9, 9, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind)
    return file.getvalue()


def archive(*more: tuple[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    """A zip file with two classes of three images, and more."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as target:
        for number, name in enumerate(f"{c}/{i}.png" for c in "ab" for i in range(3)):
            target.writestr(name, picture(number))
        for name, content in more:
            target.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/a/0.png", "a/../../outside.png", "a/b/../../../x.png"]
)
def test_archives_that_name_files_outside_are_refused(tmp_path: Path, name: str) -> None:
    file = tmp_path / "photos.zip"
    file.write_bytes(archive((name, picture())))
    with pytest.raises(ValueError, match=r"photos\.zip names .* which lies outside"):
        load_dataset(f"folder:{file}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos.zip"]


def test_archives_that_hold_a_name_twice_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "photos.zip"
    with pytest.warns(UserWarning, match="Duplicate name"):
        file.write_bytes(archive(("a/0.png", picture(9))))
    with pytest.raises(ValueError, match=r"photos\.zip holds a/0\.png more than once"):
        load_dataset(f"folder:{file}")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("image_size", [9, 120])
def test_files_larger_than_any_photograph_are_counted_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, image_size: int
) -> None:
    monkeypatch.setattr(folders, "FILE_LIMIT", 1000)
    path = tmp_path / "photos.zip"
    path.write_bytes(archive(("a/bomb.png", bytes(100_000)), packing=zipfile.ZIP_DEFLATED))
    if not packed:
        with zipfile.ZipFile(path) as source:
            source.extractall(tmp_path / "photos")
        path = tmp_path / "photos"
    dataset = load_dataset(f"folder:{path}", image_size=image_size, max_unreadable=1.0)
    ((name, reason),) = dataset.unreadable
    assert name == f"{path}/a/bomb.png"
    assert reason == "100000 bytes, more than the 1000 that are read"
    assert len(dataset.train) + len(dataset.test) == 6


def test_encrypted_members_are_counted(tmp_path: Path) -> None:
    content = bytearray(archive(("b/locked.png", picture(7))))
    directory = content.rindex(b"PK\x01\x02")  # the last member's
    content[directory + 8] |= 1
    file = tmp_path / "photos.zip"
    file.write_bytes(content)
    dataset = load_dataset(f"folder:{file}", max_unreadable=1.0)
    ((name, reason),) = dataset.unreadable
    assert name == f"{file}/b/locked.png"
    assert "encrypted" in reason


PACKINGS = [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
ARCHIVES = st.sampled_from([archive(packing=packing) for packing in PACKINGS])


@settings(max_examples=150)
@given(ARCHIVES.flatmap(damaged))
def test_a_damaged_archive_loses_no_image_unsaid(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.zip"
    file.write_bytes(content)
    try:
        dataset = load_dataset(f"folder:{file}", max_unreadable=1.0)
    except ValueError as error:
        assert str(file) in str(error)
        return
    found = [*dataset.train.names, *dataset.test.names]
    found += [str(name).removeprefix(f"{file}/") for name, _ in dataset.unreadable]
    found += [str(name).removeprefix(f"{file}/") for name, _ in dataset.ignored]
    with zipfile.ZipFile(file) as source:
        told = [n for n in source.namelist() if not (n.endswith("/") or n.startswith("."))]
        told = [name for name in told if "/." not in name and "__MACOSX" not in name]
    assert sorted(found) == sorted(told)


def test_links_in_a_circle_are_refused(tmp_path: Path) -> None:
    for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(picture())
    linked = tmp_path / "photos" / "a" / "again"
    linked.symlink_to(tmp_path / "photos" / "b")
    dataset = load_dataset(f"folder:{tmp_path / 'photos'}")
    assert len(dataset.train) + len(dataset.test) == 6
    linked.unlink()
    linked.symlink_to("..")
    with pytest.raises(ValueError, match=r"a/again links to a folder that holds it"):
        load_dataset(f"folder:{tmp_path / 'photos'}")


def test_pipes_and_dead_links_are_counted(tmp_path: Path) -> None:
    for name in (f"{c}/{i}.png" for c in "ab" for i in range(5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture())
    os.mkfifo(tmp_path / "a" / "pipe.png")
    (tmp_path / "b" / "dead.jpg").symlink_to("nowhere")
    dataset = load_dataset(f"folder:{tmp_path}", max_unreadable=1.0)
    reasons = {Path(name).name: reason for name, reason in dataset.unreadable}
    assert reasons.keys() == {"pipe.png", "dead.jpg"}
    assert reasons["pipe.png"] == "no regular file"
    assert "No such file" in reasons["dead.jpg"]


def test_files_that_are_not_taken_are_named_with_the_reason(tmp_path: Path) -> None:
    names = ("a/0.png", "a/1.png", "b/0.png", "b/1.png")
    for name in (*names, "a/c.heic", "b/readme", "stray.png", ".hidden", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture())
    dataset = load_dataset(f"folder:{tmp_path}")
    reasons = dict(dataset.ignored)
    assert sorted(reasons) == [f"{tmp_path}/{n}" for n in ("a/c.heic", "b/readme", "stray.png")]
    assert reasons[f"{tmp_path}/stray.png"] == "it lies beside the class folders"
    assert "does not end as an image's" in reasons[f"{tmp_path}/a/c.heic"]
    (note,) = dataset.left_out_notes
    assert note.startswith(f"3 files are not taken for images: {tmp_path}/a/c.heic (its name")


LANDMARKS = (
    b"image,part,x,y,width,height\n1.jpg,head,3,4.5,10,20\n"
    b'2.jpg,"a,b",nan,,1,\n3.jpg,tail,1e3,-4,nan,inf\n'
)
TABLES = st.lists(st.lists(st.text(max_size=6), max_size=7), max_size=5).map(
    lambda rows: "\n".join(["image,part,x,y", *map(",".join, rows)]).encode("utf-8", "replace")
)


@settings(max_examples=300)
@given(st.one_of(damaged(LANDMARKS), TABLES, st.binary(max_size=80)))
def test_damaged_landmarks_are_read_or_refused_by_name(content: bytes) -> None:
    try:
        found = read_landmarks(content, "birds/landmarks.csv")
    except ValueError as error:
        assert str(error).startswith("birds/landmarks.csv")
        return
    for row in found:
        assert np.isfinite([row.x, row.y]).all()
        assert row.image and row.part


def test_lines_are_counted_as_editors_count_them() -> None:
    content = b'image,part,x,y\n\n1.jpg,"a\nb",1,2\n2.jpg,head,x,2\n'
    with pytest.raises(ValueError, match=r"a\.csv, line 5: x is 'x'"):
        read_landmarks(content, "a.csv")
    (row,) = read_landmarks(b"image,part,x,y,width,height\n1.jpg,a,1,2,nan,3\n", "a.csv")
    assert row.size is None
    with pytest.raises(ValueError, match=r"a\.csv has the column x twice"):
        read_landmarks(b"image,part,x,y,x\n1.jpg,a,1,2,3\n", "a.csv")


def mask(kind: str, mode: str = "L") -> bytes:
    values = (np.arange(400).reshape(20, 20) % 3 == 0).astype(np.uint8) * 255
    file = io.BytesIO()
    Image.fromarray(values).convert(mode).save(file, kind)
    return file.getvalue()


MASKS = [mask(kind) for kind in ("PNG", "BMP", "GIF", "TIFF")] + [mask("PNG", "1")]


@settings(max_examples=150)
@pytest.mark.filterwarnings("ignore::UserWarning")
@given(st.sampled_from(MASKS).flatmap(damaged))
def test_damaged_masks_are_two_values_or_refused(content: bytes) -> None:
    try:
        found = np.asarray(open_mask(content))
    except UnreadableImageError as error:
        assert str(error).startswith("the mask ")
        return
    assert set(np.unique(found)) <= {0, 255}


def structs(rows: list[dict[str, object]]) -> np.ndarray:
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        array[0, place] = tuple(row.values())
    return array


def annotation(*, packed: bool) -> bytes:
    mask = np.zeros((9, 8), np.uint8)
    mask[2:5, 3:6] = 1
    parts = structs([{"part_name": name, "mask": mask} for name in ("head", "tail")])
    objects = [{"class": kind, "mask": mask, "parts": parts} for kind in ("bird", "cat")]
    file = io.BytesIO()
    scipy.io.savemat(file, {"anno": {"objects": structs(objects)}}, do_compression=packed)
    return file.getvalue()


ANNOTATIONS = st.sampled_from([annotation(packed=packed) for packed in (False, True)])


@settings(max_examples=150)
@given(ANNOTATIONS.flatmap(damaged))
def test_damaged_annotations_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "damaged.mat"
    file.write_bytes(content)
    try:
        found = read_objects(file)
    except ValueError as error:
        assert str(file) in str(error)
        return
    assert {one.kind for one in found} <= {"bird", "cat"}
    for one in found:
        assert all(part.shape == one.mask.shape for part in one.parts.values())


CUB = {
    "images.txt": "1 a/x.jpg\n2 a/y.jpg\n",
    "train_test_split.txt": "1 0\n2 1\n",
    "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 1 2 3 4\n",
    "parts/part_locs.txt": "1 1 312.0 182.0 1\n2 6 0 0 0\n",
}


@settings(max_examples=100)
@given(st.sampled_from(sorted(CUB)), st.data())
def test_damaged_lists_of_birds_are_read_or_refused_by_name(
    tmp_path_factory: pytest.TempPathFactory, which: str, data: st.DataObject
) -> None:
    root = tmp_path_factory.getbasetemp() / "birds"
    (root / "parts").mkdir(parents=True, exist_ok=True)
    for name, text in CUB.items():
        content = data.draw(damaged(text.encode())) if name == which else text.encode()
        (root / name).write_bytes(content)
    try:
        assert list(read_cub_objects(root))
    except ValueError as error:
        assert str(root) in str(error)
