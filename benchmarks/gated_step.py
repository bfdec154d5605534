"""A training step on the gated path against one on the standard path: ResNet-20, batch 256.

Run: python benchmarks/gated_step.py
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable

import torch

from filterscope.data import load_dataset
from filterscope.training import TrainSettings
from filterscope.training.losses import Objective, step_loss
from filterscope.training.network import build_network
from filterscope.training.optimizers import make_optimizers
from filterscope.training.schedule import Phase
from timing import describe, interleaved, ratios, spread

BATCH, SIDE, REPEATS = 256, 32, 40
SETTINGS = TrainSettings(method="gated", warmup=0)


def stepper(phase: Phase) -> Callable[[], None]:
    """One step of the training loop, in the given phase, on a network of its own."""
    network = copy.deepcopy(build_network(SETTINGS, load_dataset("digits", image_size=SIDE)))
    network.module.to(memory_format=torch.channels_last)
    optimizers = make_optimizers(network, SETTINGS, gate_lr=0.01)
    images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,))
    gate = network.gate
    assert gate is not None

    def step() -> None:
        network.module.zero_grad(set_to_none=True)
        loss = step_loss(network.module, gate, phase, images, labels, SETTINGS, Objective())
        loss.total.backward()
        for optimizer in optimizers.stepping(phase):
            optimizer.step()
        if phase != "standard":
            gate.project_()

    return step


def main() -> None:
    print(describe("filterscope", "torch"), f"- {torch.get_num_threads()} threads")
    phases: tuple[Phase, ...] = ("gated", "joint")
    for phase in phases:
        gated, standard = stepper(phase), stepper("standard")
        for warm_up in (gated, standard, gated, standard):
            warm_up()
        ours, theirs = interleaved(gated, standard, REPEATS)
        each = ratios(ours, theirs)
        print(
            f"{phase} step {spread(ours, 1000)} ms, standard step {spread(theirs, 1000)} ms, "
            f"CPU time; ratio of medians "
            f"{statistics.median(ours) / statistics.median(theirs):.3f}, "
            f"ratio turn by turn {spread(each)}, n={REPEATS}"
        )


if __name__ == "__main__":
    main()
