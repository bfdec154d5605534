"""Batches: which images, in which order, changed how, for any number of processes."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from filterscope.data import (
    Augmentation,
    Batch,
    ImageDataset,
    Split,
    Transform,
    batches,
    class_weights,
    describe_dataset,
    load_dataset,
    num_batches,
)
from filterscope.data.split import InMemory

PLAIN = Transform(8, mean=(0, 0, 0), std=(1, 1, 1))


def memory_split(count: int, seed: int = 0) -> Split:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=generator).to(torch.uint8)
    labels = torch.randint(0, 5, (count,), generator=generator)
    return Split(labels, [f"image {i}" for i in range(count)], InMemory(pixels), PLAIN)


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> ImageDataset:
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for label in "abc":
        for side, count in (("train", 5), ("test", 2)):
            folder = root / side / label
            folder.mkdir(parents=True)
            for i in range(count):
                values = rng.integers(0, 256, (20, 24 + i, 3)).astype(np.uint8)
                Image.fromarray(values).save(folder / f"{i}.png")
    return load_dataset(f"folder:{root}", image_size=100)


def go(split: Split, batch_size: int, **options: Any) -> list[Batch]:
    return list(batches(split, batch_size, transform=split.transform, **options))


def by_index(passed: list[Batch]) -> dict[int, Tensor]:
    """Image of each index; no index may come twice."""
    images = {
        int(index): image
        for batch in passed
        for index, image in zip(batch.indices, batch.images, strict=True)
    }
    assert len(images) == sum(len(batch.indices) for batch in passed)
    return images


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        for mine, its in zip(one, other, strict=True):
            assert torch.equal(mine, its)


@pytest.mark.parametrize("count", [1, 7, 16, 17, 23, 24])
@pytest.mark.parametrize("world_size", [2, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_processes_together_see_each_image_once_and_changed_as_one_process_does(
    count: int, world_size: int, shuffle: bool
) -> None:
    split = memory_split(count)
    options = {"augmentation": Augmentation(2), "shuffle": shuffle, "seed": 3, "epoch": 4}
    alone = go(split, 8, **options)
    shared = [go(split, 8, rank=r, world_size=world_size, **options) for r in range(world_size)]
    whole = by_index(alone)
    assert set(whole) == set(range(count))
    for step, batch in enumerate(alone):
        parts = [passed[step] for passed in shared]
        indices = torch.cat([part.indices for part in parts])
        assert sorted(indices.tolist()) == sorted(batch.indices.tolist())
        for part in parts:
            assert torch.equal(part.labels, split.labels[part.indices])
    together = by_index([batch for passed in shared for batch in passed])
    assert set(together) == set(whole)
    for index, image in together.items():
        assert torch.equal(image, whole[index])
    lengths = [sum(len(batch.indices) for batch in passed) for passed in shared]
    assert max(lengths) - min(lengths) <= len(alone)


def test_each_process_takes_every_other_image_of_a_batch() -> None:
    split = memory_split(11)
    alone = go(split, 4, shuffle=True)
    for rank in range(2):
        mine = go(split, 4, shuffle=True, rank=rank, world_size=2)
        for batch, part in zip(alone, mine, strict=True):
            assert part.indices.tolist() == batch.indices.tolist()[rank::2]


def test_all_processes_make_the_same_number_of_steps_with_empty_last_parts() -> None:
    split = memory_split(9)
    passed = [go(split, 8, rank=r, world_size=2, augmentation=Augmentation(2)) for r in range(2)]
    assert [[len(batch.indices) for batch in batches_] for batches_ in passed] == [[4, 1], [4, 0]]
    empty = passed[1][1]
    assert empty.images.shape == (0, 3, 8, 8)
    assert empty.images.dtype == torch.float32
    assert empty.labels.shape == (0,)
    assert empty.labels.dtype == torch.int64


@pytest.mark.parametrize("augmentation", [None, Augmentation(2)])
def test_the_same_seed_and_epoch_give_the_same_batches(augmentation: Augmentation | None) -> None:
    options = {"augmentation": augmentation, "shuffle": True, "seed": 11, "epoch": 5}
    split = memory_split(21)
    first = go(split, 6, **options)
    torch.manual_seed(99)  # the global generator has no part in it
    torch.rand(3)
    assert_same(first, go(split, 6, **options))


@pytest.mark.parametrize("changed", [{"epoch": 6}, {"seed": 12}, {"seed": 5, "epoch": 11}])
def test_another_seed_or_epoch_gives_another_order_and_other_changes(
    changed: dict[str, int],
) -> None:
    split = memory_split(64)
    options = {"augmentation": Augmentation(2), "shuffle": True}
    first = go(split, 64, seed=11, epoch=5, **options)
    other = go(split, 64, **{**options, "seed": 11, "epoch": 5, **changed})
    assert first[0].indices.tolist() != other[0].indices.tolist()
    mine, its = by_index(first), by_index(other)
    assert sum(not torch.equal(mine[i], its[i]) for i in range(64)) > 32


def test_passing_does_not_touch_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    go(memory_split(10), 4, shuffle=True, augmentation=Augmentation(2))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("count", "drop_last", "sizes"),
    [
        (12, False, [4, 4, 4]),
        (12, True, [4, 4, 4]),
        (13, False, [4, 4, 4, 1]),
        (13, True, [4, 4, 4]),
        (3, False, [3]),
        (3, True, []),
    ],
)
def test_drop_last_leaves_out_an_incomplete_batch_alone(
    count: int, drop_last: bool, sizes: list[int]
) -> None:
    split = memory_split(count)
    passed = go(split, 4, drop_last=drop_last)
    assert [len(batch.indices) for batch in passed] == sizes
    assert num_batches(split, 4, drop_last=drop_last) == len(sizes)


def test_an_unshuffled_pass_keeps_the_order_and_the_pixels() -> None:
    split = memory_split(10)
    passed = go(split, 4)
    assert torch.cat([batch.indices for batch in passed]).tolist() == list(range(10))
    for batch in passed:
        assert batch.images.dtype == torch.float32
        for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
            assert torch.equal((image * 255).round().to(torch.uint8), split.raw(index))


def test_labels_and_pixels_belong_to_the_indices_after_shuffling() -> None:
    split = memory_split(30)
    order: list[int] = []
    for batch in go(split, 7, shuffle=True, seed=2):
        order += batch.indices.tolist()
        assert batch.labels.dtype == batch.indices.dtype == torch.int64
        for image, label, index in zip(batch.images, batch.labels, batch.indices, strict=True):
            assert label == split.labels[index]
            assert torch.equal((image * 255).round().to(torch.uint8), split.raw(int(index)))
    assert order != list(range(30))
    assert sorted(order) == list(range(30))


def test_batches_are_normalised_by_the_transform_that_is_given() -> None:
    split = memory_split(5)
    transform = Transform(8, mean=(0.1, 0.5, 0.9), std=(0.2, 0.4, 0.8))
    (batch,) = batches(split, 5, transform=transform)
    assert torch.equal(batch.images, transform.normalize(split.images.pixels))


def shifted(pixels: np.ndarray, padding: int, down: int, right: int, mirror: bool) -> np.ndarray:
    """Pad with black, cut at (down, right), mirror: one pixel after the other."""
    channels, height, width = pixels.shape
    result = np.zeros_like(pixels)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                source_y, source_x = y + down - padding, x + right - padding
                if 0 <= source_y < height and 0 <= source_x < width:
                    place = width - 1 - x if mirror else x
                    result[c, y, place] = pixels[c, source_y, source_x]
    return result


@pytest.mark.parametrize("padding", [0, 1, 3, 8])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_shift_equals_a_plain_loop(padding: int, flip: bool, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 3, *size), generator=generator).to(torch.uint8)
    numbers = torch.rand(24, Augmentation.NUMBERS, generator=generator)
    got = Augmentation(padding, flip=flip).shift(pixels, numbers)
    assert got.dtype == torch.uint8
    places = 2 * padding + 1
    mirrored = 0
    for i in range(24):
        down = math.floor(float(numbers[i, 0]) * places)
        right = math.floor(float(numbers[i, 1]) * places)
        mirror = flip and float(numbers[i, 2]) < 0.5
        mirrored += mirror
        wanted = shifted(pixels[i].numpy(), padding, down, right, mirror)
        assert (got[i].numpy() == wanted).all()
    assert not flip or 0 < mirrored < 24


def test_the_largest_uniform_number_still_shifts_within_the_padding() -> None:
    largest = 1 - 2**-24
    pixels = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4).expand(1, 3, 4, 4)
    for padding in (1, 2, 4, 12, 28):
        got = Augmentation(padding, flip=False).shift(pixels, torch.full((1, 5), largest))
        wanted = shifted(pixels[0].numpy(), padding, 2 * padding, 2 * padding, False)
        assert (got[0].numpy() == wanted).all()


def test_batches_shift_each_image_by_the_numbers_of_its_index() -> None:
    split = memory_split(19)
    augmentation = Augmentation(2)
    plain = by_index(go(split, 5, augmentation=augmentation, seed=6, epoch=2))
    # one place of the generator's stream per image: the batch size does not matter
    other = by_index(go(split, 19, augmentation=augmentation, seed=6, epoch=2))
    for index in range(19):
        assert torch.equal(plain[index], other[index])


def test_streamed_images_without_cuts_are_shifted_as_those_in_memory(
    streamed: ImageDataset,
) -> None:
    split = streamed.train
    pixels = torch.stack([split.raw(i) for i in range(len(split))])
    kept = Split(split.labels, split.names, InMemory(pixels), split.transform)
    augmentation = Augmentation(16, scale=None)
    options = {"augmentation": augmentation, "shuffle": True, "seed": 2, "epoch": 1, "workers": 0}
    assert_same(go(split, 4, **options), go(kept, 4, **options))
    with pytest.raises(ValueError, match="`scale` is None"):
        augmentation.cut(Image.new("RGB", (9, 9)), 4, torch.rand(5))


def test_every_shift_is_about_equally_frequent_and_half_the_images_are_mirrored() -> None:
    count = 5000
    dot = torch.zeros(count, 3, 7, 7, dtype=torch.uint8)
    dot[:, :, 3, 3] = 200
    dot[:, :, 3, 4] = 100  # on the right of the brighter dot, unless mirrored
    split = Split(torch.zeros(count, dtype=torch.int64), [""] * count, InMemory(dot), PLAIN)
    (batch,) = go(split, count, augmentation=Augmentation(2), seed=1)
    pixels = (batch.images[:, 0] * 255).round().long()
    rows = (pixels == 200).any(2).long().argmax(1)
    counts = torch.bincount(rows, minlength=7)
    assert counts[[0, 6]].tolist() == [0, 0]
    # five standard deviations of a binomial
    spread = 5 * math.sqrt(count * 0.2 * 0.8)
    assert (counts[1:6] - count / 5).abs().max() < spread
    bright, dim = ((pixels == v).any(1).long().argmax(1) for v in (200, 100))
    assert abs(int((dim < bright).sum()) - count / 2) < 5 * math.sqrt(count / 4)


def test_a_cut_of_everything_is_the_scaled_image() -> None:
    values = np.random.default_rng(1).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    image = Image.fromarray(values)
    # the largest area at the image's own aspect ratio, 4 : 3, is the whole image
    numbers = torch.tensor([0.9, 0.9, 0.9, 1.0, 1.0])
    got = Augmentation().cut(image, 16, numbers)
    wanted = image.resize((16, 16), Image.Resampling.BILINEAR)
    assert (np.asarray(got) == np.asarray(wanted)).all()
    numbers[2] = 0.1
    mirrored = Augmentation().cut(image, 16, numbers)
    assert (np.asarray(mirrored) == np.asarray(wanted)[:, ::-1]).all()
    kept = Augmentation(flip=False).cut(image, 16, numbers)
    assert (np.asarray(kept) == np.asarray(wanted)).all()


def windows(size: tuple[int, int], scale: float) -> Iterator[tuple[float, float]]:
    """Share of the area and aspect ratio of random cuts, read off a picture of coordinates."""
    width, height = size
    across = np.linspace(0, 255, width)[None].repeat(height, 0)
    along = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    image = Image.fromarray(np.stack([across, along, across], 2).round().astype(np.uint8))
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        numbers = torch.rand(Augmentation.NUMBERS, generator=generator)
        got = np.asarray(Augmentation(flip=False, scale=scale).cut(image, 64, numbers), float)
        w = (got[0, -1, 0] - got[0, 0, 0]) / 255 * width * 64 / 63
        h = (got[-1, 0, 1] - got[0, 0, 1]) / 255 * height * 64 / 63
        yield w * h / (width * height), w / h


@pytest.mark.parametrize("scale", [0.08, 0.5])
def test_random_cuts_have_the_area_and_aspect_that_are_told(scale: float) -> None:
    areas, ratios = (np.array(values) for values in zip(*windows((200, 200), scale), strict=True))
    assert areas.min() > scale - 0.03
    assert areas.min() < scale + 0.1
    assert areas.max() > 0.85
    assert ratios.min() > 3 / 4 - 0.06
    assert ratios.max() < 4 / 3 + 0.08
    assert ratios.min() < 0.85
    assert ratios.max() > 1.18


def test_worker_processes_do_not_change_streamed_batches(streamed: ImageDataset) -> None:
    options = {"augmentation": streamed.augmentation, "shuffle": True, "seed": 4, "epoch": 1}
    here = go(streamed.train, 4, workers=0, **options)
    assert_same(here, go(streamed.train, 4, workers=2, **options))
    whole = by_index(here)
    assert set(whole) == set(range(15))
    shared = [
        batch
        for rank in range(2)
        for batch in go(streamed.train, 4, workers=2 * rank, rank=rank, world_size=2, **options)
    ]
    together = by_index(shared)
    assert set(together) == set(whole)
    for index, image in together.items():
        assert torch.equal(image, whole[index])
    for batch in [*here, *shared]:
        assert torch.equal(batch.labels, streamed.train.labels[batch.indices])


def test_streamed_test_images_are_those_of_the_transform(streamed: ImageDataset) -> None:
    split = streamed.test
    images = by_index(go(split, 4, workers=0))
    for index in range(len(split)):
        wanted = streamed.transform.normalize(split.raw(index)[None])[0]
        assert torch.equal(images[index], wanted)


def test_another_epoch_cuts_streamed_images_elsewhere(streamed: ImageDataset) -> None:
    options = {"augmentation": streamed.augmentation, "workers": 0}
    first = by_index(go(streamed.test, 6, epoch=0, **options))
    second = by_index(go(streamed.test, 6, epoch=1, **options))
    assert not any(torch.equal(first[i], second[i]) for i in range(6))


def test_streamed_copies_of_one_image_are_each_cut_by_their_own_numbers(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.fromarray(values).save(tmp_path / label / f"{i}.png")
    dataset = load_dataset(f"folder:{tmp_path}", image_size=100)
    (batch,) = go(dataset.train, 8, augmentation=dataset.augmentation, workers=0)
    (plain,) = go(dataset.train, 8, workers=0)
    for i in range(1, len(batch.images)):
        assert torch.equal(plain.images[i], plain.images[0])
        assert not any(torch.equal(batch.images[i], batch.images[j]) for j in range(i))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_empty_last_part_of_a_streamed_pass_is_an_empty_batch(
    streamed: ImageDataset, workers: int
) -> None:
    passed = go(streamed.test, 5, rank=1, world_size=2, workers=workers)
    assert [batch.indices.tolist() for batch in passed] == [[1, 3], []]
    assert [tuple(batch.images.shape) for batch in passed] == [(2, 3, 100, 100), (0, 3, 100, 100)]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_broke_after_loading_is_named(tmp_path: Path, workers: int) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(3):
            Image.new("RGB", (20, 20)).save(tmp_path / label / f"{i}.png")
    dataset = load_dataset(f"folder:{tmp_path}", image_size=100)
    name = dataset.train.names[0]
    (tmp_path / name).write_bytes(b"gone")
    with pytest.raises(ValueError, match=name):
        go(dataset.train, 2, workers=workers)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [2, 7])
def test_class_weights_equal_scikit_learns_balanced_ones(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 50) ** 2 % classes])
    rng.shuffle(labels)
    wanted = compute_class_weight("balanced", classes=np.arange(classes), y=labels)
    got = class_weights(torch.from_numpy(labels), classes)
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-12)
    assert float(got[torch.from_numpy(labels)].sum()) == pytest.approx(len(labels))


def test_a_class_without_images_has_no_weight() -> None:
    with pytest.raises(ValueError, match=r"classes \[1, 3\] have no training image"):
        class_weights(torch.tensor([0, 2, 2]), 4)


def test_digits_are_1797_images_of_ten_classes_never_mirrored() -> None:
    dataset = load_dataset("digits")
    assert len(dataset.train) + len(dataset.test) == 1797
    assert dataset.classes == tuple("0123456789")
    assert dataset.train.raw(0).shape == (3, 16, 16)
    assert dataset.augmentation.flip is False
    assert dataset.unreadable == ()
    of_digit = torch.bincount(torch.from_numpy(load_digits().target))
    tested = dataset.test.class_counts(10)
    assert torch.equal(dataset.train.class_counts(10) + tested, of_digit)
    assert (tested - of_digit * 0.2).abs().max() <= 0.5


def test_digits_show_the_originals_that_their_names_tell() -> None:
    dataset = load_dataset("digits", image_size=8)
    original = load_digits()
    seen = []
    for split in (dataset.train, dataset.test):
        for index in range(len(split)):
            place = int(split.names[index].removeprefix("digit "))
            seen.append(place)
            assert int(split.labels[index]) == original.target[place]
            wanted = original.images[place] * 255 / 16
            assert np.abs(split.raw(index).numpy() - wanted).max() <= 0.5
    assert sorted(seen) == list(range(1797))


def test_digits_are_held_out_by_seed() -> None:
    first, again, other = (load_dataset("digits", seed=seed) for seed in (0, 0, 1))
    assert first.test.names == again.test.names
    assert first.test.names != other.test.names


def test_normalised_digits_have_zero_mean_and_unit_deviation() -> None:
    dataset = load_dataset("digits")
    (batch,) = batches(dataset.train, len(dataset.train), transform=dataset.transform)
    assert abs(float(batch.images.mean())) < 0.01
    assert abs(float(batch.images.std()) - 1) < 0.01


def test_a_pass_over_files_leaves_the_global_generators_alone(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.new("RGB", (120, 120), (i, 0, 0)).save(tmp_path / name / f"{i}.png")
    dataset = load_dataset(f"folder:{tmp_path}")
    before = torch.get_rng_state()
    passes = [
        torch.cat([
            batch.images
            for batch in batches(
                dataset.train, 2, transform=dataset.transform, augmentation=dataset.augmentation,
                shuffle=True, workers=workers,
            )
        ])
        for workers in (0, 1)
    ]  # fmt: skip
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*passes)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_batches_of_nothing_are_not_counted(batch_size: int) -> None:
    with pytest.raises(ValueError, match="`batch_size` must be at least 1"):
        num_batches(load_dataset("digits", limit=20).train, batch_size)


def test_places_are_integers() -> None:
    split = load_dataset("digits", limit=20).train
    for places, came in ((split.labels == 3, "torch.bool"), ([0, 1], "list")):
        with pytest.raises(TypeError, match=f"`places` must be a tensor of integers, got {came}"):
            split.take(places)
    assert split.take(torch.tensor([3, 3], dtype=torch.int32)).names == (split.names[3],) * 2


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, -1, 1]])
def test_weights_are_for_the_classes_there_are(labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 1\]"):
        class_weights(torch.tensor(labels), num_classes=2)


def test_an_unknown_data_set_is_described_by_the_near_ones() -> None:
    with pytest.raises(ValueError, match="unknown data set 'digts'; near: digits"):
        describe_dataset("digts")


def test_an_impossible_augmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="`padding` must be at least 0, got -1"):
        Augmentation(padding=-1)
    for scale in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"`scale` must lie in \(0, 1\]"):
            Augmentation(scale=scale)
