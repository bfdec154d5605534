"""The torchmetrics classes of class specificity: any batches, any number of processes."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from filterscope.metrics import (
    ClassClusters,
    FilterClassEntanglement,
    GateSimilarityScore,
    MaskedConfusion,
    PatchMoments,
)
from filterscope.metrics.functional import (
    ClusterCentres,
    Entanglement,
    GateSimilarity,
    class_subspace_alignment,
    cluster_centres,
    filter_class_entanglement,
    gate_similarity,
    masked_confusion,
    patch_moments,
)

N, C, K = 61, 4, 6
REMOVED = torch.arange(2 * K).reshape(2, K) % 3 == 0


def seeded(*shape: int, seed: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


GATE = seeded(C, K, seed=1)
LABELS = (seeded(N, seed=2) * C).long()
ANSWERS = torch.where(seeded(N, seed=3) < 0.7, LABELS, (LABELS + 1) % C)
MAPS = seeded(N, K, 3, 3, seed=4)
FEATURES = MAPS.mean((2, 3))
WEIGHT, BIAS = seeded(C, K, seed=5), seeded(C, seed=6)
GEOMETRY = {"kernel_size": 2, "stride": 1, "padding": 1, "dilation": 1}


def head(features: torch.Tensor) -> torch.Tensor:
    return features.mean((2, 3)) @ WEIGHT.T + BIAS


def metrics() -> dict[str, Any]:
    return {
        "confusion": MaskedConfusion(C, REMOVED, head),
        "similarity": GateSimilarityScore(GATE),
        "moments": PatchMoments(C, K, **GEOMETRY),
        "clusters": ClassClusters(GATE, n_init=2),
        "entanglement": FilterClassEntanglement(WEIGHT, BIAS, steps=20),
    }


def fill(found: dict[str, Any], at: torch.Tensor, size: int) -> None:
    for part in at.split(size):
        found["confusion"].update(MAPS[part], LABELS[part])
        found["similarity"].update(FEATURES[part], LABELS[part], ANSWERS[part])
        found["moments"].update(MAPS[part], LABELS[part])
        for name in ("clusters", "entanglement"):
            found[name].update(FEATURES[part], LABELS[part], part)


def filled(at: torch.Tensor, size: int) -> dict[str, Any]:
    found = metrics()
    fill(found, at, size)
    return found


def whole() -> dict[str, Any]:
    return {
        "confusion": masked_confusion(MAPS, LABELS, head, REMOVED, C),
        "similarity": vars(gate_similarity(FEATURES, LABELS, ANSWERS, GATE)),
        "moments": patch_moments(MAPS, LABELS, num_classes=C, **GEOMETRY),
        "clusters": vars(cluster_centres(FEATURES, GATE, n_init=2)),
        "entanglement": vars(filter_class_entanglement(FEATURES, LABELS, WEIGHT, BIAS, steps=20)),
    }


def check(found: dict[str, Any]) -> None:
    for name, expected in whole().items():
        torch.testing.assert_close(found[name], expected, equal_nan=True, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 20, N])
def test_batches_in_any_order_give_what_one_pass_gives(size: int) -> None:
    order = torch.randperm(N, generator=torch.Generator().manual_seed(7))
    check({name: metric.compute() for name, metric in filled(order, size).items()})


def test_a_reset_metric_starts_anew() -> None:
    found = filled(torch.arange(30), 10)
    for metric in found.values():
        metric.reset()
    fill(found, torch.arange(N), 40)
    check({name: metric.compute() for name, metric in found.items()})


def test_copies_and_pickles_keep_gate_head_and_states() -> None:
    found = filled(torch.arange(N), 25)
    check({name: copy.deepcopy(metric).compute() for name, metric in found.items()})
    check({name: pickle.loads(pickle.dumps(m)).compute() for name, m in found.items()})


def test_the_fields_make_the_records() -> None:
    found = filled(torch.arange(N), 25)
    for name, record in (
        ("similarity", GateSimilarity),
        ("clusters", ClusterCentres),
        ("entanglement", Entanglement),
    ):
        assert vars(record(**found[name].compute())).keys() == found[name].compute().keys()


def test_moments_of_groups_serve_the_alignment() -> None:
    metric = PatchMoments(C, K, kernel_size=(2, 3), groups=3)
    for part in torch.arange(N).split(17):
        metric.update(MAPS[part], LABELS[part])
    counts, sums, products = metric.compute()
    assert sums.shape == (C, 3, 12)
    assert products.shape == (C, 3, 12, 12)
    weights = seeded(K, K // 3, 2, 3, seed=8)
    expected = patch_moments(MAPS, LABELS, (2, 3), 1, 0, 1, C, groups=3)
    torch.testing.assert_close(
        class_subspace_alignment(weights, counts, sums, products),
        class_subspace_alignment(weights, *expected),
    )


def test_the_head_is_no_part_of_the_metric() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(K, C))
    metric = MaskedConfusion(C, torch.zeros(K, dtype=torch.bool), network)
    metric.eval()
    assert network.training
    assert not metric.state_dict()
    assert not list(metric.parameters())
    metric.update(FEATURES, LABELS)
    assert network.training
    assert metric.compute().shape == (C, C)
    assert int(metric.compute().sum()) == N


def test_gate_and_head_are_copied_when_the_metric_is_made() -> None:
    gate = GATE.clone()
    metric = GateSimilarityScore(nn.Parameter(gate))
    metric.update(FEATURES, LABELS, ANSWERS)
    gate.zero_()
    torch.testing.assert_close(
        metric.compute()["tp"], gate_similarity(FEATURES, LABELS, ANSWERS, GATE).tp
    )


def test_bad_input_is_named() -> None:
    found = metrics()
    with pytest.raises(ValueError, match=rf"`features` must be \(N, {K}\)"):
        found["similarity"].update(FEATURES[:, :2], LABELS, ANSWERS)
    with pytest.raises(ValueError, match="`predictions`"):
        found["similarity"].update(FEATURES, LABELS, ANSWERS[:4])
    with pytest.raises(ValueError, match=rf"`inputs` must be \(N, {K}, H, W\)"):
        found["moments"].update(MAPS[:, :2], LABELS)
    with pytest.raises(ValueError, match="`removed`"):
        found["confusion"].update(MAPS[:, :2], LABELS)
    with pytest.raises(ValueError, match="`removed`"):
        MaskedConfusion(C, torch.zeros(K), head)
    with pytest.raises(ValueError, match="`gate`"):
        GateSimilarityScore(GATE[0])
    with pytest.raises(ValueError, match="`groups`"):
        PatchMoments(C, K, 3, groups=4)


@pytest.mark.parametrize("name", ["clusters", "entanglement"])
def test_samples_count_once_and_at_all(name: str) -> None:
    metric = metrics()[name]
    with pytest.raises(ValueError, match="no samples"):
        metric.compute()
    for _ in range(2):
        metric.update(FEATURES, LABELS, torch.arange(N))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


def process(rank: int, port: int, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found = filled(torch.arange(rank, N, 2), 20)
    torch.save({name: metric.compute() for name, metric in found.items()}, f"{out}-{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(on_two: Callable[..., list]) -> None:
    for results in on_two(process):
        check(results)
