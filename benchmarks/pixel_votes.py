"""What the votes and the rows of all 1000 labels cost, in forward passes of one image.

Each side takes turns with a plain forward pass of the same network on the same image. The weights
are random; in "alexnet_sparse" a fifth of the units before the last layer is active, as in a
trained one, where chance gives a half.
Run: python benchmarks/pixel_votes.py [NETWORK ...] [--sides WORD] [--repeats N] [--threads N]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torchvision

from filterscope.linear import LinearInterpreter, iterate_rows, pixel_discussion, pixel_votes
from timing import describe, interleaved, peak_gb, ratios

NETWORKS = ("resnet18", "squeezenet1_0", "alexnet_sparse")
SIDE = 224


def sides(interpreter: LinearInterpreter) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""

    def rows(budget: int) -> None:
        for _ in iterate_rows(interpreter, budget=budget):
            pass

    return {
        "discussion of one label": lambda: pixel_discussion(interpreter, 0),
        "votes, conserving": lambda: pixel_votes(interpreter),
        "votes, conserving, no cut": lambda: pixel_votes(interpreter, budget=0),
        "votes, literal": lambda: pixel_votes(interpreter, method="literal"),
        "votes, backprojected": lambda: pixel_votes(interpreter, method="backprojected"),
        "all rows": lambda: rows(2**30),
        "all rows, no cut": lambda: rows(0),
    }


def build(name: str, image: torch.Tensor) -> torch.nn.Module:
    """A network with random weights."""
    model = getattr(torchvision.models, name.removesuffix("_sparse"))().eval()
    if name == "alexnet_sparse":
        with torch.no_grad():
            units = model.classifier[:5](model.features(image).flatten(1))
            model.classifier[4].bias -= units.quantile(0.8)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--sides", default="", help="only the sides with this in their name")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    settings = parser.parse_args()
    torch.set_num_threads(settings.threads)
    print(describe("filterscope", "torch", "torchvision"))
    print(f"{settings.threads} threads, CPU time, float32, chunks of 16, {SIDE} x {SIDE}")
    for name in settings.networks:
        torch.manual_seed(0)
        image = torch.randn(1, 3, SIDE, SIDE)
        model = build(name, image)
        interpreter = LinearInterpreter(model, image)

        def forward(model: torch.nn.Module = model, image: torch.Tensor = image) -> None:
            # one forward is milliseconds, a side is minutes
            with torch.no_grad():
                for _ in range(20):
                    model(image)

        forward()
        print(f"{name}, in forward passes, n={settings.repeats}:")
        for what, call in sides(interpreter).items():
            if settings.sides not in what:
                continue
            found = [20 * one for one in ratios(*interleaved(call, forward, settings.repeats))]
            low, high = min(found), max(found)
            middle = sorted(found)[len(found) // 2]
            print(f"  {what:28} {middle:7.1f} ({low:.1f} to {high:.1f}), peak {peak_gb():.2f} GB",
                  flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
