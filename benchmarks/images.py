"""What rows, columns and singular vectors of image networks cost, in seconds of wall time.

The map is frozen once; a row and a column of random pixels are read together, as under a pointer.
Run: python benchmarks/images.py [--threads 1] [--repeats 50] [--dense SIDE]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from filterscope.linear import LinearInterpreter, SingularTriplets, pixel_column, pixel_row
from filterscope.models.image_networks import create_image_network
from timing import describe, peak_gb, spread

TRIPLETS = 10
PRODUCTS, RESIDUAL = 350, 1e-4
CHUNK = 16


def interpreter_of(name: str, side: int, scale: int) -> LinearInterpreter:
    """A network with random weights, frozen at random pixels."""
    network = create_image_network(name, random_weights=True, scale=scale)
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (3, side, side), generator=generator, dtype=torch.uint8)
    return LinearInterpreter(network.model, network.prepare(pixels))


def measure_pixels(name: str, side: int, scale: int, repeats: int, limit: float) -> None:
    """Print the time of rows and columns of random pixels."""
    begin = time.perf_counter()
    interpreter = interpreter_of(name, side, scale)
    freezing = time.perf_counter() - begin
    generator = torch.Generator().manual_seed(2)
    times: dict[str, list[float]] = {"row": [], "column": [], "both": []}
    for _ in range(repeats + 1):
        row, column = torch.randint(0, side, (2,), generator=generator).tolist()
        begin = time.perf_counter()
        pixel_row(interpreter, (row * scale, column * scale))
        middle = time.perf_counter()
        pixel_column(interpreter, (row, column))
        end = time.perf_counter()
        for what, seconds in zip(times, (middle - begin, end - middle, end - begin), strict=True):
            times[what].append(seconds)
    load = os.getloadavg()[0]
    print(f"\n{name} x{scale}, {side} x {side}, n={repeats}, load {load:.1f}, ms; making it once: "
          f"{freezing * 1000:.0f}")  # fmt: skip
    for what, found in times.items():
        found = found[1:]
        most = f"  limit {limit * 1000:.0f}" if what == "both" else ""
        worst = np.quantile(found, 0.99) * 1000
        print(f"  {what:8} {spread(found, 1000):>30}, mean {statistics.mean(found) * 1000:.4g}, "
              f"99 % {worst:.4g}{most}")  # fmt: skip


def residuals(operator: LinearOperator, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> float:
    """Largest residual of triplets over the largest value, measured anew."""
    forward = operator.matmat(v.T) - u * s
    backward = operator.rmatmat(u) - v.T * s
    return float(max(np.linalg.norm(gap, axis=0).max() for gap in (forward, backward)) / s.max())


def measure_solvers(interpreter: LinearInterpreter, seeds: int) -> None:
    """Print products, residuals and time of each way to the largest triplets."""
    operator = interpreter.as_linear_operator()
    print(f"\nsvd({TRIPLETS}), F {operator.shape[0]} x {operator.shape[1]}, "
          f"load {os.getloadavg()[0]:.1f}; limits: {PRODUCTS} products, {RESIDUAL:g}")  # fmt: skip
    for method in ("lanczos", "block"):
        for seed in range(seeds if method == "lanczos" else 1):
            triplets, seconds = timed_svd(interpreter, method, seed)
            worst = float(triplets.residuals.max())
            report(f"{method}, seed {seed}", sum(triplets.products), worst, seconds)
    for solver in ("arpack", "propack"):
        scipy_svd(operator, solver)


def timed_svd(
    interpreter: LinearInterpreter, method: str = "lanczos", seed: int = 0
) -> tuple[SingularTriplets, float]:
    begin = time.perf_counter()
    triplets = interpreter.svd(TRIPLETS, method=method, seed=seed)
    return triplets, time.perf_counter() - begin


def scipy_svd(operator: LinearOperator, solver: str) -> None:
    """Print what SciPy takes, at the same tolerance."""
    count = [0]

    def counted(function: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
        def call(vector: np.ndarray) -> np.ndarray:
            count[0] += 1
            return function(vector)

        return call

    observed = LinearOperator(
        operator.shape, matvec=counted(operator.matvec), rmatvec=counted(operator.rmatvec),
        dtype=operator.dtype,
    )  # fmt: skip
    begin = time.perf_counter()
    try:
        u, s, v = svds(observed, TRIPLETS, solver=solver, tol=RESIDUAL, rng=0)
    except np.linalg.LinAlgError as error:
        print(f"  scipy {solver:12} {count[0]:5} products: {error}")
        return
    seconds, products = time.perf_counter() - begin, count[0]
    report(f"scipy {solver}", products, residuals(operator, u, s, v), seconds)


def report(name: str, products: int, residual: float, seconds: float) -> None:
    print(f"  {name:18} {products:5} products, residual {residual:.2g}, {seconds:.1f} s")


class Clock:
    """The time now, on the wall and of the processor."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()


def dense_columns(interpreter: LinearInterpreter) -> Tensor:
    """F^T, column by column of F."""
    image, outputs = interpreter.images[0], interpreter.output[0].numel()
    made = torch.empty(image.numel(), outputs)
    for first in range(0, len(made), CHUNK):
        units = torch.zeros(min(CHUNK, len(made) - first), image.numel())
        units[range(len(units)), range(first, first + len(units))] = 1
        found = interpreter.apply(units.view(-1, *image.shape)).flatten(1)
        made[first : first + len(units)] = found
    return made


def measure_dense(side: int) -> None:
    """Print the time of the dense matrix and its decomposition against that of ten triplets.

    The dense side takes long: where the machine is shared, processor time of one thread tells more.
    """
    interpreter = interpreter_of("edsr_baseline", side, 4)
    clocks = [Clock()]
    triplets, _ = timed_svd(interpreter)
    clocks.append(Clock())
    dense = dense_columns(interpreter)
    clocks.append(Clock())
    values = torch.linalg.svd(dense, full_matrices=False).S
    clocks.append(Clock())
    ours, columns, decomposition = (
        (end.wall - begin.wall, end.cpu - begin.cpu) for begin, end in pairwise(clocks)
    )
    gap = float((triplets.values - values[:TRIPLETS]).abs().max() / values[0])
    size = dense.numel() * 4 / 2**30
    load = os.getloadavg()[0]
    print(
        f"\nedsr_baseline x4, {side} x {side}, load {load:.1f}: the dense F takes {size:.2f} GiB,"
    )
    print(f"  with its decomposition the process peaks at {peak_gb():.2f} GiB")
    print(f"  svd({TRIPLETS}): {sum(triplets.products)} products; values differ by {gap:.1g}")
    for k, clock in enumerate(("wall", "processor")):
        whole = columns[k] + decomposition[k]
        print(
            f"  {clock} time: svd({TRIPLETS}) {ours[k]:.1f} s; dense {columns[k]:.1f} s + "
            f"{decomposition[k]:.1f} s for its decomposition, {whole / ours[k]:.1f} times as long "
            "(limit 5)"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dense", type=int, metavar="SIDE", help="only this, at 8 GB: 42")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    warnings.simplefilter("error")
    print(describe("filterscope", "torch", "scipy"))
    print(f"{given.threads} thread(s), wall time, float32")
    if given.dense:
        measure_dense(given.dense)
        return
    measure_pixels("espcn", 64, 3, 4 * given.repeats, 0.15)
    measure_pixels("edsr_baseline", 48, 4, given.repeats, 1.5)
    measure_solvers(interpreter_of("edsr_baseline", 24, 4), given.seeds)


if __name__ == "__main__":
    main()
