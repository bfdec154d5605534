"""One process of a distributed run, with torchrun's variables.

Beside the run folder it writes its own parameters, so that the ranks can be compared.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from filterscope.core.gate_points import GatePoint
from filterscope.training import TrainSettings, loop, network, train


def small_network(name: str, num_classes: int, **_: object) -> nn.Module:
    """A classifier without batch norm, whose training does not depend on how a batch is shared."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(16, num_classes),
    )  # fmt: skip
    model.filterscope_gate_point = GatePoint("1", 16, "relu", "gap-linear")
    return model


def train_one(
    rank: int, count: int, port: int, settings: dict[str, Any], out: str, own_network: bool
) -> None:
    """Train as process `rank` of `count`; a process of its own, since nothing is put back."""
    variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    variables |= {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count}
    os.environ |= {name: str(value) for name, value in variables.items()}
    torch.set_num_threads(1)
    if own_network:
        network.create_model = small_network
    run = loop.Loop.run

    def run_and_write(self: loop.Loop, reporter: object) -> None:
        run(self, reporter)
        rank = self.fabric.global_rank
        torch.save(self.network.module.state_dict(), Path(out).with_suffix(f".rank{rank}.pt"))

    loop.Loop.run = run_and_write
    train(TrainSettings.from_dict(settings), out)
