"""Folders and zip files of images: layouts, held-out images, wrong layouts, unreadable files."""

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.data import ImageDataset, Split, load_dataset
from filterscope.data.split import InMemory, Streamed

Contents = dict[str, bytes]

EXPECTED = "expected one folder a class"


@cache
def photo(number: int, kind: str = "PNG", size: tuple[int, int] = (12, 12)) -> bytes:
    """An image whose average grey tells its number: 10, 12, 14, ..."""
    values = np.full((size[1], size[0], 3), 10 + 2 * number, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


def class_files(prefix: str = "", first: int = 0, **counts: int) -> Contents:
    """Files PREFIX/CLASS/I.png, numbered through from `first`."""
    files: Contents = {}
    for name, count in counts.items():
        for i in range(count):
            files[f"{prefix}{name}/{i}.png"] = photo(first + len(files))
    return files


def write_folder(root: Path, contents: Contents) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_zip(file: Path, contents: Contents) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return file


def load(path: Path, **options: object) -> ImageDataset:
    return load_dataset(f"folder:{path}", **options)


def numbers(split: Split) -> list[int]:
    """The number that each image of the split shows."""
    return [int(split.raw(i)[0, 0, 0] - 10) // 2 for i in range(len(split))]


def shares(split: Split) -> list[int]:
    return torch.bincount(split.labels).tolist()


def assert_line(error: BaseException, *parts: str) -> None:
    for part in parts:
        assert part in str(error)
    assert "\n" not in str(error)


TRAIN = class_files(cat=4, dog=6)
TEST = class_files(first=20, cat=2, dog=3)


def below(prefix: str, contents: Contents) -> Contents:
    return {prefix + name: content for name, content in contents.items()}


BOTH = {**below("train/", TRAIN), **below("test/", TEST)}

LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "train and test": lambda root: write_folder(root / "d", BOTH),
    "train and val": lambda root: write_folder(
        root / "d", {**below("train/", TRAIN), **below("val/", TEST)}
    ),
    "train and valid": lambda root: write_folder(
        root / "d", {**below("train/", TRAIN), **below("valid/", TEST)}
    ),
    "two zips": lambda root: (
        write_zip(root / "d/train.zip", TRAIN) and write_zip(root / "d/test.zip", TEST).parent
    ),
    "train.zip and val.zip": lambda root: (
        write_zip(root / "d/train.zip", TRAIN) and write_zip(root / "d/val.zip", TEST).parent
    ),
    "two zips with inner folders": lambda root: (
        write_zip(root / "d/train.zip", below("train/", TRAIN))
        and write_zip(root / "d/test.zip", below("test/", TEST)).parent
    ),
    "one zip": lambda root: write_zip(root / "d.zip", BOTH),
    "one zip with a root folder": lambda root: write_zip(root / "d.zip", below("pets/", BOTH)),
    "one zip with two root folders": lambda root: write_zip(root / "d.zip", below("a/b/", BOTH)),
    "a root folder": lambda root: write_folder(root / "d", below("pets/", BOTH)).parent / "d",
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("image_size", [None, 128])
def test_every_layout_with_test_images_gives_the_same_images_and_labels(
    tmp_path: Path, layout: str, image_size: int | None
) -> None:
    dataset = load(LAYOUTS[layout](tmp_path), image_size=image_size)
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.labels.tolist() == [0] * 4 + [1] * 6
    assert numbers(dataset.train) == list(range(10))
    assert dataset.test.labels.tolist() == [0] * 2 + [1] * 3
    assert numbers(dataset.test) == list(range(20, 25))
    assert [name[-9:] for name in dataset.test.names[:2]] == ["cat/0.png", "cat/1.png"]
    assert dataset.unreadable == ()


WITHOUT_TEST: dict[str, Callable[[Path], Path]] = {
    "class folders": lambda root: write_folder(root / "d", TRAIN),
    "class folders in a folder": lambda root: write_folder(root / "d", below("pets/", TRAIN)),
    "train alone": lambda root: write_folder(root / "d", below("train/", TRAIN)),
    "train.zip alone": lambda root: write_zip(root / "d/train.zip", TRAIN).parent,
    "one zip": lambda root: write_zip(root / "d.zip", TRAIN),
    "one zip with a root folder": lambda root: write_zip(root / "d.zip", below("pets/", TRAIN)),
}


@pytest.mark.parametrize("layout", WITHOUT_TEST)
def test_every_layout_without_test_images_holds_out_the_same_ones(
    tmp_path: Path, layout: str
) -> None:
    dataset = load(WITHOUT_TEST[layout](tmp_path), test_fraction=0.5, seed=3)
    reference = load(WITHOUT_TEST["class folders"](tmp_path / "ref"), test_fraction=0.5, seed=3)
    assert dataset.classes == ("cat", "dog")
    assert (shares(dataset.train), shares(dataset.test)) == ([2, 3], [2, 3])
    assert numbers(dataset.train) == numbers(reference.train)
    assert numbers(dataset.test) == numbers(reference.test)


def test_test_wins_over_val(tmp_path: Path) -> None:
    val = below("val/", class_files(first=50, cat=1, dog=1))
    assert numbers(load(write_folder(tmp_path, {**BOTH, **val})).test) == list(range(20, 25))


def test_the_held_out_share_is_the_same_in_every_class_and_no_image_is_on_both_sides(
    tmp_path: Path,
) -> None:
    dataset = load(write_folder(tmp_path, class_files(a=10, b=20, c=2, d=40)))
    assert shares(dataset.test) == [2, 4, 1, 8]
    assert shares(dataset.train) == [8, 16, 1, 32]
    assert sorted(numbers(dataset.train) + numbers(dataset.test)) == list(range(72))
    for split in (dataset.train, dataset.test):
        ends = torch.tensor([10, 30, 32, 72])
        wanted = torch.bucketize(torch.tensor(numbers(split)), ends, right=True)
        assert torch.equal(split.labels, wanted)


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_every_class_is_on_both_sides_however_small_the_fraction(
    tmp_path: Path, fraction: float
) -> None:
    dataset = load(write_folder(tmp_path, class_files(a=2, b=3, c=9)), test_fraction=fraction)
    small, large = (dataset.test, dataset.train)[:: 1 if fraction < 0.5 else -1]
    assert shares(small) == [1, 1, 1]
    assert shares(large) == [1, 2, 8]


def test_the_held_out_images_follow_from_the_seed(tmp_path: Path) -> None:
    path = write_folder(tmp_path, class_files(a=20, b=20))
    first, again = load(path, seed=5), load(path, seed=5)
    assert first.train.names == again.train.names
    assert first.test.names == again.test.names
    others = {load(path, seed=seed).test.names for seed in range(4)}
    assert len(others) == 4


def test_hidden_files_archives_leftovers_and_other_files_are_ignored(tmp_path: Path) -> None:
    noise = {
        ".git/0.png": photo(90),
        "cat/.hidden.png": photo(91),
        "cat/.thumbnails/0.png": photo(92),
        "cat/._0.png": b"resource fork",
        "cat/notes.txt": b"cats",
        "cat/Thumbs.db": b"",
        "cat/labels.csv": b"a,b",
        "cat/noextension": photo(93),
        "__MACOSX/cat/._0.png": b"resource fork",
        "README.md": b"# pets",
        "cover.png": photo(94),
    }
    for path in (
        write_folder(tmp_path / "d", {**TRAIN, **noise}),
        write_zip(tmp_path / "d.zip", {**TRAIN, **noise}),
    ):
        dataset = load(path, max_unreadable=0)
        assert dataset.classes == ("cat", "dog")
        assert sorted(numbers(dataset.train) + numbers(dataset.test)) == list(range(10))


def test_images_in_nested_folders_belong_to_their_class(tmp_path: Path) -> None:
    nested = {"cat/indoor/sofa/1.png": photo(30), "dog/indoor/1.png": photo(31)}
    dataset = load(write_folder(tmp_path, {**TRAIN, **nested}))
    of = dict(zip(numbers(dataset.train), dataset.train.labels.tolist(), strict=True))
    of.update(zip(numbers(dataset.test), dataset.test.labels.tolist(), strict=True))
    assert (of[30], of[31]) == (0, 1)
    assert len(of) == 12


@pytest.mark.parametrize("kind", ["png", "PNG", "jpg", "JPG", "jpeg", "JPEG", "bmp", "gif", "webp"])
def test_images_are_known_by_their_ending_in_either_case(tmp_path: Path, kind: str) -> None:
    content = photo(3, {"jpg": "JPEG"}.get(kind.lower(), kind.upper()))
    names = [f"{c}/{i}.{kind}" for c in "ab" for i in range(2)]
    dataset = load(write_folder(tmp_path, dict.fromkeys(names, content)))
    assert (len(dataset.train), len(dataset.test)) == (2, 2)


def test_classes_are_numbered_in_the_order_of_their_names(tmp_path: Path) -> None:
    dataset = load(write_folder(tmp_path, class_files(zebra=2, ant=2, **{"10": 2, "9": 2})))
    assert dataset.classes == ("10", "9", "ant", "zebra")
    label_of = {0: 3, 1: 3, 2: 2, 3: 2, 4: 0, 5: 0, 6: 1, 7: 1}
    for split in (dataset.train, dataset.test):
        assert [label_of[n] for n in numbers(split)] == split.labels.tolist()


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"single class \(cat\); two are needed") as caught:
        load(write_folder(tmp_path, class_files(cat=3)))
    assert_line(caught.value, str(tmp_path))


@pytest.mark.parametrize("filler", [{}, {"cow/notes.txt": b"no image"}])
def test_a_class_folder_without_images_is_refused_by_name(tmp_path: Path, filler: Contents) -> None:
    write_folder(tmp_path, {**TRAIN, **filler})
    (tmp_path / "cow").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="class folder 'cow' holds no image") as caught:
        load(tmp_path)
    assert_line(caught.value, str(tmp_path))


def test_an_empty_class_folder_in_a_zip_is_refused_by_name(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "d.zip", {**TRAIN, "cow/": b""})
    with pytest.raises(ValueError, match="class folder 'cow' holds no image") as caught:
        load(file)
    assert_line(caught.value, str(file))


def test_an_empty_folder_is_refused_with_the_expected_layout(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds nothing") as caught:
        load(tmp_path)
    assert_line(caught.value, str(tmp_path), EXPECTED)


def test_an_empty_zip_is_refused_with_the_expected_layout(tmp_path: Path) -> None:
    file = write_zip(tmp_path / "d.zip", {})
    with pytest.raises(ValueError, match="holds nothing") as caught:
        load(file)
    assert_line(caught.value, str(file), EXPECTED)


@pytest.mark.parametrize("zipped", [False, True])
def test_images_without_class_folders_are_refused_with_what_was_found(
    tmp_path: Path, zipped: bool
) -> None:
    flat = {f"{i}.png": photo(i) for i in range(8)}
    path = write_zip(tmp_path / "d.zip", flat) if zipped else write_folder(tmp_path / "d", flat)
    with pytest.raises(ValueError, match=r"holds 0\.png, 1\.png, .* and 2 more") as caught:
        load(path)
    assert_line(caught.value, str(path), EXPECTED)


def test_a_missing_path_is_not_found_and_the_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path / "absent")
    assert_line(caught.value, str(tmp_path / "absent"), EXPECTED)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ({"cat": 2, "dog": 2}, {"cat": 1, "dog": 1, "cow": 1}, "classes cow are only in the test"),
        ({"cat": 2, "dog": 2, "cow": 2}, {"cat": 1, "dog": 1}, "classes cow are not in the test"),
        ({"cat": 2, "dog": 2}, {"Cat": 1, "Dog": 1}, "classes Cat, Dog are only in the test"),
    ],
)
def test_test_images_of_other_classes_are_refused_by_name(
    tmp_path: Path, train: dict[str, int], test: dict[str, int], message: str
) -> None:
    write_folder(tmp_path, {**class_files("train/", **train), **class_files("test/", **test)})
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path)
    assert_line(caught.value, str(tmp_path / "test"))


def zip_content() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in TRAIN.items():
            archive.writestr(name, content)
    return buffer.getvalue()


# Named, as a zip file holds the time at which it was written, and workers must find the same tests.
@pytest.mark.parametrize(
    "content", [b"", b"no zip file", zip_content()[:-40]], ids=["empty", "text", "cut short"]
)
@pytest.mark.parametrize("name", ["d.zip", "d/train.zip", "d/test.zip"])
def test_a_broken_zip_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    if name == "d/test.zip":
        write_zip(tmp_path / "d/train.zip", TRAIN)
    write_folder(tmp_path, {name: content})
    with pytest.raises(ValueError, match="is not readable as a zip file") as caught:
        load(tmp_path / name.split("/")[0])
    assert_line(caught.value, str(tmp_path / name))


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


@cache
def detailed(number: int, kind: str) -> bytes:
    """An image that does not compress to nothing, so that half a file is half an image."""
    values = np.random.default_rng(number).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind)
    return buffer.getvalue()


BROKEN = {
    "truncated.jpg": half(detailed(0, "JPEG")),
    "truncated.png": half(detailed(0, "PNG")),
    "truncated.gif": half(detailed(0, "GIF")),
    "nearly_whole.jpg": detailed(0, "JPEG")[:-2],
    "text.jpg": b"no image",
    "empty.png": b"",
}


@pytest.mark.parametrize("image_size", [32, 128], ids=["in memory", "streamed"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("broken", BROKEN)
def test_an_unreadable_image_is_listed_and_left_out_below_the_limit(
    tmp_path: Path, image_size: int, zipped: bool, broken: str
) -> None:
    contents = {**class_files(cat=5, dog=5), f"cat/{broken}": BROKEN[broken]}
    path = (
        write_zip(tmp_path / "d.zip", contents)
        if zipped
        else write_folder(tmp_path / "d", contents)
    )
    dataset = load(path, image_size=image_size, max_unreadable=0.1)
    ((name, reason),) = dataset.unreadable
    assert name == f"{path}/cat/{broken}"
    assert reason
    assert "\n" not in reason
    seen = []
    for split in (dataset.train, dataset.test):
        assert isinstance(split.images, InMemory if image_size == 32 else Streamed)
        assert not any(broken in file for file in split.names)
        shown = numbers(split)
        assert [int(n >= 5) for n in shown] == split.labels.tolist()
        seen += shown
    assert sorted(seen) == list(range(10))


@pytest.mark.parametrize("image_size", [32, 128], ids=["in memory", "streamed"])
def test_unreadable_images_are_counted_over_both_sides_against_the_limit(
    tmp_path: Path, image_size: int
) -> None:
    contents = {
        **class_files("train/", cat=14, dog=14),
        **class_files("test/", cat=4, dog=4),
        "train/cat/a.jpg": BROKEN["text.jpg"],
        "train/dog/a.png": BROKEN["empty.png"],
        "test/cat/a.jpg": BROKEN["truncated.jpg"],
        "test/dog/a.png": BROKEN["truncated.png"],
    }
    path = write_folder(tmp_path, contents)
    dataset = load(path, image_size=image_size, max_unreadable=0.1)
    assert [name.removeprefix(f"{path}/") for name, _ in dataset.unreadable] == [
        "train/cat/a.jpg",
        "train/dog/a.png",
        "test/cat/a.jpg",
        "test/dog/a.png",
    ]
    assert (shares(dataset.train), shares(dataset.test)) == ([14, 14], [4, 4])
    with pytest.raises(ValueError, match=r"^4 of 40 images are unreadable, more than 9\.9%") as no:
        load(path, image_size=image_size, max_unreadable=0.099)
    assert_line(no.value, "train/cat/a.jpg")


def test_one_percent_of_unreadable_images_is_the_usual_limit(tmp_path: Path) -> None:
    contents = {**class_files(cat=49, dog=50), "cat/bad.png": b""}
    assert len(load(write_folder(tmp_path / "a", contents)).unreadable) == 1
    del contents["cat/0.png"]
    with pytest.raises(ValueError, match=r"^1 of 99 images are unreadable, more than 1\.0%"):
        load(write_folder(tmp_path / "b", contents))


def test_a_class_whose_images_are_all_unreadable_is_refused_by_name(tmp_path: Path) -> None:
    contents = {**class_files(cat=9), "dog/0.png": b"", "dog/1.png": b""}
    with pytest.raises(ValueError, match="class 'dog' has no readable training image"):
        load(write_folder(tmp_path, contents), max_unreadable=0.5)


@pytest.mark.parametrize(("limit", "limit_test"), [(8, 4), (16, None), (None, 8), (4, 4)])
def test_limits_keep_the_shares_of_the_classes(
    tmp_path: Path, limit: int | None, limit_test: int | None
) -> None:
    path = write_folder(tmp_path, class_files(a=10, b=30))
    dataset = load(path, limit=limit, limit_test=limit_test, test_fraction=0.5)
    for split, kept in ((dataset.train, limit or 20), (dataset.test, limit_test or 20)):
        assert shares(split) == [kept // 4, 3 * kept // 4]
        assert [int(n >= 10) for n in numbers(split)] == split.labels.tolist()
    assert not set(numbers(dataset.train)) & set(numbers(dataset.test))


def test_a_limit_that_does_not_divide_keeps_shares_within_one_image(tmp_path: Path) -> None:
    contents = {
        **class_files("train/", a=7, b=11, c=22),
        **class_files("test/", first=60, a=1, b=1, c=1),
    }
    path = write_folder(tmp_path, contents)
    for limit in range(6, 40):
        kept = shares(load(path, limit=limit).train)
        assert sum(kept) == limit
        for count, total in zip(kept, (7, 11, 22), strict=True):
            assert abs(count - total * limit / 40) < 1


def test_limits_leave_at_least_one_image_of_each_class(tmp_path: Path) -> None:
    contents = {
        **class_files("train/", a=1, b=2, c=40),
        **class_files("test/", first=60, a=1, b=2, c=20),
    }
    dataset = load(write_folder(tmp_path, contents), limit=3, limit_test=3)
    assert min(shares(dataset.train)) == min(shares(dataset.test)) == 1


def test_a_limit_above_the_number_of_images_keeps_all(tmp_path: Path) -> None:
    dataset = load(write_folder(tmp_path, BOTH), limit=11, limit_test=1000)
    assert (len(dataset.train), len(dataset.test)) == (10, 5)


@pytest.mark.parametrize("argument", ["limit", "limit_test"])
def test_a_limit_below_one_is_refused(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ValueError, match=f"`{argument}` must be at least 1, got 0"):
        load(write_folder(tmp_path, BOTH), **{argument: 0})


def test_limited_images_follow_from_the_seed(tmp_path: Path) -> None:
    contents = {**class_files("train/", a=30, b=30), **class_files("test/", a=9, b=9)}
    path = write_folder(tmp_path, contents)
    assert load(path, limit=20, seed=1).train.names == load(path, limit=20, seed=1).train.names
    assert len({load(path, limit=20, seed=seed).train.names for seed in range(4)}) == 4


def test_a_relative_folder_is_found_below_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "store/pets/small", TRAIN)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("FILTERSCOPE_DATA", raising=False)
    with pytest.raises(FileNotFoundError):
        load_dataset("folder:pets/small")
    found = load_dataset("folder:pets/small", root=tmp_path / "store")
    assert found.classes == ("cat", "dog")
    assert len(found.train) + len(found.test) == 10
    monkeypatch.setenv("FILTERSCOPE_DATA", str(tmp_path / "store"))
    assert load_dataset("folder:pets/small").train.names == found.train.names


def test_a_relative_folder_is_first_looked_for_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "here/pets", class_files(near=2, too=2))
    write_folder(tmp_path / "store/pets", TRAIN)
    monkeypatch.chdir(tmp_path / "here")
    assert load_dataset("folder:pets", root=tmp_path / "store").classes == ("near", "too")


def test_equal_small_squares_keep_their_size_and_other_images_get_imagenets(
    tmp_path: Path,
) -> None:
    squares = write_folder(tmp_path / "squares", TRAIN)
    assert load(squares).transform.image_size == 12
    odd = {f"{c}/{i}.png": photo(i, size=(30 + i, 20)) for c in "ab" for i in range(3)}
    assert load(write_folder(tmp_path / "odd", odd)).transform.image_size == 224
    large = {f"{c}/{i}.png": photo(i, size=(100, 100)) for c in "ab" for i in range(3)}
    assert load(write_folder(tmp_path / "large", large)).transform.image_size == 224


def test_memory_and_stream_agree_on_names_labels_and_pixels(tmp_path: Path) -> None:
    contents = {
        f"{c}/{i}.png": photo(10 * k + i, size=(128, 150))
        for k, c in enumerate("abc")
        for i in range(6)
    }
    path = write_folder(tmp_path, contents)
    kept, streamed = load(path, image_size=64, seed=2), load(path, image_size=128, seed=2)
    for inside, outside in ((kept.train, streamed.train), (kept.test, streamed.test)):
        assert isinstance(inside.images, InMemory)
        assert isinstance(outside.images, Streamed)
        assert inside.names == outside.names
        assert torch.equal(inside.labels, outside.labels)
        assert numbers(inside) == numbers(outside)
        for index in range(len(inside)):
            assert inside.raw(index).shape == (3, 64, 64)
            assert outside.raw(index).shape == (3, 128, 128)


def test_streamed_images_are_scaled_before_the_cut_as_imagenets_are(tmp_path: Path) -> None:
    dataset = load(write_folder(tmp_path, TRAIN), image_size=224)
    assert (dataset.transform.image_size, dataset.transform.resize) == (224, 256)


def test_class_counts_are_those_of_the_labels(tmp_path: Path) -> None:
    split = load(write_folder(tmp_path, BOTH)).train
    counted = Counter(split.labels.tolist())
    assert split.class_counts(3).tolist() == [counted[0], counted[1], 0]
