"""Two sides measured in one process, turn by turn."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version


def interleaved(
    one: Callable[[], object],
    other: Callable[[], object],
    repeats: int,
    clock: Callable[[], float] = time.process_time,
) -> tuple[list[float], list[float]]:
    """Seconds of each call of either side; the sides take turns, so that drift hits both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for side, call in zip(times, (one, other), strict=True):
            start = clock()
            call()
            side.append(clock() - start)
    return times


def spread(values: list[float], unit: float = 1.0) -> str:
    """Median with the quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle * unit:.4g} ({low * unit:.4g} to {high * unit:.4g})"


def ratios(one: list[float], other: list[float]) -> list[float]:
    """Ratio of the two sides in each turn."""
    return [a / b for a, b in zip(one, other, strict=True)]


def peak_gb() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def describe(*packages: str) -> str:
    """Machine and versions, in a line."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    load = os.getloadavg()[0]
    return (
        f"{platform.machine()}, {os.cpu_count()} cores (load {load:.1f} at the start), "
        f"Python {platform.python_version()}, {versions}"
    )
