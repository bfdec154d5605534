"""A convolution with part templates against the same convolution, and against its filter loss.

Run: python benchmarks/parts.py
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import nn

from filterscope.parts import PartTemplateConv2d, part_losses
from timing import describe, interleaved, peak_gb, ratios, spread

BATCH, CHANNELS, SIDE, REPEATS = 32, 512, 14, 12


def stepper(layer: nn.Module, x: torch.Tensor, kind: str | None = None) -> Callable[[], None]:
    """Forward and backward of a layer, with the gradients of its weights and of its input."""
    labels = torch.arange(BATCH) % 2
    upstream = torch.randn(BATCH, CHANNELS, SIDE, SIDE)

    def step() -> None:
        layer.zero_grad(set_to_none=True)
        source = x.detach().requires_grad_()
        if kind is None:
            layer(source).backward(upstream)
            return
        with part_losses(layer, labels, kind) as losses:
            maps = layer(source)
        torch.autograd.backward([maps, losses[0]], [upstream, torch.tensor(1e-3)])

    return step


def compare(name: str, one: Callable[[], None], other: Callable[[], None], bound: float) -> None:
    """Print the ratio of two sides that take turns."""
    for warm_up in (one, other, one, other):
        warm_up()
    ours, theirs = interleaved(one, other, REPEATS)
    print(
        f"{name}: {spread(ours, 1000)} ms against {spread(theirs, 1000)} ms, CPU time; ratio of "
        f"medians {statistics.median(ours) / statistics.median(theirs):.3f} (at most {bound}), "
        f"turn by turn {spread(ratios(ours, theirs))}, n={REPEATS}"
    )


def main() -> None:
    print(describe("filterscope", "torch"), f"- {torch.get_num_threads()} threads")
    print(f"forward and backward, batch {BATCH}, {CHANNELS} channels, {SIDE}x{SIDE}, 3x3 kernels")
    torch.manual_seed(0)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE)
    plain = nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.ReLU())
    bare = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
    layer = PartTemplateConv2d(CHANNELS, CHANNELS, 3, padding=1)
    learned = PartTemplateConv2d(CHANNELS, CHANNELS, 3, padding=1, mu="centroid", learn_beta=True)
    for name, masked in (("argmax", layer), ("centroid and learned slopes", learned)):
        compare(f"{name}, against the convolution", stepper(masked, x), stepper(bare, x), 1.25)
    compare("argmax, against convolution and ReLU", stepper(layer, x), stepper(plain, x), 1.25)
    for kind in ("exact", "paper", "official"):
        with_loss = stepper(layer, x, kind)
        compare(f"{kind} loss, against the layer without", with_loss, stepper(layer, x), 2.0)
    slopes = stepper(learned, x, "exact")
    compare("exact loss, learned slopes, against without", slopes, stepper(learned, x), 2.0)
    print(f"peak memory {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
