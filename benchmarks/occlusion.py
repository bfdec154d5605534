"""Occlusion of an image at every position, against one forward pass for each position.

Run: python benchmarks/occlusion.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models import alexnet, resnet18, vgg16

from filterscope.maps import Occluder, occlusion_drops
from timing import describe, interleaved, peak_gb, ratios, spread

SIDE, REPEATS = 224, 3
# the layer, and the stride of the occluder, so that a turn takes seconds
CASES = (
    ("AlexNet, last map", alexnet, "features.11", 27),
    ("AlexNet, second convolution", alexnet, "features.4", 27),
    ("ResNet-18, second stage", resnet18, "layer2", 36),
    ("VGG-16, last map", vgg16, "features.29", 45),
)


def one_by_one(model: nn.Module, layer: str, image: Tensor, occluder: Occluder) -> Tensor:
    """The whole network for each position, its map read by a hook."""
    seen: list[Tensor] = []
    handle = model.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.clamp(min=0).sum((2, 3))[0])
    )
    rows, columns = occluder.positions(image.shape[2:])
    with torch.no_grad():
        model(image)
        for row in rows.tolist():
            for column in columns.tolist():
                covered = image.clone()
                covered[:, :, row : row + occluder.size, column : column + occluder.size] = 0
                model(covered)
    handle.remove()
    return (seen[0] - torch.stack(seen[1:], dim=1).T).T.reshape(1, -1, len(rows), len(columns))


def compare(name: str, make: Callable[[], nn.Module], layer: str, stride: int) -> None:
    torch.manual_seed(0)
    model, image = make().eval(), torch.randn(1, 3, SIDE, SIDE)
    occluder = Occluder(stride=stride)
    drops = partial(occlusion_drops, model, image, layer, occluder=occluder)
    ways = {
        "in batches": partial(drops, recompute="full"),
        "the changed part": partial(drops, recompute="changed"),
    }
    singles = {
        "one forward each": partial(one_by_one, model, layer, image, occluder),
        "one each, to the layer": partial(drops, recompute="full", batch_size=1),
    }
    expected = one_by_one(model, layer, image, occluder)
    number = expected[0, 0].numel()
    print(f"{name}: {number} positions of {occluder.size} x {occluder.size}")
    for way, call in ways.items():
        gap = float((call() - expected).abs().max() / expected.abs().max())
        print(f"  {way}: largest relative gap {gap:.0e}")
        for other, single in singles.items():
            ours, theirs = interleaved(call, single, REPEATS)
            print(
                f"    {spread(ours, 1e3 / number)} ms a position, {other} "
                f"{spread(theirs, 1e3 / number)} ms, CPU time; ratio "
                f"{spread(ratios(theirs, ours))}, n={REPEATS}"
            )
    ours, theirs = interleaved(ways["the changed part"], ways["in batches"], REPEATS)
    print(f"  the changed part against batches: ratio {spread(ratios(theirs, ours))}")


def main() -> None:
    torch.set_num_threads(1)
    print(describe("filterscope", "torch", "torchvision"), f"- {torch.get_num_threads()} thread")
    memory()
    for case in CASES:
        compare(*case)


def memory() -> None:
    """Peak memory with few and with many positions and images."""
    model, images = alexnet().eval(), torch.randn(2, 3, SIDE, SIDE)
    for way in ("full", "changed"):
        before = peak_gb()
        for count, stride in ((1, 30), (2, 9)):
            start = time.perf_counter()
            drops = occlusion_drops(
                model, images[:count], "features.11", occluder=Occluder(stride=stride),
                recompute=way,
            )  # fmt: skip
            print(
                f"AlexNet, {way}: {count} x {drops[0, 0].numel()} positions, peak of the process "
                f"{peak_gb():.2f} GB ({before:.2f} before), {time.perf_counter() - start:.1f} s"
            )


if __name__ == "__main__":
    main()
