"""Gradients of all filters from one forward pass, against captum's NeuronGradient, one by one.

Run: python benchmarks/grad_map.py
"""

from __future__ import annotations

import time
from functools import partial

import torch
from captum.attr import NeuronGradient
from torch import Tensor
from torchvision.models import resnet18

from filterscope.maps import grad_map, input_gradients
from timing import describe, interleaved, ratios, spread

IMAGES, SIDE, FILTERS, REPEATS = 4, 128, 512, 5
SAMPLE = 32  # filters of a turn; the one forward pass of ours then counts sixteenfold


def pooled(maps: Tensor, k: int) -> Tensor:
    """The mean activation of filter k, (N,)."""
    return torch.relu(maps[:, k]).mean(dim=(1, 2))


def main() -> None:
    print(describe("filterscope", "torch", "captum"), f"- {torch.get_num_threads()} threads")
    torch.manual_seed(0)
    model = resnet18().eval()
    images = torch.randn(IMAGES, 3, SIDE, SIDE)
    neuron = NeuronGradient(model, model.layer4)

    def ours(filters: int = SAMPLE) -> list[Tensor]:
        return list(input_gradients(model, images, "layer4", list(range(filters))))

    def theirs() -> list[Tensor]:
        source = images.clone().requires_grad_()
        return [neuron.attribute(source, partial(pooled, k=k)) for k in range(SAMPLE)]

    gap = max(
        float((a - b).abs().max() / a.abs().max().clamp(min=1e-30))
        for a, b in zip(ours(), theirs(), strict=True)
    )
    print(f"largest relative difference of the gradients of {SAMPLE} filters: {gap:.1e}")
    mine, other = interleaved(ours, theirs, REPEATS)
    both = ratios(other, mine)
    print(
        f"gradients of {SAMPLE} of {FILTERS} filters of ResNet-18, {IMAGES} images of "
        f"{SIDE}x{SIDE}: ours {spread(mine)} s, captum {spread(other)} s, CPU time; "
        f"ratio {spread(both)}, n={REPEATS}"
    )
    start, wall = time.process_time(), time.perf_counter()
    maps = grad_map(model, images, "layer4")
    print(
        f"maps of all {maps.shape[1]} filters, normed and blurred: "
        f"{time.process_time() - start:.1f} s CPU, {time.perf_counter() - wall:.1f} s wall"
    )


if __name__ == "__main__":
    main()
