"""Attacks on ResNet-20: candidates in batches against one by one, and PGD against a bare loop.

Run: python benchmarks/attacks.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.attacks import attack
from filterscope.models import create_model
from timing import describe, interleaved, ratios, spread

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SEARCHED, DESCENDED, REPEATS = 5, 32, 7
STEP, EPSILON = 2 / 255, 8 / 255


def clock() -> float:
    """CPU time, which other programs do not stretch; on an accelerator, time when it is done."""
    if DEVICE == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def one_by_one(model: nn.Module, images: Tensor, pixels: int) -> None:
    """Single-candidate queries: a pixel, the forward pass, the probability, read as a number."""
    with torch.no_grad():
        for image in images:
            for place in torch.randperm(image[0].numel())[:pixels].tolist():
                for value in (0.0, 1.0):
                    candidate = image.clone()
                    candidate[:, place // image.shape[2], place % image.shape[2]] = value
                    float(model(candidate[None]).softmax(1)[0, 0])


def bare(
    model: nn.Module, images: Tensor, labels: Tensor, steps: int = 7, *, judged: bool = False
) -> Tensor:
    """PGD in a plain loop; `judged`: with the answers before and after."""
    if judged:
        with torch.no_grad():
            model(images).argmax(1).ne(labels).sum().item()
    x = (images + (2 * torch.rand_like(images) - 1) * EPSILON).clamp(0, 1)
    for _ in range(steps):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)
        x = x.detach() + STEP * gradient.sign()
        x = torch.max(torch.min(x, images + EPSILON), images - EPSILON).clamp(0, 1)
    if judged:
        with torch.no_grad():
            model(x).argmax(1).ne(labels).sum().item()
    return x


def compare(name: str, ours: Callable[[], object], other: Callable[[], object]) -> None:
    ours(), other()
    mine, theirs = interleaved(ours, other, REPEATS, clock)
    print(
        f"{name}: {spread(mine, 1e3)} ms against {spread(theirs, 1e3)} ms; other / ours "
        f"{spread(ratios(theirs, mine))}, n={REPEATS}",
        flush=True,
    )


def searches(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Candidates in batches against one by one."""
    count = len(images)
    for name, own in (
        ("single-pixel", {"max_pixels": 51}),
        ("local-search", {"rounds": 1}),
        ("one-pixel-de", {"population": 102, "generations": 0}),
    ):
        queries = int(attack(name, model, images, labels, **own).queries.sum())
        compare(
            f"{name}, {queries} queries, against single-candidate queries (as many)",
            partial(attack, name, model, images, labels, **own),
            partial(one_by_one, model, images, round(queries / count / 2)),
        )


def descents(model: nn.Module, images: Tensor, labels: Tensor) -> None:
    """PGD against a bare loop, without and with the answers that tell what came of it."""
    for judged in (False, True):
        compare(
            f"PGD-7, {len(images)} images, against a bare loop{' and answers' if judged else ''}",
            partial(attack, "pgd", model, images, labels),
            partial(bare, model, images, labels, judged=judged),
        )


def setting() -> tuple[nn.Module, Tensor, Tensor]:
    """A random network, noise and its answers to it, so that no search ends early."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = create_model("resnet20", 10).eval().to(DEVICE)
    images = torch.rand(DESCENDED, 3, 32, 32, device=DEVICE)
    with torch.no_grad():
        labels = model(images).argmax(1)
    print(describe("filterscope", "torch"), f"- {DEVICE}, {torch.get_num_threads()} thread")
    return model, images, labels


def main() -> None:
    model, images, labels = setting()
    searches(model, images[:SEARCHED], labels[:SEARCHED])
    descents(model, images, labels)


if __name__ == "__main__":
    main()
