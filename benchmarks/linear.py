"""What reading a network as y = F x + r costs, in forward passes of one image.

Each side takes turns with a plain forward pass of the same network on the same image.
Run: python benchmarks/linear.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torchvision
from torch import nn

from filterscope.linear import LinearInterpreter
from timing import describe, interleaved, ratios, spread

NETWORKS = ("resnet18", "squeezenet1_1", "densenet121", "vgg11_bn")
SIDE, PROBES, REPEATS = 160, 8, 7


def sides(model: nn.Module, image: torch.Tensor) -> dict[str, tuple[Callable[[], object], int]]:
    """What is measured, each with the number of results that one call gives."""
    interpreter = LinearInterpreter(model, image)
    images = torch.randn(PROBES, *image.shape[1:])
    labels = torch.eye(PROBES, interpreter.output.shape[1])
    return {
        "making an interpreter": (lambda: LinearInterpreter(model, image), 1),
        "making one, a row and all contributions": (
            lambda: LinearInterpreter(model, image).contributions(0),
            1,
        ),
        "all contributions and a row, again": (lambda: interpreter.contributions(0), 1),
        "a further row": (lambda: interpreter.row(0), 1),
        f"a row, {PROBES} at once": (lambda: interpreter.adjoint(labels), PROBES),
        "a column": (lambda: interpreter.column(0), 1),
        f"a column, {PROBES} at once": (lambda: interpreter.apply(images), PROBES),
    }


def main() -> None:
    torch.set_num_threads(1)
    print(describe("filterscope", "torch", "torchvision"), "- 1 thread, CPU time, float32")
    for name in NETWORKS:
        model = getattr(torchvision.models, name)().eval()
        image = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

        def forward(model: nn.Module = model, image: torch.Tensor = image) -> torch.Tensor:
            with torch.no_grad():
                return model(image)

        forward()
        print(f"{name}, {SIDE} x {SIDE}, in forward passes, n={REPEATS}:")
        for what, (call, results) in sides(model, image).items():
            call()
            found = ratios(*interleaved(call, forward, REPEATS))
            print(f"  {what:42} {spread([ratio / results for ratio in found])}")


if __name__ == "__main__":
    main()
