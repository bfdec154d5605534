"""Devices and processes, through Lightning Fabric."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from lightning.fabric import Fabric


def make_fabric(device: str, devices: int, precision: str = "32-true") -> Fabric:
    """Make a Fabric for one or several processes.

    Args:
        device: auto, cpu, cuda or mps.
        devices: Number of processes, one a device.
        precision: Fabric's name of it.
    """
    quiet()
    strategy = "auto" if devices == 1 else "ddp_spawn" if spawns(devices) else "ddp"
    choice: Any = precision
    return Fabric(accelerator=device, devices=devices, strategy=strategy, precision=choice)


def launch(fabric: Fabric, process: Callable[[Fabric], Any], devices: int) -> Any:
    """Run `process` in each process; what the first one returns comes back here.

    Args:
        fabric: Of `make_fabric`.
        process: Picklable, when there are several.
        devices: Number of processes.
    """
    if spawns(devices):
        return fabric.launch(process)
    fabric.launch()
    return process(fabric)


def spawns(devices: int) -> bool:
    """Whether this process starts the others itself (torchrun and SLURM have started them)."""
    return devices > 1 and not {"LOCAL_RANK", "SLURM_PROCID"} & os.environ.keys()


def quiet() -> None:
    """Keep Fabric's notes about itself off the screen, in this process."""
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
