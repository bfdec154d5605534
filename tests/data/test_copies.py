"""How many images are taken how often, and what a mirrored copy looks like."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from filterscope.data import Split, Transform
from filterscope.data.copies import (
    Copies,
    copied,
    copies_of_one,
    copies_of_several,
    evenly_spaced,
    official_copies_of_one,
    official_copies_of_several,
)
from filterscope.data.folders import Store
from filterscope.data.split import InMemory, Streamed, joined


def rounded(value: float) -> int:
    """To the nearest integer, halves away from zero, as MATLAB rounds."""
    return int(np.floor(value + 0.5))


@pytest.mark.parametrize("count", [2, 3, 7, 194, 388, 1000])
@pytest.mark.parametrize("share", [0.9, 0.8, 0.5])
def test_the_division_is_the_authors(count: int, share: float) -> None:
    chosen = min(count - 1, max(1, rounded(count * share)))
    steps = np.linspace(1, count, chosen)
    expected = sorted({rounded(float(step)) - 1 for step in steps})
    train, test = evenly_spaced(count, share)
    assert train.tolist() == expected
    assert sorted(train.tolist() + test.tolist()) == list(range(count))
    assert len(test) >= 1


def test_a_division_needs_two_and_a_share() -> None:
    with pytest.raises(ValueError, match="`count` must be at least 2"):
        evenly_spaced(1, 0.9)
    with pytest.raises(ValueError, match="`share` must lie between 0 and 1, got 1"):
        evenly_spaced(5, 1)


def counted(copies: Copies) -> Counter[tuple[int, bool]]:
    return Counter(zip(copies.places.tolist(), copies.mirrored.tolist(), strict=True))


def test_one_category_has_three_positives_for_each_negative() -> None:
    positives, negatives = torch.arange(175), torch.arange(1000, 1900)
    counts = counted(copies_of_one(positives, negatives))
    mine = {key: n for key, n in counts.items() if key[0] < 1000}
    assert sum(mine.values()) == 2700
    assert len(mine) == 350
    assert set(mine.values()) == {7, 8}
    assert {key: n for key, n in counts.items() if key[0] >= 1000} == {
        (int(place), False): 1 for place in negatives
    }


def test_every_object_comes_before_any_comes_mirrored() -> None:
    counts = counted(copies_of_one(torch.arange(10), torch.arange(100, 104)))
    assert sum(n for (place, _), n in counts.items() if place < 100) == 12
    assert all(counts[place, False] == 1 for place in range(10))
    assert [place for place, mirrored in counts if mirrored] == [0, 1]


def test_few_negatives_are_repeated_as_for_the_birds() -> None:
    # 5,994 birds and 500 photographs without: four times each
    copies = copies_of_one(torch.arange(5994), torch.arange(6000, 6500))
    counts = counted(copies)
    assert all(counts[place, False] == 1 for place in range(5994))
    assert all(counts[place, False] == 4 for place in range(6000, 6500))
    assert not copies.mirrored.any()


@pytest.mark.parametrize(
    ("sizes", "share", "expected"),
    [
        ((175, 900, 20), 0.9, (1350, 1800, 1350)),
        ((175, 900), 1.0, (1500, 1800)),
        ((10,) * 10 + (300,), 0.9, (90,) * 10 + (360,)),  # more than ten: 100 to 400
        ((500,) * 11, 0.9, (500,) * 11),  # no object is lost
    ],
)
def test_several_categories_are_filled_up(
    sizes: tuple[int, ...], share: float, expected: tuple[int, ...]
) -> None:
    starts = np.cumsum((0, *sizes[:-1])).tolist()
    members = [torch.arange(start, start + n) for start, n in zip(starts, sizes, strict=True)]
    places = copies_of_several(members, share).places
    found = [int(torch.isin(places, part).sum()) for part in members]
    assert tuple(found) == expected
    assert set(places.tolist()) == set(range(sum(sizes)))


def loop_of_one(num_pos: int, num_neg: int) -> tuple[list[tuple[int, bool]], ...]:
    """The authors' lists of positives, written with loops: training, validation."""
    wanted = 3 * num_neg
    data = [(obj, flip) for obj in range(num_pos) for flip in (False, True)]
    repeats = -(-wanted // (2 * num_pos))
    data = (data * repeats)[:wanted]
    train = {rounded(float(i)) - 1 for i in np.linspace(1, num_pos, rounded(num_pos * 0.9))}
    return (
        [entry for entry in data if entry[0] in train],
        [entry for entry in data if entry[0] not in train],
    )


@pytest.mark.parametrize(("num_pos", "num_neg"), [(194, 1000), (681, 1000), (30, 20), (50, 10)])
def test_the_official_lists_of_one_category(num_pos: int, num_neg: int) -> None:
    positives, negatives = torch.arange(num_pos), torch.arange(num_pos, num_pos + num_neg)
    sides = official_copies_of_one(positives, negatives, 0.9)
    for copies, expected in zip(sides, loop_of_one(num_pos, num_neg), strict=True):
        mine = copies.places < num_pos
        pairs = zip(copies.places[mine].tolist(), copies.mirrored[mine].tolist(), strict=True)
        assert list(pairs) == expected
    assert [int((c.places >= num_pos).sum()) for c in sides] == [
        rounded(num_neg * 0.9), num_neg - rounded(num_neg * 0.9)
    ]  # fmt: skip


def test_the_official_lists_of_several_categories_leak_and_ours_do_not() -> None:
    members = [torch.arange(0, 200), torch.arange(200, 390)]
    train, test = official_copies_of_several(members, 0.9)
    assert (len(train.places), len(test.places)) == (2700, 300)
    assert set(test.places.tolist()) <= set(train.places.tolist())  # every single object
    sides = [evenly_spaced(len(part), 0.9) for part in members]
    ours = copies_of_several([part[s[0]] for part, s in zip(members, sides, strict=True)], 0.9)
    held_out = torch.cat([part[s[1]] for part, s in zip(members, sides, strict=True)])
    assert len(ours.places) == 2700
    assert not torch.isin(ours.places, held_out).any()


def make_split(in_memory: bool, folder: Path) -> Split:
    transform = Transform(8, stretch=True)
    names = ("0.png", "1.png", "2.png")
    for i, name in enumerate(names):
        image = Image.new("RGB", (20 + i, 10), "white")
        image.paste(("red", "green", "blue")[i], (0, 0, 8, 10))
        image.save(folder / name)
    store = Store(folder)
    images: InMemory | Streamed = Streamed(names, store)
    if in_memory:
        images = InMemory(torch.stack([transform.pixels(store(name)) for name in names]))
    landmarks = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]], [[torch.nan, torch.nan]]])
    return Split(
        torch.tensor([0, 1, 1]), names, images, transform, landmarks=landmarks, part_names=("head",)
    )


@pytest.mark.parametrize("in_memory", [True, False])
def test_copies_mirror_pixels_and_landmarks(in_memory: bool, tmp_path: Path) -> None:
    split = make_split(in_memory, tmp_path)
    places = torch.tensor([2, 0, 0, 1, 2])
    mirrored = torch.tensor([False, True, False, True, True])
    made = copied(split, Copies(places, mirrored))
    assert made.labels.tolist() == [1, 0, 0, 1, 1]
    assert list(made.names) == ["2.png", "mirrored:0.png", "0.png", "mirrored:1.png",
                                "mirrored:2.png"]  # fmt: skip
    for i, (place, flip) in enumerate(zip(places.tolist(), mirrored.tolist(), strict=True)):
        expected = split.raw(place)
        assert torch.equal(made.raw(i), expected.flip(2) if flip else expected)
    assert made.landmarks is not None
    assert made.landmarks[[1, 2, 3], 0].tolist() == [[7, 2], [1, 2], [5, 4]]
    assert made.landmarks[[0, 4]].isnan().all()
    assert made.part_names == ("head",)
    again = split.raw(0)
    assert torch.equal(again, make_split(in_memory, tmp_path).raw(0))  # the source stays as it is


def test_two_splits_of_one_kind_are_joined(tmp_path: Path) -> None:
    one, other = make_split(False, tmp_path), make_split(True, tmp_path)
    for split in (one, other):
        both = joined(split, split.take(torch.tensor([1])))
        assert len(both) == 4
        assert torch.equal(both.raw(3), split.raw(1))
        assert both.landmarks is not None
        assert both.landmarks[3].tolist() == [[3, 4]]
    with pytest.raises(ValueError, match="in memory"):
        joined(one, other)
