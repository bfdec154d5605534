"""Object masks: their files, their geometry, and the images they belong to."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from filterscope.data import ImageDataset, Split, Transform, load_dataset
from filterscope.data.decode import UnreadableImageError, open_mask, upright_size
from filterscope.data.split import InMemory, Masks, Streamed

CIRCLE = np.hypot(*(np.mgrid[:20, :30] - np.array([9, 12]).reshape(2, 1, 1))) < 6


def encoded(values: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image = values if isinstance(values, Image.Image) else Image.fromarray(values)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def one_bit(mask: np.ndarray) -> bytes:
    return encoded(Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).convert("1"))


def photo(number: int = 0, size: tuple[int, int] = (20, 30), kind: str = "PNG") -> bytes:
    return encoded(np.full((*size, 3), 10 + 2 * number, np.uint8), kind)


def palette(mask: np.ndarray, index: int = 3) -> bytes:
    """A mask by palette index whose object is black on white, as no conversion would read it."""
    image = Image.fromarray((mask * index).astype(np.uint8), mode="L").convert("P")
    image.putdata((mask * index).astype(np.uint8).ravel().tolist())
    image.putpalette([255, 255, 255] + [0, 0, 0] * 255)
    return encoded(image)


MASK_FILES = {
    "1 bit": one_bit(CIRCLE),
    "0 and 255": encoded((CIRCLE * 255).astype(np.uint8)),
    "0 and 1": encoded(CIRCLE.astype(np.uint8)),
    "palette": palette(CIRCLE),
    "bmp of 1 bit": encoded(Image.fromarray((CIRCLE * 255).astype(np.uint8)).convert("1"), "BMP"),
    "16 bits": encoded((CIRCLE * 65535).astype(np.uint16)),
}


@pytest.mark.parametrize("kind", MASK_FILES)
def test_a_mask_is_object_where_it_is_not_zero(kind: str) -> None:
    mask = np.asarray(open_mask(MASK_FILES[kind]))
    assert np.array_equal(mask, CIRCLE * 255)


def test_palette_indices_count_one_by_one_and_not_by_colour() -> None:
    values = np.zeros((4, 4), np.uint8)
    values[1, 1], values[2, 2], values[3, 3] = 1, 7, 255  # two objects and VOC's void
    image = Image.fromarray(values, mode="L").convert("P")
    image.putdata(values.ravel().tolist())
    assert np.array_equal(np.asarray(open_mask(encoded(image))), (values != 0) * 255)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encoded((CIRCLE * 255).astype(np.uint8), "JPEG", quality=60), "different greys"),
        (photo(), "mode RGB"),
        (MASK_FILES["0 and 255"][:40], "not readable as a mask"),
        (b"no image", "not readable as a mask"),
        (b"", "not readable as a mask"),
    ],
)
def test_what_is_no_mask_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImageError, match=reason):
        open_mask(content)


def test_upright_size_is_that_of_the_decoded_image() -> None:
    turned = Image.new("RGB", (30, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(turned, "JPEG", exif=exif)
    assert upright_size(content) == (20, 30)
    assert upright_size(photo()) == (30, 20)
    with pytest.raises(UnreadableImageError):
        upright_size(b"no image")


GEOMETRIES = [
    ((20, 30), 16, None),
    ((30, 20), 16, 20),
    ((21, 33), 12, 17),
    ((5, 200), 8, None),
    ((64, 64), 64, None),
    ((7, 9), 32, 40),
]


@pytest.mark.parametrize(("size", "side", "resize"), GEOMETRIES)
def test_a_mask_is_cut_as_its_image(size: tuple[int, int], side: int, resize: int | None) -> None:
    """The nearest source pixel of each target pixel, counted by hand along both axes."""
    height, width = size
    if max(size) > 8 * min(size):
        left = (width - 8 * height) // 2
        columns = range(left, width - left)
    else:
        columns = range(width)
    short = min(height, len(columns))
    scale = (resize or side) / short
    mask = np.random.default_rng(0).random(size) < 0.5

    def places(count: int) -> list[int]:
        wanted = max(resize or side, round(count * scale))
        start = round((wanted - side) / 2)
        return [int((i + 0.5) * count / wanted) for i in range(start, start + side)]

    expected = mask[:, list(columns)][np.ix_(places(height), places(len(columns)))]
    transform = Transform(side, resize)
    assert np.array_equal(transform.mask(one_bit(mask)).numpy(), expected)
    picture = np.where(mask, 255, 0).astype(np.uint8)
    if min(size) <= (resize or side):  # enlarged: the image's own sides of the middle grey agree
        seen = transform.pixels(encoded(picture))[0] > 127
        assert (seen == torch.from_numpy(expected)).double().mean() > 0.85


def folder(root: Path, contents: dict[str, bytes]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def block(number: int, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    """A mask whose area tells its number."""
    mask = np.zeros(size, bool)
    mask[5:15, 8 : 9 + number] = True
    return mask


def pairs(prefix: str = "", first: int = 0, **counts: int) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    number = first
    for name, count in counts.items():
        for i in range(count):
            stem = f"{name}/{i}" if name != "flat" else str(i)
            files[f"{prefix}images/{stem}.png"] = photo(number)
            files[f"{prefix}masks/{stem}.png"] = one_bit(block(number))
            number += 1
    return files


def load(path: Path, **options: object) -> ImageDataset:
    return load_dataset(f"masked-folder:{path}", **options)


def numbers(split: Split) -> list[int]:
    return [int(split.raw(i)[0, 0, 0] - 10) // 2 for i in range(len(split))]


def assert_masks_fit(split: Split) -> None:
    """Each image's number is told by its mask, too."""
    assert split.has_masks
    for i, number in enumerate(numbers(split)):
        mask = split.mask(i)
        assert mask.dtype == torch.bool
        assert torch.equal(mask, split.transform.mask(one_bit(block(number))))


IN_MEMORY_AND_STREAMED = pytest.mark.parametrize("image_size", [20, 128])


@IN_MEMORY_AND_STREAMED
def test_class_folders_keep_masks_and_images_together(tmp_path: Path, image_size: int) -> None:
    dataset = load(folder(tmp_path, pairs(dog=5, cat=7)), image_size=image_size, seed=3)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.train) + len(dataset.test) == 12
    kind = InMemory if image_size == 20 else Streamed
    assert isinstance(dataset.train.images, kind)
    for split in (dataset.train, dataset.test):
        assert_masks_fit(split)
        assert split.labels.tolist() == [int(number < 5) for number in numbers(split)]
    assert dataset.unreadable == ()
    assert dataset.mask_notes == ()


@IN_MEMORY_AND_STREAMED
def test_masks_follow_the_limits(tmp_path: Path, image_size: int) -> None:
    root = folder(tmp_path, pairs(dog=9, cat=9))
    dataset = load(root, image_size=image_size, limit=5, limit_test=2, seed=1)
    assert (len(dataset.train), len(dataset.test)) == (5, 2)
    assert_masks_fit(dataset.train)
    assert_masks_fit(dataset.test)


@IN_MEMORY_AND_STREAMED
def test_bad_pairs_are_left_out_with_the_reason(tmp_path: Path, image_size: int) -> None:
    root = folder(tmp_path, pairs(dog=10, cat=10))
    (root / "masks/dog/1.png").unlink()
    (root / "masks/dog/3.png").write_bytes(one_bit(block(3, (20, 31))))
    (root / "masks/dog/5.png").write_bytes(MASK_FILES["1 bit"][:30])
    (root / "images/dog/7.png").write_bytes(photo()[:50])
    (root / "masks/cat/2.png").write_bytes(photo())
    dataset = load(root, image_size=image_size, max_unreadable=0.3)
    reasons = {path[-9:]: reason for path, reason in dataset.unreadable}
    assert len(dataset.unreadable) == 5
    assert reasons["dog/1.png"] == "no mask"
    assert reasons["dog/3.png"] == "its mask is 31 x 20 pixels, the image 30 x 20"
    assert reasons["dog/5.png"].startswith("its mask masks/dog/5.png: not readable as a mask")
    assert "truncated" in reasons["dog/7.png"] or "broken" in reasons["dog/7.png"]
    assert "mode RGB" in reasons["cat/2.png"]
    assert len(dataset.train) + len(dataset.test) == 15
    assert_masks_fit(dataset.train)
    assert_masks_fit(dataset.test)
    with pytest.raises(ValueError, match="5 of 20 images are unreadable"):
        load(root, image_size=image_size)


@IN_MEMORY_AND_STREAMED
def test_empty_and_full_masks_are_data_and_counted(tmp_path: Path, image_size: int) -> None:
    sides = {**pairs("train/", dog=4, cat=4), **pairs("test/", dog=2, cat=2)}
    root = folder(tmp_path, sides)
    (root / "train/masks/dog/1.png").write_bytes(one_bit(np.zeros((20, 30), bool)))
    (root / "train/masks/cat/1.png").write_bytes(one_bit(np.zeros((20, 30), bool)))
    (root / "train/masks/dog/2.png").write_bytes(one_bit(np.ones((20, 30), bool)))
    folder(root, {"test/masks/dog/lonely.png": one_bit(CIRCLE)})
    dataset = load(root, image_size=image_size)
    assert dataset.unreadable == ()
    assert dataset.train.masks is not None
    assert (dataset.train.masks.empty, dataset.train.masks.full) == (2, 1)
    assert dataset.mask_notes == (
        f"masked-folder:{root}'s training split: of 8 object masks, as cut, 2 are empty and 1 "
        "are object all over",
        "1 object masks have no image",
    )
    areas = [float(dataset.train.mask(i).double().mean()) for i in range(8)]
    assert (areas.count(0.0), areas.count(1.0)) == (2, 1)


@pytest.mark.parametrize("test_name", ["test", "val", "Validation"])
def test_train_and_test_folders_are_honoured(tmp_path: Path, test_name: str) -> None:
    sides = {**pairs("train/", dog=3, cat=3), **pairs(f"{test_name}/", first=8, dog=2, cat=1)}
    dataset = load(folder(tmp_path, sides))
    assert numbers(dataset.train) == [3, 4, 5, 0, 1, 2]
    assert numbers(dataset.test) == [10, 8, 9]
    assert_masks_fit(dataset.test)


def test_flat_images_are_one_class_named_after_the_folder(tmp_path: Path) -> None:
    root = folder(tmp_path / "horses", pairs(flat=10))
    dataset = load_dataset("masked-folder:horses", root=tmp_path)
    assert dataset.classes == ("horses",)
    assert (len(dataset.train), len(dataset.test)) == (8, 2)
    assert sorted(numbers(dataset.train) + numbers(dataset.test)) == list(range(10))
    assert_masks_fit(dataset.test)
    again = load(root)
    assert numbers(again.test) == numbers(dataset.test)
    assert numbers(load(root, seed=1).test) != numbers(dataset.test)


def test_flat_train_and_test_have_one_class(tmp_path: Path) -> None:
    sides = {**pairs("train/", flat=3), **pairs("test/", first=5, flat=2)}
    dataset = load(folder(tmp_path / "cups", sides))
    assert dataset.classes == ("cups",)
    assert numbers(dataset.test) == [5, 6]


def test_a_single_class_folder_is_allowed_only_with_masks(tmp_path: Path) -> None:
    root = folder(tmp_path, pairs(dog=5))
    assert load(root).classes == ("dog",)
    with pytest.raises(ValueError, match="single class"):
        load_dataset(f"folder:{root / 'images'}")


def test_a_zip_file_loads_as_its_folder(tmp_path: Path) -> None:
    contents = pairs(dog=3, cat=3)
    root = folder(tmp_path / "pets", contents)
    for prefix in ("", "around/"):
        with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
            for name, content in contents.items():
                archive.writestr(prefix + name, content)
        zipped, plain = load(tmp_path / "pets.zip"), load(root)
        assert numbers(zipped.test) == numbers(plain.test)
        assert_masks_fit(zipped.train)


def test_classes_txt_gives_the_order(tmp_path: Path) -> None:
    root = folder(tmp_path, {**pairs(ant=3, bee=3, cat=3), "classes.txt": b"cat\nant\n\nbee\n"})
    dataset = load(root)
    assert dataset.classes == ("cat", "ant", "bee")
    for number, label in zip(numbers(dataset.train), dataset.train.labels.tolist(), strict=True):
        assert dataset.classes[label] == ("ant", "bee", "cat")[number // 3]
    for wrong in ("cat\nant", "cat\nant\nbee\ndog", "cat\nant\nbee\ncat", "", "\xff"):
        (root / "classes.txt").write_bytes(wrong.encode("latin-1"))
        with pytest.raises(ValueError, match=r"order is given|each class once|not readable"):
            load(root)


def test_any_image_format_pairs_by_stem(tmp_path: Path) -> None:
    root = folder(tmp_path, pairs(dog=4, cat=4))
    (root / "images/dog/0.png").unlink()
    (root / "masks/dog/0.png").unlink()
    (root / "images/dog/0.JPG").write_bytes(photo(0, kind="JPEG"))
    (root / "masks/dog/0.bmp").write_bytes(
        encoded(Image.fromarray((block(0) * 255).astype(np.uint8)).convert("1"), "BMP")
    )
    dataset = load(root)
    assert dataset.unreadable == ()
    assert_masks_fit(dataset.train)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({"images/dog/1.png": photo()}, "expected images/ and masks/"),
        ({"dog/1.png": photo(), "cat/1.png": photo()}, "holds cat, dog; expected"),
        ({"images/a/x.txt": b"", "masks/a/1.png": photo()}, "holds no image"),
        ({**pairs(dog=2), "images/1.png": photo()}, "in class folders and beside them"),
        ({**pairs(train=2, test=2)}, "divided into test, train"),
        ({**pairs(dog=2), "masks/dog/1.bmp": photo()}, "have the same stem"),
        ({**pairs(dog=2), "images/dog/1.jpg": photo()}, "have the same stem"),
        ({**pairs(dog=2), "images/cat/readme.txt": b""}, "'cat' holds no image"),
        ({**pairs("train/", dog=2), **pairs("test/", cat=2)}, "only in the test"),
        ({**pairs(dog=1)}, r"has a single image, images/dog/\w+.png; a split"),
    ],
)
def test_other_layouts_are_refused(
    tmp_path: Path, contents: dict[str, bytes], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        load(folder(tmp_path, contents))
    assert "\n" not in str(caught.value)


def test_a_path_that_is_missing_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected images/ and masks/"):
        load(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="needs the path"):
        load_dataset("masked-folder:")


def test_a_class_whose_every_mask_is_missing_is_told(tmp_path: Path) -> None:
    root = folder(tmp_path, pairs(dog=4, cat=4))
    for file in (root / "masks/dog").iterdir():
        file.unlink()
    with pytest.raises(ValueError, match="class 'dog' has no readable training image"):
        load(root, max_unreadable=1)


def test_a_streamed_mask_that_breaks_later_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, pairs(dog=4, cat=4))
    split = load(root, image_size=128).train
    assert split.masks is not None
    assert isinstance(split.masks.source, Streamed)
    name = split.masks.source.names[0]
    (root / name).write_bytes(b"")
    with pytest.raises(ValueError, match=name):
        split.mask(0)
    (root / name).unlink()
    with pytest.raises(ValueError, match=name):
        split.mask(0)


def test_a_split_without_masks_says_so(tmp_path: Path) -> None:
    root = folder(tmp_path, pairs(dog=4, cat=4))
    dataset = load_dataset(f"folder:{root / 'images'}")
    assert not dataset.test.has_masks
    with pytest.raises(ValueError, match=r"images's test split has no object masks"):
        dataset.test.mask(0)
    bare = Split(torch.zeros(1), ["x"], InMemory(torch.zeros(1, 3, 2, 2)), Transform(2))
    with pytest.raises(ValueError, match="this split has no object masks"):
        bare.mask(0)


def test_masks_in_memory_count_themselves() -> None:
    masks = torch.zeros(4, 3, 3, dtype=torch.bool)
    masks[0], masks[1, 0, 0] = True, True
    assert (Masks.in_memory(masks).empty, Masks.in_memory(masks).full) == (2, 1)
    assert (Masks.in_memory(masks[:0]).empty, Masks.in_memory(masks[:0]).full) == (0, 0)


@pytest.mark.parametrize("image_size", [8, 16, 32])
def test_the_ink_of_digits_is_their_mask(image_size: int) -> None:
    dataset = load_dataset("digits", image_size=image_size, limit=300)
    areas: list[Tensor] = []
    for split in (dataset.train, dataset.test):
        assert split.masks is not None
        assert (split.masks.empty, split.masks.full) == (0, 0)
        for i in range(0, len(split), 7):
            assert torch.equal(split.mask(i), split.raw(i)[0] > 255 / 2)
            areas.append(split.mask(i).double().mean())
    assert 0.28 < float(torch.stack(areas).mean()) < 0.34
    assert dataset.mask_notes == ()


@pytest.mark.data
def test_the_horses_load_with_masks_that_lie_on_the_horses() -> None:
    dataset = load_dataset("masked-folder:horses", root=os.environ["FILTERSCOPE_DATA"])
    assert dataset.classes == ("horses",)
    assert (len(dataset.train), len(dataset.test)) == (160, 40)
    assert (dataset.unreadable, dataset.mask_notes) == ((), ())
    better = 0
    for i in range(40):
        image, mask = dataset.test.raw(i).double().mean(0), dataset.test.mask(i)
        assert 0.05 < float(mask.double().mean()) < 0.8
        # a mask in its place divides brightness better than the same mask upside down
        gaps = [abs(image[m].mean() - image[~m].mean()) for m in (mask, mask.flip(0))]
        better += int(gaps[0] > gaps[1])
    assert better >= 28
