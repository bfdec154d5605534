"""The MI matrix of all filters and classes against scikit-learn called once a class.

Run: python benchmarks/mutual_information.py
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch
from sklearn.feature_selection import mutual_info_classif

from filterscope.metrics.functional import mutual_information_matrix
from timing import describe, interleaved, peak_gb, ratios, spread

SAMPLE = 8  # filters of one class that scikit-learn is measured on
REPEATS = 5


def features(n: int, filters: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rectified features, each stronger on one class, about half of them zeros."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, n)
    values = generator.standard_normal((n, filters))
    values += 1.5 * (labels[:, None] == np.arange(filters) % classes)
    return np.maximum(values - 0.2, 0), labels


def against_scikit_learn(n: int, filters: int, classes: int) -> None:
    values, labels = features(n, filters, classes)
    start = time.perf_counter()
    matrix = mutual_information_matrix(values[:64], labels[:64], classes)
    print(f"compilation, or reading it from the cache: {time.perf_counter() - start:.2f} s")
    matrix = mutual_information_matrix(values, labels, classes)
    reference = mutual_info_classif(values, labels == 0, random_state=0)
    print(f"largest difference to scikit-learn, class 0: "
          f"{np.abs(matrix[0].numpy() - reference).max():.1e}")  # fmt: skip
    cells = filters * classes / SAMPLE

    def ours() -> object:
        return mutual_information_matrix(values, labels, classes)

    def theirs() -> object:
        return mutual_info_classif(values[:, :SAMPLE], labels == 0, random_state=0)

    for name, threads, clock in (
        ("wall clock, all threads", torch.get_num_threads(), time.perf_counter),
        ("CPU time, one thread", 1, time.process_time),
    ):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        mine, other = interleaved(ours, theirs, REPEATS, clock)
        torch.set_num_threads(before)
        scaled = [seconds * cells for seconds in other]
        print(f"{name} ({threads}): ours {spread(mine)} s; scikit-learn {spread(scaled)} s, "
              f"scaled from {SAMPLE} of {filters * classes} cells; ratio "
              f"{statistics.median(ratios(scaled, mine)):.0f}, median of {REPEATS}")  # fmt: skip


def many_classes(n: int, filters: int, classes: int) -> None:
    values, labels = features(n, filters, classes)
    before = peak_gb()
    start, cpu = time.perf_counter(), time.process_time()
    mutual_information_matrix(values, labels, classes)
    print(f"N={n} K={filters} C={classes}: {time.perf_counter() - start:.1f} s wall, "
          f"{time.process_time() - cpu:.1f} s CPU, peak memory {peak_gb():.2f} GB "
          f"({before:.2f} GB before, {values.nbytes / 2**30:.2f} GB of it features)")  # fmt: skip


def against_classes(n: int, filters: int) -> None:
    times = {}
    for classes in (10, 100, 1000):
        values, labels = features(n, filters, classes)
        mutual_information_matrix(values, labels, classes)
        runs = []
        for _ in range(REPEATS):
            start = time.process_time()
            mutual_information_matrix(values, labels, classes)
            runs.append(time.process_time() - start)
        times[classes] = statistics.median(runs)
    shown = ", ".join(f"C={c}: {t:.3f} s (x {t / times[10]:.2f})" for c, t in times.items())
    print(f"CPU time against C at N={n} K={filters}: {shown}")


def main() -> None:
    print(describe("filterscope", "numpy", "scikit-learn", "numba"))
    print("\nN=10000 K=64 C=10")
    against_scikit_learn(10_000, 64, 10)
    print()
    against_classes(10_000, 64)
    print()
    many_classes(50_000, 512, 1000)


if __name__ == "__main__":
    main()
