"""Training in several processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.training.ddp_process import train_one
from torch import Tensor

from filterscope.training import TrainSettings

TrainTogether = Callable[..., list[dict[str, Tensor]]]


@pytest.fixture
def train_together(together: Callable[..., Any], free_port: Callable[[], int]) -> TrainTogether:
    """Trains with `settings.devices` processes as torchrun starts them; each one's parameters."""

    def run(settings: TrainSettings, out: Path, *, own_network: bool) -> list[dict[str, Tensor]]:
        count = settings.devices
        words = (count, free_port(), settings.to_dict(), str(out), own_network)
        together(train_one, *words, count=count)
        return [torch.load(out.with_suffix(f".rank{rank}.pt")) for rank in range(count)]

    return run
