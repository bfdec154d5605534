"""The torchmetrics classes: any batches, any number of processes."""

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from filterscope.metrics import ClassMeanFeatures, MutualInformation
from filterscope.metrics.functional import class_mean_features, mutual_information_matrix


def samples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (101,), generator=generator)
    features = torch.rand(101, 6, generator=generator)
    features[torch.rand(101, 6, generator=generator) < 0.6] = 0  # where the order of rows matters
    return features, labels


def fill(metric: MutualInformation, indices: torch.Tensor) -> None:
    features, labels = samples()
    for part in indices.split(17):
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


def test_a_sample_counts_once() -> None:
    metric = MutualInformation(num_classes=4)
    fill(metric, torch.arange(101))
    fill(metric, torch.arange(3))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="must be"):
        MutualInformation(4).update(torch.ones(3, 2), torch.ones(2), torch.arange(3))


def test_class_means_add_up_over_batches() -> None:
    features, labels = samples()
    metric = ClassMeanFeatures(num_classes=5, num_filters=6)
    for part in torch.arange(101).split(13):
        metric.update(features[part], labels[part])
    torch.testing.assert_close(
        metric.compute(), class_mean_features(features, labels, 5), equal_nan=True
    )


def process(rank: int, port: int, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    features, labels = samples()
    mutual, means = MutualInformation(num_classes=4), ClassMeanFeatures(4, 6)
    fill(mutual, torch.arange(rank, 101, 2))  # 51 and 50 samples
    means.update(features[rank::2], labels[rank::2])
    if rank == 0:
        torch.save((mutual.compute(), means.compute()), out)
    else:
        mutual.compute()
        means.compute()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    mp.spawn(process, args=(port, str(tmp_path / "out.pt")), nprocs=2)
    mutual, means = torch.load(tmp_path / "out.pt")
    features, labels = samples()
    assert torch.equal(mutual, mutual_information_matrix(features, labels, 4))
    torch.testing.assert_close(means, class_mean_features(features, labels, 4))
