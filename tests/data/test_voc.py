"""PASCAL VOC's animals: each rule of the published crops, on small files in official layouts."""

import io
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from filterscope.data import PreparationReport, Split, load_dataset, prepare_voc_animals
from filterscope.data.voc_crops import cut_image, cut_mask, is_whole, object_window
from filterscope.data.voc_parts import PART_GROUPS, VOC_ANIMALS, read_objects
from filterscope.data.voc_source import divide_photographs, find_voc, read_list

SIZE = 16
HEIGHT, WIDTH = 24, 36
CLASSES = ["bird", "cat", "dog", "cow", "horse", "sheep"]

Objects = list[tuple[str, np.ndarray, dict[str, np.ndarray]]]


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """A mask of the rows and columns from first to last."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : bottom + 1, left : right + 1] = 1
    return mask


def structs(rows: list[dict[str, object]]) -> np.ndarray:
    """A MATLAB struct array of one row, as the official files hold them."""
    if not rows:
        return np.zeros((0, 0))
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in rows[0]])
    for i, row in enumerate(rows):
        array[0, i] = tuple(row.values())
    return array


def write_annotation(file: Path, objects: Objects) -> None:
    rows = [
        {
            "class": kind,
            "class_ind": 1.0,
            "mask": mask,
            "parts": structs([{"part_name": n, "mask": m} for n, m in parts.items()]),
        }
        for kind, mask, parts in objects
    ]
    scipy.io.savemat(file, {"anno": {"imname": file.stem, "objects": structs(rows)}})


def write_xml(file: Path, objects: Objects) -> None:
    """VOC's own annotation, with boxes that are not the masks' and every reason to leave out."""
    entries = "".join(
        f"<object><name>{kind}</name><truncated>1</truncated><occluded>1</occluded>"
        "<difficult>1</difficult><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax>"
        "<ymax>5</ymax></bndbox></object>"
        for kind, _, _ in objects
    )
    file.write_text(f"<annotation>{entries}</annotation>")


def photograph(number: int) -> Image.Image:
    values = np.random.default_rng(number).integers(60, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return Image.fromarray(values)


def write_voc(root: Path, contents: dict[str, Objects]) -> Path:
    """The official tree: VOCdevkit/VOC2010 and Annotations_Part."""
    voc, parts = root / "VOCdevkit/VOC2010", root / "Annotations_Part"
    for folder in (voc / "JPEGImages", voc / "Annotations", voc / "ImageSets/Main", parts):
        folder.mkdir(parents=True)
    for number, (name, objects) in enumerate(contents.items()):
        photograph(number).save(voc / "JPEGImages" / f"{name}.jpg", quality=95)
        write_xml(voc / "Annotations" / f"{name}.xml", objects)
        write_annotation(parts / f"{name}.mat", objects)
    (voc / "ImageSets/Main/trainval.txt").write_text("".join(f"{name}\n" for name in contents))
    return root


def animals(count: int = 20) -> dict[str, Objects]:
    """Photographs with two animals each and something else between them."""
    contents: dict[str, Objects] = {}
    for i in range(count):
        first, second = CLASSES[i % 6], CLASSES[(i + 1) % 6]
        contents[f"2008_{i:06d}"] = [
            (
                first,
                box(3, 12, 2 + i % 5, 15),
                {"head": box(3, 6, 4, 9), "torso": box(7, 12, 4, 9)},
            ),
            ("person", box(0, 23, 0, 35), {}),
            (second, box(5, 20, 14, 30 + i % 4), {}),
        ]
    return contents


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "voc", animals())


def prepare(source: Path, destination: Path, **options: object) -> PreparationReport:
    return prepare_voc_animals(source, destination, **{"size": SIZE, **options})


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# the window


@pytest.mark.parametrize(
    ("rows", "columns", "window"),
    [
        ((2, 4), (1, 5), (1, 1, 5, 5)),  # half side 4 / 2, not 5 / 2
        ((1, 5), (2, 4), (1, 1, 5, 5)),
        ((0, 3), (0, 3), (0, 0, 3, 3)),
        ((6, 7), (4, 4), (4, 6, 4, 7)),  # columns 3.5 to 4.5, both to the even 4: no pixel
        ((6, 7), (5, 5), (4, 6, 6, 7)),  # columns 4.5 to 5.5, to 4 and 6
        ((0, 10), (0, 1), (-4, 0, 6, 10)),  # beyond the border: -4.5 to 5.5
        ((9, 12), (6, 7), (5, 9, 8, 12)),  # 5 to 8
    ],
)
def test_the_window_is_square_about_the_box_of_the_mask(
    rows: tuple[int, int], columns: tuple[int, int], window: tuple[int, int, int, int]
) -> None:
    mask = box(*rows, *columns).astype(bool)
    found = object_window(mask)
    if window[0] == window[2]:
        assert found is None
    else:
        assert found == window


def reference_crop(image: np.ndarray, mask: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The rule as written: pad by the image's own size, round the ends, slice."""
    height, width = mask.shape
    rows = [y for y in range(height) if mask[y].any()]
    columns = [x for x in range(width) if mask[:, x].any()]
    half = max(rows[-1] - rows[0], columns[-1] - columns[0]) / 2
    middle_y, middle_x = (rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2
    padded = np.zeros((3 * height, 3 * width, *wanted.shape[2:]), wanted.dtype)
    padded[height : 2 * height, width : 2 * width] = wanted
    y = [round(height + middle_y + sign * half) for sign in (-1, 1)]
    x = [round(width + middle_x + sign * half) for sign in (-1, 1)]
    return padded[y[0] : y[1], x[0] : x[1]]


@pytest.mark.parametrize("shape", [(24, 36), (25, 36), (24, 35), (25, 35)])
def test_crops_equal_those_of_the_written_rule(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(1, 255, (*shape, 3), dtype=np.uint8)
    empty = 0
    for _ in range(150):
        mask = np.zeros(shape, bool)
        y, x = generator.integers(0, shape[0]), generator.integers(0, shape[1])
        mask[y : y + generator.integers(1, 18), x : x + generator.integers(1, 18)] = True
        mask &= generator.random(shape) < 0.9
        if not mask.any():
            continue
        expected = reference_crop(image, mask, image)
        window = object_window(mask)
        if window is None:
            assert expected.size == 0
            empty += 1
            continue
        assert np.array_equal(np.asarray(Image.fromarray(image).crop(window)), expected)
        scaled = Image.fromarray(expected).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        assert np.array_equal(
            np.asarray(cut_image(Image.fromarray(image), window, SIZE)), np.asarray(scaled)
        )
        part = generator.random(shape) < 0.5
        cropped = reference_crop(image, mask, part.astype(np.uint8) * 255)
        nearest = Image.fromarray(cropped).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        assert np.array_equal(np.asarray(cut_mask(part, window, SIZE)), np.asarray(nearest) != 0)
    assert empty, "some of these objects are single pixels"


def test_what_lies_outside_the_photograph_is_black_and_no_object() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[0:20, 0:3] = True
    white = Image.new("RGB", (WIDTH, HEIGHT), "white")
    window = object_window(mask)
    assert window == (-8, 0, 10, 19)
    cut = np.asarray(cut_image(white, window, 18))
    assert (cut[:, :8] == 0).all()
    assert (cut[:, 8:] == 255).all()
    assert not np.asarray(cut_mask(np.ones_like(mask), window, 18))[:, :8].any()


def test_a_tall_photograph_may_be_left_by_more_than_its_width() -> None:
    mask = np.zeros((40, 6), bool)
    mask[0:39, 3] = True
    assert object_window(mask) == (-16, 0, 22, 38)


def test_one_pixel_has_no_window_and_an_empty_mask_is_refused() -> None:
    mask = np.zeros((8, 8), bool)
    with pytest.raises(ValueError, match="`mask` has no object"):
        object_window(mask)
    mask[3, 4] = True
    assert object_window(mask) is None


def test_an_empty_mask_stays_a_mask(tmp_path: Path) -> None:
    cut = cut_mask(np.zeros((8, 8), bool), (0, 0, 5, 5), SIZE)
    assert (cut.mode, cut.size) == ("1", (SIZE, SIZE))
    assert not np.asarray(cut).any()


# the annotations


FINE_PARTS = {
    "bird": "HEAD: head reye leye beak; TORSO: torso neck lwing rwing; "
    "BLIMB: lleg rleg lfoot rfoot; TAIL: tail",
    "cat": "HEAD: head leye reye lear rear nose; TORSO: torso neck; "
    "FLIMB: lfleg rfleg lfpa rfpa; BLIMB: lbleg rbleg lbpa rbpa; TAIL: tail",
    "dog": "HEAD: head leye reye lear rear nose muzzle; TORSO: torso neck; "
    "FLIMB: lfleg rfleg lfpa rfpa; BLIMB: lbleg rbleg lbpa rbpa; TAIL: tail",
    "cow": "HEAD: head leye reye lear rear muzzle lhorn rhorn; TORSO: torso neck; "
    "FLIMB: lflleg lfuleg rflleg rfuleg; BLIMB: lblleg lbuleg rblleg rbuleg",
    "horse": "HEAD: head leye reye lear rear muzzle; TORSO: torso neck; "
    "FLIMB: lflleg lfuleg rflleg rfuleg lfho rfho; BLIMB: lblleg lbuleg rblleg rbuleg lbho rbho",
    "sheep": "HEAD: head leye reye lear rear muzzle lhorn rhorn; TORSO: torso neck; "
    "FLIMB: lflleg lfuleg rflleg rfuleg; BLIMB: lblleg lbuleg rblleg rbuleg",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_fine_parts_are_merged_into_their_groups(tmp_path: Path, kind: str) -> None:
    groups = {
        entry.split(":")[0]: entry.split(":")[1].split() for entry in FINE_PARTS[kind].split("; ")
    }
    assert {group: sorted(parts) for group, parts in PART_GROUPS[kind].items()} == {
        group: sorted(parts) for group, parts in groups.items()
    }
    generator = np.random.default_rng(0)
    fine = [part for parts in groups.values() for part in parts]
    masks = {part: (generator.random((6, 9)) < 0.1).astype(np.uint8) for part in fine}
    extra = {"stifle": np.ones((6, 9), np.uint8)}
    if kind in ("cow", "horse", "sheep"):
        extra["tail"] = np.ones((6, 9), np.uint8)
    whole = np.ones((6, 9), np.uint8)
    write_annotation(tmp_path / "a.mat", [(kind, whole, {**masks, **extra})])
    (found,) = read_objects(tmp_path / "a.mat")
    assert (found.kind, found.index) == (kind, 0)
    assert set(found.parts) == set(groups)
    for group, parts in groups.items():
        union = sum(masks[part] for part in parts) > 0
        assert np.array_equal(found.parts[group], union)


def test_objects_keep_their_place_and_others_are_passed_over(tmp_path: Path) -> None:
    write_annotation(tmp_path / "a.mat", animals(1)["2008_000000"])
    found = read_objects(tmp_path / "a.mat")
    assert [(o.kind, o.index) for o in found] == [("bird", 0), ("cat", 2)]
    assert [set(o.parts) for o in found] == [{"HEAD", "TORSO"}, set()]
    write_annotation(tmp_path / "b.mat", [("person", box(1, 2, 1, 2), {})])
    assert read_objects(tmp_path / "b.mat") == []


def test_damaged_annotations_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.mat"
    write_annotation(file, animals(1)["2008_000000"])
    whole = file.read_bytes()
    for content in (b"", b"nothing", whole[: len(whole) // 2], whole[:130]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="not readable as a"):
            read_objects(file)
    scipy.io.savemat(file, {"other": 1})
    with pytest.raises(ValueError, match="not readable as a"):
        read_objects(file)
    bad: list[Objects] = [
        [("cat", np.ones((2, 3, 3), np.uint8), {})],
        [("cat", np.ones((4, 4), np.uint8), {"head": np.ones((4, 5), np.uint8)})],
    ]
    for objects in bad:
        write_annotation(file, objects)
        with pytest.raises(ValueError, match=r"a mask of shape|a part's mask"):
            read_objects(file)
    with pytest.raises(FileNotFoundError):
        read_objects(tmp_path / "none.mat")


# the division


def test_photographs_are_divided_as_the_module_level_generator_does() -> None:
    names = [f"2010_{i:06d}" for i in range(10103)]
    random.seed(0)
    expected = random.sample(names, int(0.7 * 10103))
    train = divide_photographs(names)
    assert len(train) == 7072
    assert train == set(expected)
    assert expected[:3] == ["2010_006311", "2010_006890", "2010_000663"]
    assert divide_photographs(names, seed=1) != train


def test_the_order_of_the_list_counts(tmp_path: Path) -> None:
    file = tmp_path / "trainval.txt"
    file.write_text("b\na\n\nc\n")
    assert read_list(file) == ["b", "a", "c"]
    for text, message in (("", "nothing"), ("a\na\n", "twice"), ("a\n../b\n", "'../b'")):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_list(file)


# the whole


def test_objects_follow_their_photograph_and_none_is_left_out(voc: Path, tmp_path: Path) -> None:
    report = prepare(voc, tmp_path / "out")
    names = list(animals())
    random.seed(0)
    train = random.sample(names, 14)
    expected = {"train": dict.fromkeys(CLASSES, 0), "val": dict.fromkeys(CLASSES, 0)}
    for name, objects in animals().items():
        for index, (kind, _, _) in enumerate(objects):
            if kind != "person":
                split = "train" if name in train else "val"
                expected[split][kind] += 1
                for folder, ending in (("images", "jpg"), ("masks", "bmp")):
                    file = tmp_path / "out" / split / folder / kind / f"{name}_{index}.{ending}"
                    assert file.is_file()
    assert report.counts == expected
    assert list(report.counts["train"]) == list(VOC_ANIMALS) == CLASSES
    assert report.images == {"train": 14, "val": 6}
    assert (report.total, report.made, report.kept, report.parts) == (40, 40, 0, 40)
    assert (report.skipped, report.corrupt) == ((), ())
    assert sum(name.endswith((".jpg", ".bmp")) for name in files(tmp_path / "out")) == 120


def test_pictures_hold_what_the_rule_says(voc: Path, tmp_path: Path) -> None:
    prepare(voc, tmp_path / "out")
    name, objects = next(iter(animals().items()))
    (split,) = (
        s
        for s in ("train", "val")
        if (tmp_path / "out" / s / "images/bird" / f"{name}_0.jpg").exists()
    )
    folder = tmp_path / "out" / split
    with Image.open(voc / "VOCdevkit/VOC2010/JPEGImages" / f"{name}.jpg") as image:
        pixels = np.asarray(image)
    kind, mask, parts = objects[0]
    crop = Image.fromarray(reference_crop(pixels, mask, pixels))
    buffer = io.BytesIO()
    crop.resize((SIZE, SIZE), Image.Resampling.LANCZOS).save(buffer, "JPEG")
    assert (folder / "images" / kind / f"{name}_0.jpg").read_bytes() == buffer.getvalue()
    wanted = {
        folder / "masks" / kind / f"{name}_0.bmp": mask,
        folder / "parts" / kind / f"{name}_0/HEAD.bmp": parts["head"],
        folder / "parts" / kind / f"{name}_0/TORSO.bmp": parts["torso"],
    }
    for file, values in wanted.items():
        cut = Image.fromarray(reference_crop(pixels, mask, values * 255))
        with Image.open(file) as found:
            assert (found.mode, found.format) == ("1", "BMP")
            nearest = cut.resize((SIZE, SIZE), Image.Resampling.NEAREST)
            assert np.array_equal(np.asarray(found), np.asarray(nearest) != 0)


def test_a_part_outside_the_window_is_an_empty_mask_not_a_photograph(tmp_path: Path) -> None:
    contents = animals(6)
    contents["2008_000000"] = [("bird", box(2, 9, 2, 9), {"tail": box(20, 22, 30, 33)})]
    out = tmp_path / "out"
    prepare(write_voc(tmp_path / "voc", contents), out)
    (tail,) = out.rglob("TAIL.*")
    assert tail.suffix == ".bmp"
    with Image.open(tail) as image:
        assert image.mode == "1"
        assert not np.asarray(image).any()


def test_objects_without_a_window_are_skipped_and_told(tmp_path: Path) -> None:
    contents = animals(6)
    contents["2008_000001"] = [
        ("cat", box(4, 4, 4, 4), {}),
        ("dog", box(4, 5, 4, 4), {}),
        ("cow", np.zeros((HEIGHT, WIDTH), np.uint8), {}),
        ("sheep", box(2, 9, 2, 9), {}),
    ]
    report = prepare(write_voc(tmp_path / "voc", contents), tmp_path / "out")
    assert report.skipped == (
        ("2008_000001_0 (cat)", "its window has no pixels"),
        ("2008_000001_1 (dog)", "its window has no pixels"),
        ("2008_000001_2 (cow)", "its mask is empty"),
    )
    assert report.total == 11
    assert list((tmp_path / "out").rglob("2008_000001_3.jpg"))


def test_damaged_files_are_listed_and_do_not_end_the_work(voc: Path, tmp_path: Path) -> None:
    images, parts = voc / "VOCdevkit/VOC2010/JPEGImages", voc / "Annotations_Part"
    (images / "2008_000001.jpg").write_bytes((images / "2008_000001.jpg").read_bytes()[:300])
    (images / "2008_000002.jpg").unlink()
    (parts / "2008_000003.mat").write_bytes(b"nothing")
    (parts / "2008_000004.mat").unlink()
    photograph(0).crop((0, 0, 30, 20)).save(images / "2008_000005.jpg")
    report = prepare(voc, tmp_path / "out")
    assert [Path(name).name for name, _ in report.corrupt] == [
        "2008_000001.jpg",
        "2008_000002.jpg",
        "2008_000003.mat",
        "2008_000004.mat",
        "2008_000005.jpg",
    ]
    reasons = [reason for _, reason in report.corrupt]
    assert "truncated" in reasons[0].lower()
    assert reasons[1] == reasons[3] == "missing"
    assert "not readable as a MATLAB file" in reasons[2]
    assert reasons[4] == "the photograph is 30 x 20 pixels, its masks are 36 x 24"
    assert report.total == 30
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    assert manifest["corrupt"] == [list(entry) for entry in report.corrupt]
    assert manifest["counts"] == report.counts


def test_a_second_call_makes_only_what_is_missing_or_damaged(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(voc, out)
    first = files(out)
    picture, mask, part = (next(out.rglob(f"{kind}/*/*")) for kind in ("images", "masks", "parts"))
    wrong = next(file for file in out.rglob("masks/*/*") if file.stem != mask.stem)
    picture.unlink()
    mask.write_bytes(mask.read_bytes()[:70])
    next(part.iterdir()).unlink()
    Image.new("1", (SIZE + 1, SIZE)).save(wrong)
    stamps = {file: file.stat().st_mtime_ns for file in out.rglob("*/*/*/*.jpg")}
    report = prepare(voc, out)
    assert 1 <= report.made <= 4
    assert report.made + report.kept == 40
    assert files(out) == first
    assert all(file.stat().st_mtime_ns == stamp for file, stamp in stamps.items())


def test_two_preparations_are_equal_to_the_byte(voc: Path, tmp_path: Path) -> None:
    prepare(voc, tmp_path / "a")
    prepare(voc, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_an_interrupted_preparation_is_not_loaded_and_is_taken_up(
    voc: Path, tmp_path: Path
) -> None:
    out = tmp_path / "voc-animals"
    steps: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        steps.append((done, total))
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(voc, out, on_progress=stop)
    assert steps == [(i, 20) for i in range(1, 8)]
    with pytest.raises(ValueError, match="was interrupted; finish it with: filterscope prepare"):
        load_dataset("voc-animals", root=tmp_path)
    report = prepare(voc, out)
    assert (report.made, report.kept) == (26, 14)
    prepare(voc, tmp_path / "whole")
    told = {"manifest.json"}
    assert {k: v for k, v in files(out).items() if k not in told} == {
        k: v for k, v in files(tmp_path / "whole").items() if k not in told
    }


def test_a_destination_with_other_settings_or_content_is_refused(voc: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(voc, out)
    for options, name in (({"size": 32}, "size"), ({"seed": 1}, "seed")):
        with pytest.raises(ValueError, match=rf"prepared otherwise \({name} differ"):
            prepare(voc, out, **options)
    (out / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="prepared otherwise"):
        prepare(voc, out)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="holds something else"):
        prepare(voc, tmp_path / "full")
    with pytest.raises(FileExistsError, match="holds something else"):
        prepare(voc, tmp_path / "full/notes.txt")
    with pytest.raises(ValueError, match="`size` must be at least 1"):
        prepare(voc, tmp_path / "new", size=0)
    assert not (tmp_path / "new").exists()


def move_parts(root: Path, to: str) -> Path:
    (root / to).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(root / "Annotations_Part", root / to)
    return root


PLACES: dict[str, Callable[[Path], Path]] = {
    "the folder of VOCdevkit": lambda root: root,
    "VOCdevkit": lambda root: root / "VOCdevkit",
    "VOC2010": lambda root: root / "VOCdevkit/VOC2010",
    "parts in VOC2010": lambda root: move_parts(root, "VOCdevkit/VOC2010/Annotations_Part"),
    "parts in VOCdevkit": lambda root: move_parts(root, "VOCdevkit/Annotations_Part"),
    "parts in metadata": lambda root: move_parts(root, "metadata/Annotations_Part"),
}


@pytest.mark.parametrize("place", PLACES)
def test_the_official_folders_are_found(voc: Path, place: str) -> None:
    found = find_voc(PLACES[place](voc))
    assert len(list(found.images.iterdir())) == len(list(found.annotations.iterdir())) == 20
    assert len(read_list(found.list)) == 20


def test_what_is_missing_is_told_with_its_origin_or_the_command(voc: Path, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    with pytest.raises(FileNotFoundError, match=r"VOC 2010 is not in .* expected VOCdevkit"):
        find_voc(tmp_path / "new")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        find_voc(tmp_path / "nowhere")
    (tmp_path / "new/VOCtrainval_03-May-2010.tar").touch()
    with pytest.raises(FileNotFoundError, match=r"unpack it with: tar -xf .*May-2010\.tar -C"):
        find_voc(tmp_path / "new")
    shutil.rmtree(voc / "Annotations_Part")
    with pytest.raises(FileNotFoundError, match="PASCAL-Part is not in"):
        find_voc(voc)
    (voc / "trainval.tar.gz").touch()
    with pytest.raises(FileNotFoundError, match=r"unpack it with: tar -xzf .*\.tar\.gz -C"):
        prepare(voc, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_whole_means_decodable_and_of_the_right_kind(tmp_path: Path) -> None:
    file = tmp_path / "a.bmp"
    assert not is_whole(file, SIZE, "mask")
    Image.new("1", (SIZE, SIZE)).save(file)
    assert is_whole(file, SIZE, "mask")
    assert not is_whole(file, SIZE, "image")
    assert not is_whole(file, SIZE + 1, "mask")


# loading what was prepared


def as_official(prepared: Path, root: Path, size: int) -> Path:
    """The same pictures in the layout of the authors' preprocessed data."""
    pictures = root / f"processed/{size}x{size}"
    for folder in (pictures / "obj_img", pictures / "obj_mask", root / "processed/metadata"):
        folder.mkdir(parents=True, exist_ok=True)
    listed: dict[str, set[str]] = {"train": set(), "val": set()}
    for number, file in enumerate(sorted(prepared.rglob("images/*/*.jpg"), reverse=True)):
        split, _, kind, name = file.relative_to(prepared).parts
        photo = name.rsplit("_", 1)[0]
        listed[split].add(photo)
        shutil.copy(file, pictures / "obj_img" / f"{kind}-{number}-{photo}.jpg")
        mask = prepared / split / "masks" / kind / f"{Path(name).stem}.bmp"
        shutil.copy(mask, pictures / "obj_mask" / f"{kind}-{number}-{photo}.mask.bmp")
    for split, names in listed.items():
        text = "".join(f"{name}\n" for name in sorted(names))
        (root / "processed/metadata" / f"{split}.txt").write_text(text)
    return root


def test_prepared_animals_load_with_their_labels_masks_and_transforms(
    tmp_path: Path,
) -> None:
    out = tmp_path / "voc-animals"
    prepare(write_voc(tmp_path / "voc", animals(30)), out, size=128)
    dataset = load_dataset("voc-animals", root=tmp_path)
    assert dataset.classes == ("bird", "cat", "dog", "cow", "horse", "sheep")
    transform = dataset.transform
    assert (transform.image_size, transform.resize) == (128, None)
    assert transform.mean == (0.485, 0.456, 0.406)
    assert (dataset.augmentation.padding, dataset.augmentation.flip) == (16, True)
    assert dataset.augmentation.scale is None
    for split, folder in ((dataset.train, "train"), (dataset.test, "val")):
        assert list(split.names) == sorted(split.names)
        assert len(split) == len(list((out / folder).rglob("*.jpg")))
        for i in range(0, len(split), 5):
            file = out / folder / split.names[i]
            assert dataset.classes[int(split.labels[i])] == file.parent.name
            with Image.open(file) as image:
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
            assert torch.equal(split.raw(i), pixels)
            with Image.open(
                out / folder / split.names[i].replace("images", "masks").replace("jpg", "bmp")
            ) as image:
                assert torch.equal(split.mask(i), torch.from_numpy(np.array(image)))
    plain = load_dataset(f"masked-folder:{out}", image_size=64)
    assert plain.classes == dataset.classes
    assert torch.equal(plain.train.labels, dataset.train.labels)


def contents(split: Split) -> list[tuple[int, bytes, bytes]]:
    """Label, pixels and mask of every image, in an order of their own."""
    return sorted(
        (int(split.labels[i]), split.raw(i).numpy().tobytes(), split.mask(i).numpy().tobytes())
        for i in range(len(split))
    )


def test_the_official_preprocessed_layout_holds_the_same(tmp_path: Path) -> None:
    prepare(write_voc(tmp_path / "voc", animals(30)), tmp_path / "a/voc-animals", size=32)
    ours = load_dataset("voc-animals", root=tmp_path / "a", image_size=32)
    as_official(tmp_path / "a/voc-animals", tmp_path / "b/voc-animals", 32)
    theirs = load_dataset("voc-animals", root=tmp_path / "b", image_size=32)
    assert theirs.classes == ours.classes
    for mine, other in ((ours.train, theirs.train), (ours.test, theirs.test)):
        assert contents(mine) == contents(other)


def test_odd_official_layouts_are_refused_or_noted(tmp_path: Path) -> None:
    prepare(write_voc(tmp_path / "voc", animals(30)), tmp_path / "a", size=32)
    root = as_official(tmp_path / "a", tmp_path / "voc-animals", 32)
    pictures = root / "processed/32x32"
    extra = next((pictures / "obj_img").glob("dog-*"))
    shutil.copy(extra, pictures / "obj_img/dog-999-2099_000001.jpg")
    next((pictures / "obj_mask").iterdir()).unlink()
    dataset = load_dataset("voc-animals", root=tmp_path, image_size=48, max_unreadable=0.1)
    assert dataset.mask_notes[-1] == "1 pictures are of photographs in neither split"
    assert [reason for _, reason in dataset.unreadable] == ["no mask"]
    assert dataset.train.raw(0).shape == (3, 48, 48)
    shutil.copy(extra, pictures / "obj_img/cats.jpg")
    with pytest.raises(ValueError, match="is not named CLASS-NUMBER-PHOTOGRAPH"):
        load_dataset("voc-animals", root=tmp_path)
    (pictures / "obj_img/cats.jpg").unlink()
    lists = root / "processed/metadata"
    shutil.copy(lists / "train.txt", lists / "val.txt")
    with pytest.raises(ValueError, match="as both train and val"):
        load_dataset("voc-animals", root=tmp_path)
    shutil.rmtree(pictures)
    with pytest.raises(ValueError, match="no folder such as 128x128"):
        load_dataset("voc-animals", root=tmp_path)


def test_animals_that_are_not_there_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="filterscope prepare voc-animals SOURCE"):
        load_dataset("voc-animals", root=tmp_path)
