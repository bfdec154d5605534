"""What reading a network as y = F x + r costs, in forward passes of one image.

Each side takes turns with a plain forward pass (no gradients, batch of one) of the same network
on the same image in the same process; what is measured is CPU time.
Run: python benchmarks/linear.py [--threads 1] [--repeats 11] [NETWORK ...]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torchvision
from captum.attr import InputXGradient
from torch import Tensor, nn

from filterscope.linear import LinearInterpreter
from timing import describe, interleaved, ratios, spread

PROBES = 8
OURS, OTHERS = "ours", "other ways to the same numbers"


@dataclass(frozen=True)
class Subject:
    """A network to be read, and the most forward passes that a reading may take."""

    build: Callable[[], nn.Module]
    side: int = 160
    channels: int = 3
    first: float = 3.5
    column: float = 2.0
    columns: float = 1.2


class Block(nn.Module):
    """A residual block without norms."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        result += x
        return result


def residual_enlarger(width: int = 64, blocks: int = 8) -> nn.Module:
    """A network as EDSR, which enlarges fourfold."""

    def doubled() -> list[nn.Module]:
        return [nn.Conv2d(width, 4 * width, 3, padding=1), nn.PixelShuffle(2)]

    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        *[Block(width) for _ in range(blocks)],
        *doubled(),
        *doubled(),
        nn.Conv2d(width, 3, 3, padding=1),
    )


def small_enlarger() -> nn.Module:
    """Four convolutions and a pixel shuffle, which enlarge fourfold."""
    return nn.Sequential(
        nn.Conv2d(1, 64, 5, padding=2), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 16, 3, padding=1),
        nn.PixelShuffle(4),
    )  # fmt: skip


SUBJECTS = {
    "resnet18": Subject(torchvision.models.resnet18),
    "squeezenet1_1": Subject(torchvision.models.squeezenet1_1),
    "vgg11_bn": Subject(torchvision.models.vgg11_bn),
    "densenet121": Subject(torchvision.models.densenet121, first=5, column=3, columns=1.6),
    "pixel_shuffle_4": Subject(small_enlarger, side=64, channels=1),
    "residual_enlarger_8": Subject(residual_enlarger, side=64, columns=1.8),
}


@dataclass(frozen=True)
class Side:
    """Something measured: how many results one call gives, and the most that one may cost."""

    call: Callable[[], object]
    results: int = 1
    limit: float | None = None


def our_sides(model: nn.Module, image: Tensor, subject: Subject) -> dict[str, Side]:
    """Readings by an interpreter; only what says so includes making it."""
    interpreter = LinearInterpreter(model, image)
    images = torch.randn(PROBES, *image.shape[1:])
    units = torch.eye(PROBES, interpreter.output[0].numel())
    units = units.view(PROBES, *interpreter.output.shape[1:])
    height, width = image.shape[2:]
    middle = (0, height // 2, width // 2)
    unit = torch.zeros_like(image)
    unit[:, 0, height // 2, width // 2] = 1
    return {
        "making an interpreter": Side(lambda: LinearInterpreter(model, image)),
        "making one, a row, all contributions": Side(
            lambda: LinearInterpreter(model, image).contributions(0), limit=subject.first
        ),
        "all contributions and a row, again": Side(lambda: interpreter.contributions(0)),
        "a further row": Side(lambda: interpreter.row(0), limit=2),
        f"a row, {PROBES} at once": Side(lambda: interpreter.adjoint(units), PROBES),
        "a column": Side(lambda: interpreter.column(middle), limit=subject.column),
        "a column, on the full map": Side(lambda: full_map(interpreter, unit)),
        f"a column, {PROBES} at once": Side(
            lambda: interpreter.apply(images), PROBES, subject.columns
        ),
    }


def full_map(interpreter: LinearInterpreter, unit: Tensor) -> Tensor:
    """A replay of all positions, whatever the probe reaches."""
    with torch.no_grad():
        return interpreter._program.run(unit)


def other_sides(model: nn.Module, image: Tensor) -> dict[str, Side]:
    """The same numbers for piecewise linear networks by PyTorch and captum."""
    unit = torch.zeros_like(image)
    unit[:, 0, image.shape[2] // 2, image.shape[3] // 2] = 1
    target = (0,) * (_without_gradients(model, image).dim() - 1)

    def twice() -> Tensor:
        source = image.clone().requires_grad_()
        output = model(source)
        dual = torch.zeros_like(output, requires_grad=True)
        (row,) = torch.autograd.grad(output, source, dual, create_graph=True)
        return torch.autograd.grad(row, dual, unit)[0]

    return {
        "a row and the image's part by captum": Side(
            lambda: InputXGradient(model).attribute(image.clone().requires_grad_(), target=target)
        ),
        "a column by torch.func.jvp": Side(
            lambda: torch.func.jvp(partial(_without_gradients, model), (image,), (unit,))
        ),
        "a column by double backward": Side(twice),
    }


def _without_gradients(model: nn.Module, image: Tensor) -> Tensor:
    with torch.no_grad():
        return model(image)


def measure(name: str, subject: Subject, repeats: int) -> None:
    """Print the table of one network."""
    torch.manual_seed(0)
    model = subject.build().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    image = torch.randn(1, subject.channels, subject.side, subject.side)
    forward = partial(_without_gradients, model, image)
    forward()
    print(f"\n{name}, {subject.side} x {subject.side}, in forward passes, n={repeats}:")
    print(f"  {'':40} {'median (quartiles)':>28} {'mean':>7}  limit")
    groups = {OURS: our_sides(model, image, subject), OTHERS: other_sides(model, image)}
    for group, sides in groups.items():
        print(f" {group}")
        for what, side in sides.items():
            side.call()
            found = [k / side.results for k in ratios(*interleaved(side.call, forward, repeats))]
            limit = "" if side.limit is None else f"{side.limit:5.3g}"
            print(f"  {what:40} {spread(found):>28} {statistics.mean(found):7.3g}  {limit}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", default=list(SUBJECTS), help=", ".join(SUBJECTS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(describe("filterscope", "torch", "torchvision", "captum"))
    print(f"{given.threads} thread(s), CPU time, float32")
    for name in given.networks:
        measure(name, SUBJECTS[name], given.repeats)


if __name__ == "__main__":
    main()
