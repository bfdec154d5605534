"""Small networks and pictures to attack."""

import pytest
import torch
from tests.attacks.small_networks import Asked, build, prepare
from torch import Tensor


@pytest.fixture
def network() -> Asked:
    return build(5)


@pytest.fixture
def pictures() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    pictures = torch.rand(6, 3, 11, 7, generator=generator, dtype=torch.float64)
    pictures[0, :, :3], pictures[1, :, 4:], pictures[2, :, 2:5] = 0, 1, 0.5
    return pictures


@pytest.fixture
def classes(network: Asked, pictures: Tensor) -> Tensor:
    """What the network says to the pictures, prepared."""
    with torch.no_grad():
        answers = network(prepare(pictures)).argmax(1)
    network.asked.clear()
    return answers
