"""The torchmetrics classes: any batches, any number of processes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.distributed as dist

from filterscope.metrics import ClassMeanFeatures, MutualInformation
from filterscope.metrics.functional import class_mean_features, mutual_information_matrix


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (101,), generator=generator)
    features = torch.rand(101, 6, generator=generator)
    features[torch.rand(101, 6, generator=generator) < 0.6] = 0  # where the order of rows matters
    return features, labels


def fill(metric: MutualInformation, indices: torch.Tensor, size: int = 17) -> None:
    features, labels = samples()
    for part in indices.split(size):
        metric.update(features[part], labels[part], part)


def test_the_matrix_does_not_depend_on_batches_and_their_order() -> None:
    features, labels = samples()
    expected = mutual_information_matrix(features, labels, 4)
    metric = MutualInformation(num_classes=4)
    fill(metric, torch.randperm(101, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(metric.compute(), expected)
    metric.reset()
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()
    fill(metric, torch.arange(101))
    assert torch.equal(metric.compute(), expected)


@pytest.mark.parametrize("size", [1, 10, 101])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"balanced": True, "random_state": 3},
        {"n_neighbors": 1, "ties": "exact-zero"},
    ],
)
def test_the_class_gives_what_the_function_gives(size: int, options: dict) -> None:
    features, labels = samples()
    metric = MutualInformation(num_classes=6, **options)
    backwards = torch.arange(100, -1, -1)
    fill(metric, backwards, size)
    assert torch.equal(metric.compute(), mutual_information_matrix(features, labels, 6, **options))


def test_only_the_order_of_the_indices_counts() -> None:
    features, labels = samples()
    metric = MutualInformation(num_classes=4)
    metric.update(features, labels, torch.arange(101) * 7 + 1000)  # a subset of a larger data set
    assert torch.equal(metric.compute(), mutual_information_matrix(features, labels, 4))
    metric.reset()
    metric.update(features, labels, torch.arange(101).flip(0))
    turned = mutual_information_matrix(features.flip(0), labels.flip(0), 4)
    assert torch.equal(metric.compute(), turned)
    assert not torch.equal(turned, mutual_information_matrix(features, labels, 4))


def test_samples_come_back_sorted_by_index_and_without_a_graph() -> None:
    features, labels = samples()
    metric = MutualInformation(num_classes=4)
    order = torch.randperm(101, generator=torch.Generator().manual_seed(2))
    trained = features.clone().requires_grad_()
    for part in order.split(25):
        metric.update(trained[part], labels[part], part)
    kept, classes, indices = metric.samples()
    assert torch.equal(kept, features)
    assert torch.equal(classes, labels)
    assert indices.tolist() == list(range(101))
    assert not kept.requires_grad


def test_a_sample_counts_once() -> None:
    metric = MutualInformation(num_classes=4)
    fill(metric, torch.arange(101))
    fill(metric, torch.arange(3))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


def test_a_sample_repeated_within_a_batch_is_found_too() -> None:
    metric = MutualInformation(num_classes=2)
    metric.update(torch.rand(4, 2), torch.tensor([0, 1, 0, 1]), torch.tensor([5, 2, 9, 5]))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


@pytest.mark.parametrize(
    ("features", "labels", "indices"), [((3, 2), 2, 3), ((3, 2), 3, 4), ((3,), 3, 3)]
)
def test_shapes_are_checked(features: tuple[int, ...], labels: int, indices: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        MutualInformation(4).update(
            torch.ones(features), torch.zeros(labels, dtype=torch.long), torch.arange(indices)
        )


def test_labels_beyond_the_number_of_classes_are_refused() -> None:
    metric = MutualInformation(num_classes=2)
    metric.update(torch.rand(3, 2), torch.tensor([0, 1, 2]), torch.arange(3))
    with pytest.raises(ValueError, match=r"`labels` must lie in \[0, 1\], got 0 to 2"):
        metric.compute()


def test_class_means_add_up_over_batches() -> None:
    features, labels = samples()
    metric = ClassMeanFeatures(num_classes=5, num_filters=6)
    for part in torch.arange(101).split(13):
        metric.update(features[part], labels[part])
    torch.testing.assert_close(
        metric.compute(), class_mean_features(features, labels, 5), equal_nan=True
    )


@pytest.mark.parametrize("size", [1, 30, 101])
def test_class_means_do_not_depend_on_batches_and_their_order(size: int) -> None:
    features, labels = samples()
    metric = ClassMeanFeatures(num_classes=4, num_filters=6)
    for part in torch.arange(101).flip(0).split(size):
        metric.update(features[part], labels[part])
    expected = [features[labels == c].double().numpy().mean(axis=0) for c in range(4)]
    assert metric.compute().numpy() == pytest.approx(np.stack(expected), rel=1e-12)


def test_an_absent_class_has_no_mean() -> None:
    metric = ClassMeanFeatures(num_classes=4, num_filters=2)
    metric.update(torch.tensor([[1.0, 2.0], [3.0, 6.0]]), torch.tensor([2, 2]))
    means = metric.compute()
    assert means.dtype == torch.float64
    assert means[2].tolist() == [2.0, 4.0]
    assert means.isnan().all(dim=1).tolist() == [True, True, False, True]
    metric.update(torch.tensor([[5.0, 7.0]]), torch.tensor([0]))
    assert metric.compute()[0].tolist() == [5.0, 7.0]
    metric.reset()
    metric.update(torch.tensor([[8.0, 9.0]]), torch.tensor([2]))
    assert metric.compute()[2].tolist() == [8.0, 9.0]
    assert metric.compute().isnan().all(dim=1).tolist() == [True, True, False, True]


def test_class_means_are_summed_in_float64() -> None:
    features = torch.full((3000, 1), 0.1)
    features[0] = 2.0**24  # to which float32 could not add 0.1
    metric = ClassMeanFeatures(num_classes=1, num_filters=1)
    metric.update(features, torch.zeros(3000, dtype=torch.long))
    expected = (2.0**24 + 2999 * float(torch.tensor(0.1))) / 3000
    assert float(metric.compute()) == pytest.approx(expected, rel=1e-12)
    metric.reset()
    metric.update(torch.full((3, 1), 1 / 3, dtype=torch.float64), torch.tensor([0, 0, 0]))
    assert float(metric.compute()) == pytest.approx(1 / 3, rel=1e-12)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.ones(3, 2), torch.tensor([0, 1]), r"\(N, K\)"),
        (torch.ones(3), torch.tensor([0, 1, 1]), r"\(N, K\)"),
        (torch.ones(2, 2), torch.tensor([0, 2]), r"`labels` must lie in \[0, 1\]"),
        (torch.ones(2, 2), torch.tensor([-1, 1]), r"`labels` must lie in \[0, 1\]"),
    ],
)
def test_class_means_name_bad_input(
    features: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ClassMeanFeatures(2, 2).update(features, labels)
    with pytest.raises(ValueError, match=message):
        class_mean_features(features, labels, 2)


def process(rank: int, port: int, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    features, labels = samples()
    mutual = MutualInformation(num_classes=4)
    balanced = MutualInformation(num_classes=4, balanced=True)
    twice, means = MutualInformation(num_classes=4), ClassMeanFeatures(5, 6)
    mine = torch.arange(rank, 101, 2)  # 51 and 50 samples
    for metric in (mutual, balanced):
        fill(metric, mine)
    fill(twice, torch.arange(60) if rank else torch.arange(59, 101))  # sample 59 on both
    for part in mine.split(20):
        means.update(features[part], labels[part])
    results = mutual.compute(), balanced.compute(), means.compute()
    with pytest.raises(ValueError, match="twice"):
        twice.compute()
    torch.save(results, f"{out}-{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(on_two: Callable[..., list]) -> None:
    features, labels = samples()
    for mutual, balanced, means in on_two(process):
        assert torch.equal(mutual, mutual_information_matrix(features, labels, 4))
        expected = mutual_information_matrix(features, labels, 4, balanced=True)
        assert torch.equal(balanced, expected)
        torch.testing.assert_close(
            means, class_mean_features(features, labels, 5), equal_nan=True, rtol=1e-12, atol=0
        )
