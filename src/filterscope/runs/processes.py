"""Devices and processes, through Lightning Fabric."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from lightning.fabric import Fabric

from filterscope.runs.launched import is_launched, machines


def make_fabric(device: str, devices: int, precision: str = "32-true") -> Fabric:
    """Make a Fabric for one or several processes, on as many machines as `machines` finds.

    Args:
        device: auto, cpu, cuda or mps.
        devices: Number of processes on this machine, one a device.
        precision: Fabric's name of it.

    Raises:
        ValueError: torchrun or SLURM started another number of processes.
    """
    quiet()
    alone = devices * machines() == 1
    strategy = "auto" if alone else "ddp_spawn" if spawns(devices) else "ddp"
    choice: Any = precision
    return Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=machines(),
        strategy=strategy,
        precision=choice,
    )


def launch(fabric: Fabric, process: Callable[[Fabric], Any], devices: int) -> Any:
    """Run `process` in each process; what the first one returns comes back here.

    Where torchrun or SLURM started the processes, each gets what its own `process` returns.

    Args:
        fabric: Of `make_fabric`.
        process: Picklable, when there are several.
        devices: Number of processes on this machine.
    """
    if spawns(devices):
        return fabric.launch(process)
    fabric.launch()
    return process(fabric)


def spawns(devices: int) -> bool:
    """Whether this process starts the others itself (torchrun and SLURM have started them)."""
    return devices > 1 and not is_launched()


def quiet() -> None:
    """Keep Fabric's notes about itself off the screen, in this process."""
    for name in ("lightning.fabric", "lightning.pytorch"):  # the two share a few notes
        logging.getLogger(name).setLevel(logging.WARNING)
