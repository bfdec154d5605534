"""The localisation metrics as torchmetrics classes: any batches, any number of processes."""

import copy
import dataclasses
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist

from filterscope.metrics import ActivationLocalization, GradientLocalization, MapLocalization
from filterscope.metrics.functional import (
    activation_localization,
    gradient_localization,
    map_localization,
)

N, C, K = 31, 4, 5


def samples():
    generator = torch.Generator().manual_seed(0)
    raw = torch.relu(torch.randn(N, K, 3, 3, generator=generator))
    wide = 2.5 * torch.rand(N, K, 12, 10, generator=generator)
    masks = torch.rand(N, 12, 10, generator=generator) > 0.6
    masks[3], masks[4] = False, True
    wide[3] = 0
    labels = torch.randint(0, C - 1, (N,), generator=generator)  # the last class has no image
    return raw, wide, masks, labels


def metrics():
    return {
        "activation": ActivationLocalization(C),
        "map": MapLocalization(C),
        "paper": GradientLocalization(C, K, "paper"),
        "official": GradientLocalization(C, K),
    }


def feed(metric, kind, part):
    raw, wide, masks, labels = samples()
    if kind == "activation":
        metric.update(raw[part], masks[part], labels[part], part)
    else:
        maps = wide[:, 0] if kind == "map" else wide
        metric.update(maps[part], masks[part], labels[part])


def one_pass(kind):
    raw, wide, masks, labels = samples()
    if kind == "activation":
        return activation_localization(raw, masks, labels, C)
    if kind == "map":
        return map_localization(wide[:, 0], masks, labels, C)
    return gradient_localization(wide, masks, labels, C, kind)


def assert_equal(result, expected, rtol=1e-12):
    assert type(result) is type(expected)
    for field in dataclasses.fields(expected):
        ours, theirs = getattr(result, field.name), getattr(expected, field.name)
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=0, equal_nan=True)


KINDS = ["activation", "map", "paper", "official"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 7, N])
def test_batches_and_their_order_do_not_matter(kind: str, size: int) -> None:
    metric = metrics()[kind]
    order = torch.randperm(N, generator=torch.Generator().manual_seed(size))
    for part in order.split(size):
        feed(metric, kind, part)
    rtol = 0 if kind == "activation" else 1e-12
    assert_equal(metric.compute(), one_pass(kind), rtol)
    assert metric.compute() is metric.compute()  # kept until the next update
    metric.reset()
    for part in torch.arange(N).split(size):
        feed(metric, kind, part)
    assert_equal(metric.compute(), one_pass(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_copies_pickles_and_forward_work(kind: str) -> None:
    metric = metrics()[kind]
    feed(metric, kind, torch.arange(10))
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric)), metric.clone()):
        feed(other, kind, torch.arange(10, N))
        assert_equal(other.compute(), one_pass(kind))
    raw, wide, masks, labels = samples()
    rest = torch.arange(10, N)
    if kind == "activation":
        metric(raw[rest], masks[rest], labels[rest], rest)
    else:
        metric((wide[:, 0] if kind == "map" else wide)[rest], masks[rest], labels[rest])
    assert_equal(metric.compute(), one_pass(kind))


def test_one_filter_and_one_class_keep_their_dimensions() -> None:
    metric = ActivationLocalization(1)
    metric.update(torch.rand(2, 1, 3, 3), torch.ones(2, 6, 6) > 0, torch.tensor([0, 0]),
                  torch.arange(2))  # fmt: skip
    result = metric.compute()
    assert result.filter_class_iou.shape == (1, 1)
    assert result.focus_class.shape == result.class_iou.shape == (1,)


def test_float_conversions_leave_the_sums_exact() -> None:
    metric = MapLocalization(C).float().half()
    assert metric.iou.dtype == torch.float64


def test_an_image_counts_once_and_there_must_be_one() -> None:
    metric = ActivationLocalization(C)
    with pytest.raises(ValueError, match="no images"):
        metric.compute()
    feed(metric, "activation", torch.arange(5))
    feed(metric, "activation", torch.arange(4, 6))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()


def test_bad_input_is_named() -> None:
    raw, wide, masks, labels = samples()
    with pytest.raises(ValueError, match="`indices`"):
        ActivationLocalization(C).update(raw, masks, labels, torch.arange(3))
    with pytest.raises(ValueError, match="non-finite"):
        ActivationLocalization(C).update(raw / 0, masks, labels, torch.arange(N))
    with pytest.raises(ValueError, match=r"`maps` must be \(N, 5, H, W\)"):
        GradientLocalization(C, K).update(wide[:, :1], masks, labels)
    with pytest.raises(ValueError, match="`labels`"):
        MapLocalization(1).update(wide[:, 0], masks, labels)
    with pytest.raises(ValueError, match="`masks` must be"):
        MapLocalization(C).update(wide[:, 0], masks[:, :5], labels)
    with pytest.raises(ValueError, match="`aggregation`"):
        GradientLocalization(C, K, "mean")


def process(rank: int, port: int, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = {}
    for kind, metric in metrics().items():
        for part in torch.arange(rank, N, 2).split(4):
            feed(metric, kind, part)
        results[kind] = vars(metric.compute())
    torch.save(results, f"{out}-{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(on_two: Callable[..., list]) -> None:
    for results in on_two(process):
        for kind, result in results.items():
            expected = one_pass(kind)
            assert_equal(type(expected)(**result), expected)
