"""The pass over the images: who takes which."""

import pytest
import torch

from filterscope.evaluation.collect import process_share


@pytest.mark.parametrize("count", [1, 7, 8, 41])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_processes_share_all_images_in_the_batches_of_one(count: int, world_size: int) -> None:
    shares = [process_share(count, 3, rank, world_size) for rank in range(world_size)]
    assert torch.cat(shares).sort().values.tolist() == list(range(count))
    batches = sorted(batch.tolist() for share in shares for batch in share.split(3) if len(batch))
    assert batches == [batch.tolist() for batch in torch.arange(count).split(3)]


def test_a_process_may_have_nothing() -> None:
    share = process_share(5, 4, rank=2, world_size=4)
    assert share.dtype == torch.int64
    assert share.shape == (0,)
