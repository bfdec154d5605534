"""The digit with landmarks at the ends of its strokes."""

import pytest
import torch

from filterscope.data import ImageDataset, load_dataset
from filterscope.data.digit_parts import INK, stroke_ends


@pytest.fixture(scope="module")
def dataset() -> ImageDataset:
    return load_dataset("digit-parts", image_size=16)


def test_it_is_one_category_against_as_many_other_digits(dataset: ImageDataset) -> None:
    assert dataset.classes == ("neg", "6")
    assert (dataset.categories, dataset.negative) == (("6",), "neg")
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    own, other = int((labels == 1).sum()), int((labels == 0).sum())
    assert own == 181  # of scikit-learn's 1797
    assert other == 9 * (own // 9)


def test_landmarks_are_inside_and_upright(dataset: ImageDataset) -> None:
    for split in (dataset.train, dataset.test):
        assert split.part_names == ("bottom", "top")
        assert split.landmarks.shape == (len(split), 2, 2)
        assert split.landmarks.dtype == torch.float32
        assert bool(split.landmarks[split.labels == 0].isnan().all())
        mine = split.landmarks[split.labels == 1]
        assert bool(((mine > 0) & (mine < 16)).all())
        assert bool((mine[:, 0, 1] > mine[:, 1, 1]).all()), "the bottom is below the top"


def test_a_landmark_lies_in_the_row_of_the_last_ink(dataset: ImageDataset) -> None:
    split = dataset.test
    for place in torch.nonzero(split.labels == 1).flatten()[:10].tolist():
        ink = split.raw(place)[0] > INK
        rows = [row for row in range(16) if bool(ink[row].any())]
        for part, row in ((0, rows[-1]), (1, rows[0])):
            columns = [column + 0.5 for column in range(16) if bool(ink[row, column])]
            x, y = split.landmarks[place, part].tolist()
            assert y == row + 0.5
            assert x == pytest.approx(sum(columns) / len(columns))


def test_an_image_without_ink_has_no_landmark() -> None:
    assert bool(stroke_ends(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)).isnan().all())
    assert stroke_ends(torch.zeros(0, 3, 8, 8, dtype=torch.uint8)).shape == (0, 2, 2)


def test_landmarks_grow_with_the_images(dataset: ImageDataset) -> None:
    large = load_dataset("digit-parts", image_size=32)
    assert large.transform.image_size == 32
    assert torch.equal(large.test.labels, dataset.test.labels)
    mine = dataset.test.labels == 1
    shift = large.test.landmarks[mine] / 2 - dataset.test.landmarks[mine]
    assert float(shift.abs().mean()) < 1


def test_no_image_is_on_both_sides_and_limits_hold(dataset: ImageDataset) -> None:
    assert not set(dataset.train.names) & set(dataset.test.names)
    assert len(set(dataset.train.names)) == len(dataset.train)
    few = load_dataset("digit-parts", image_size=16, limit=20, limit_test=10)
    assert (len(few.train), len(few.test)) == (20, 10)
    assert few.train.class_counts(2).tolist() == [10, 10]
    again = load_dataset("digit-parts", image_size=16, limit=20, limit_test=10)
    assert few.train.names == again.train.names
    other = load_dataset("digit-parts", image_size=16, limit=20, limit_test=10, seed=1)
    assert few.train.names != other.train.names
