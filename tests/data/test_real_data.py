"""Real photographs in zip files, found through FILTERSCOPE_DATA."""

import os

import pytest
import torch

from filterscope.data import ImageDataset, batches, load_dataset

pytestmark = pytest.mark.data


@pytest.fixture(scope="module")
def photos() -> ImageDataset:
    return load_dataset(
        "folder:cifar10_jpeg", root=os.environ["FILTERSCOPE_DATA"], limit=200, limit_test=100
    )


def test_cifar_in_jpegs_has_ten_balanced_classes(photos: ImageDataset) -> None:
    assert len(photos.classes) == 10
    assert photos.train.class_counts(10).tolist() == [20] * 10
    assert photos.test.class_counts(10).tolist() == [10] * 10
    assert photos.unreadable == ()


def test_cifar_in_jpegs_is_32_pixels_large_and_in_colour(photos: ImageDataset) -> None:
    assert photos.transform.image_size == 32
    for split in (photos.train, photos.test):
        pixels = torch.stack([split.raw(i) for i in range(len(split))])
        assert pixels.shape[1:] == (3, 32, 32)
        assert pixels.dtype == torch.uint8
        assert float((pixels[:, 0].float() - pixels[:, 2].float()).abs().mean()) > 5


def test_names_of_cifar_jpegs_end_in_jpg_and_begin_with_their_class(photos: ImageDataset) -> None:
    for split in (photos.train, photos.test):
        assert len(set(split.names)) == len(split)
        for name, label in zip(split.names, split.labels.tolist(), strict=True):
            assert name.endswith(".jpg")
            assert name.split("/")[0] == photos.classes[label]


def test_batches_of_cifar_jpegs_are_about_normalised(photos: ImageDataset) -> None:
    (batch,) = batches(photos.train, 200, transform=photos.transform)
    assert batch.images.shape == (200, 3, 32, 32)
    assert batch.images.mean((0, 2, 3)).abs().max() < 0.5
    assert (batch.images.std((0, 2, 3)) - 1).abs().max() < 0.3
