"""What a run was made with."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("filterscope", "torch", "torchvision", "numpy", "scikit-learn", "lightning", "timm")


def describe_environment(device: torch.device | str = "cpu") -> dict[str, Any]:
    """Versions, machine, device, threads and git commit, as plain JSON values.

    Args:
        device: The device whose name is recorded.

    Returns:
        A dictionary; ``git_commit`` is None outside a git checkout.
    """
    device = torch.device(device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "platform": platform.platform(),
        "device": str(device),
        "device_name": name or platform.machine(),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
