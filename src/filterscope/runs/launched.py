"""What torchrun or SLURM say about the processes that they started, in plain variables."""

from __future__ import annotations

import os


def is_launched() -> bool:
    """Whether other processes of this run were started beside this one, from outside."""
    return "LOCAL_RANK" in os.environ or _by_slurm()


def is_first_process() -> bool:
    """Whether this is the process that makes folders, writes files and prints.

    Examples:
        >>> is_first_process()
        True
    """
    rank = os.environ.get("RANK") or (os.environ["SLURM_PROCID"] if _by_slurm() else "0")
    return int(rank) == 0


def num_processes() -> int:
    """How many processes of this command torchrun or SLURM started; 1 without them.

    Examples:
        >>> num_processes()
        1
    """
    if "LOCAL_RANK" in os.environ:  # torchrun, also inside a SLURM job
        return int(os.environ.get("WORLD_SIZE", "1"))
    return int(os.environ["SLURM_NTASKS"]) if _by_slurm() else 1


def machines() -> int:
    """How many machines the processes are spread over; 1 without torchrun and SLURM.

    Examples:
        >>> machines()
        1
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun, also inside a SLURM job
        return int(os.environ.get("GROUP_WORLD_SIZE", "1"))
    return int(os.environ.get("SLURM_NNODES", "1")) if _by_slurm() else 1


def _by_slurm() -> bool:
    """Whether srun started this process; a shell in an allocation has the same variables."""
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return {"SLURM_NTASKS", "SLURM_PROCID"} <= os.environ.keys() and not interactive
