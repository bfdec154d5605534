"""Devices and processes, through Lightning Fabric."""

from __future__ import annotations

import atexit
import gc
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import distributed

from filterscope.runs.launched import is_launched, machines

DEVICES = ("auto", "cpu", "cuda", "mps")
"""Kinds of devices that are told apart."""


def make_fabric(device: str, devices: int, precision: str = "32-true") -> Fabric:
    """Make a Fabric for one or several processes, on as many machines as `machines` finds.

    Args:
        device: auto, cpu, cuda or mps.
        devices: Number of processes on this machine, one a device.
        precision: Fabric's name of it.

    Raises:
        ValueError: An unknown kind of device, one that is not there, or fewer than one; or
            torchrun or SLURM started another number of processes.
    """
    if device not in DEVICES:
        raise ValueError(f"`device` must be one of {', '.join(DEVICES)}, got {device!r}")
    if devices < 1:
        raise ValueError(f"`devices` must be at least 1, got {devices}")
    quiet()
    alone = devices * machines() == 1
    strategy = "auto" if alone else "ddp_spawn" if spawns(devices) else "ddp"
    choice: Any = precision
    try:
        return Fabric(
            accelerator=device,
            devices=devices,
            num_nodes=machines(),
            strategy=strategy,
            precision=choice,
        )
    except (RuntimeError, MisconfigurationException) as error:
        asked = f"{devices} x {device}" if devices > 1 else device
        reason = " ".join(str(error).split())
        raise ValueError(f"`device` {asked} is not to be had on this machine: {reason}") from error


def launch(fabric: Fabric, process: Callable[[Fabric], Any], devices: int) -> Any:
    """Run `process` in each process; what the first one returns comes back here.

    Where torchrun or SLURM started the processes, each gets what its own `process` returns.

    Args:
        fabric: Of `make_fabric`.
        process: Picklable, when there are several.
        devices: Number of processes on this machine.
    """
    if spawns(devices):
        return fabric.launch(partial(_run_and_part, process=process))
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_part)  # later work of these processes may need their connection again
    return process(fabric)


def _run_and_part(fabric: Fabric, process: Callable[[Fabric], Any]) -> Any:
    """Run `process` in a process that ends with it."""
    result = process(fabric)
    _part()
    return result


def _part() -> None:
    """Close the connection to the other processes while Python still runs.

    Gloo's threads let go of their last tensors a moment after the collective has returned. If the
    interpreter is ending by then, the whole process is aborted, with all its work done.
    """
    gc.collect()  # what holds the connection, like the wrapper of a network, may sit in a cycle
    if distributed.is_initialized():
        distributed.destroy_process_group()


def spawns(devices: int) -> bool:
    """Whether this process starts the others itself (torchrun and SLURM have started them)."""
    return devices > 1 and not is_launched()


def quiet() -> None:
    """Keep Fabric's notes about itself off the screen, in this process."""
    for name in ("lightning.fabric", "lightning.pytorch"):  # the two share a few notes
        logging.getLogger(name).setLevel(logging.WARNING)
