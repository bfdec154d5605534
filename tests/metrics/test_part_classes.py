"""The metrics of parts as torchmetrics classes: any batches, any number of processes."""

import copy
import dataclasses
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.distributed as dist

from filterscope.metrics import LocationInstability, PartInterpretability
from filterscope.metrics.functional import (
    Instability,
    InstabilityChance,
    Interpretability,
    InterpretabilityChance,
    location_instability,
    part_interpretability,
)

N, K, SIZE = 31, 5, (40, 50)
ROWS, COLUMNS = torch.meshgrid(
    4 + 10 * torch.arange(4.0), 5 + 10 * torch.arange(5.0), indexing="ij"
)
CENTRES = torch.stack([COLUMNS, ROWS], dim=-1)
RECORDS = {"instability": (Instability, InstabilityChance),
           "interpretability": (Interpretability, InterpretabilityChance)}  # fmt: skip
KINDS = list(RECORDS)


def samples():
    generator = torch.Generator().manual_seed(0)
    # few values, so that images are equally strong and the order of the data set decides
    maps = torch.randint(0, 4, (N, K, 4, 5), generator=generator).float()
    maps[:, 4] = 0
    landmarks = torch.rand(N, 3, 2, generator=generator) * torch.tensor([50.0, 40.0])
    landmarks[torch.rand(N, 3, generator=generator) < 0.3] = torch.nan
    masks = torch.rand(N, 3, 5, 5, generator=generator) > 0.6
    masks = masks.repeat_interleave(8, 2).repeat_interleave(10, 3)
    masks[3, 1] = False
    return maps, landmarks, masks


def metrics():
    return {
        "instability": LocationInstability(CENTRES, SIZE, top=7),
        "interpretability": PartInterpretability(CENTRES, radius=6.0, share=0.1),
    }


def feed(metric, kind, part):
    maps, landmarks, masks = samples()
    metric.update(maps[part], (landmarks if kind == "instability" else masks)[part], part)


def one_pass(kind):
    maps, landmarks, masks = samples()
    if kind == "instability":
        return location_instability(maps, landmarks, CENTRES, SIZE, top=7)
    return part_interpretability(maps, masks, CENTRES, 6.0, share=0.1)


def assert_equal(result, expected):
    assert type(result) is type(expected)
    for field in dataclasses.fields(expected):
        ours, theirs = getattr(result, field.name), getattr(expected, field.name)
        if dataclasses.is_dataclass(theirs):
            assert_equal(ours, theirs)
        else:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 7, N])
def test_batches_and_their_order_do_not_matter(kind: str, size: int) -> None:
    metric = metrics()[kind]
    order = torch.randperm(N, generator=torch.Generator().manual_seed(size))
    for part in order.split(size):
        feed(metric, kind, part)
    assert_equal(metric.compute(), one_pass(kind))
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
    maps, landmarks, masks = samples()
    rest = torch.arange(10, N)
    metric(maps[rest], (landmarks if kind == "instability" else masks)[rest], rest)
    assert_equal(metric.compute(), one_pass(kind))
    assert not metric.state_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_named(kind: str) -> None:
    metric = metrics()[kind]
    with pytest.raises(ValueError, match="no images"):
        metric.compute()
    feed(metric, kind, torch.arange(20))
    feed(metric, kind, torch.arange(19, 30))
    with pytest.raises(ValueError, match="twice"):
        metric.compute()
    maps, landmarks, masks = samples()
    truth = landmarks if kind == "instability" else masks
    with pytest.raises(ValueError, match="`indices`"):
        metric.update(maps, truth, torch.arange(3))
    with pytest.raises(ValueError, match="non-finite"):
        metric.update(maps / 0, truth, torch.arange(N))
    with pytest.raises(ValueError, match="`centres`"):
        metric.update(maps[:, :, 1:], truth, torch.arange(N))
    with pytest.raises(ValueError, match="images"):
        metric.update(maps, truth[:4], torch.arange(N))
    with pytest.raises(ValueError, match="`centres`"):
        type(metric)(CENTRES[0], SIZE)


def process(rank: int, port: int, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results = {}
    for kind, metric in metrics().items():
        for part in torch.arange(rank, N, 2).split(4):
            feed(metric, kind, part)
        results[kind] = dataclasses.asdict(metric.compute())
    torch.save(results, f"{out}-{rank}")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_what_one_gives(on_two: Callable[..., list]) -> None:
    for results in on_two(process):
        for kind, result in results.items():
            record, chance = RECORDS[kind]
            result["chance"] = chance(**result["chance"])
            assert_equal(record(**result), one_pass(kind))
