"""Localisation by activation maps: counting while interpolating, against interpolating first.

Run: python benchmarks/localization.py
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.metrics.functional import activation_localization, activation_thresholds
from filterscope.metrics.functional._localization import pixel_counts
from timing import describe, interleaved, peak_gb, ratios, spread

IMAGES, FILTERS, SOURCE, SIDE, CLASSES = 1700, 2048, 4, 128, 6
SAMPLE_IMAGES, SAMPLE_FILTERS = 4, 64  # of the plain loop
BATCH = 4  # images that are interpolated at once
REPEATS = 5


def data(images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rectified maps, about a third of them positive, and round objects."""
    generator = torch.Generator().manual_seed(0)
    maps = torch.empty(images, FILTERS, SOURCE, SOURCE).normal_(-0.4, 1, generator=generator)
    place = torch.arange(SIDE) - SIDE / 2
    distance = (place[:, None].square() + place.square()).sqrt()
    radius = torch.randint(20, 64, (images, 1, 1), generator=generator)
    labels = torch.randint(0, CLASSES, (images,), generator=generator)
    return maps.relu_(), distance < radius, labels


def one_by_one(maps: Tensor, thresholds: Tensor, masks: Tensor) -> Tensor:
    """IoU (N, K) of one image and one filter at a time, as the published code does it."""
    iou = torch.empty(maps.shape[:2])
    for n, mask in enumerate(masks):
        for k, threshold in enumerate(thresholds):
            wide = F.interpolate(maps[n : n + 1, k : k + 1], SIDE, mode="bilinear")[0, 0]
            reached = wide >= threshold
            iou[n, k] = (reached & mask).sum() / (reached | mask).sum()
    return iou


def in_batches(maps: Tensor, thresholds: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels and pixels in the mask, (N, K) each, of some images with all their filters at once."""
    counts = []
    for some, objects in zip(maps.split(BATCH), masks.split(BATCH), strict=True):
        reached = F.interpolate(some, SIDE, mode="bilinear") >= thresholds[:, None, None]
        counts.append((reached.sum((2, 3)), (reached & objects[:, None]).sum((2, 3))))
    area, inside = zip(*counts, strict=True)
    return torch.cat(area), torch.cat(inside)


def whole_data_set() -> None:
    """Time and memory of everything, thresholds included; first, because memory only grows."""
    maps, masks, labels = data(IMAGES)
    before = peak_gb()
    start, cpu = time.perf_counter(), time.process_time()
    result = activation_localization(maps, masks, labels, CLASSES)
    print(f"N={IMAGES} K={FILTERS} {SOURCE}x{SOURCE} to {SIDE}x{SIDE}: "
          f"{time.perf_counter() - start:.1f} s wall, {time.process_time() - cpu:.1f} s CPU, "
          f"peak memory {peak_gb():.2f} GB ({before:.2f} GB before, "
          f"{maps.nbytes / 2**30:.2f} GB of it maps); IoU {result.total_iou:.3f}")  # fmt: skip


def against_other_ways() -> None:
    maps, masks, _ = data(2 * BATCH)
    thresholds = activation_thresholds(maps)
    fused, plain = pixel_counts(maps, thresholds, masks), in_batches(maps, thresholds, masks)
    equal = all(torch.equal(a.long(), b) for a, b in zip(fused, plain, strict=True))
    print(f"pixel counts equal to interpolation in batches of {BATCH}: {equal}")
    few = maps[:SAMPLE_IMAGES, :SAMPLE_FILTERS].contiguous()

    def ours() -> object:
        return pixel_counts(maps, thresholds, masks)

    def batches() -> object:
        return in_batches(maps, thresholds, masks)

    def loop() -> object:
        return one_by_one(few, thresholds[:SAMPLE_FILTERS], masks[:SAMPLE_IMAGES])

    pairs = len(maps) * FILTERS
    for name, call, measured in (
        (f"batches of {BATCH} images", batches, pairs),
        ("one image and filter at a time", loop, SAMPLE_IMAGES * SAMPLE_FILTERS),
    ):
        mine, other = interleaved(ours, call, REPEATS)
        per_map = [seconds / pairs for seconds in mine], [seconds / measured for seconds in other]
        full = statistics.median(per_map[1]) * IMAGES * FILTERS
        print(f"{name}: {spread(per_map[1], 1e6)} us a map, ours {spread(per_map[0], 1e6)}, CPU "
              f"time; ratio {spread(ratios(per_map[1], per_map[0]))}, n={REPEATS}, measured on "
              f"{measured} maps; the whole data set would take {full:.0f} s")  # fmt: skip


def main() -> None:
    print(describe("filterscope", "torch", "numba"), f"- {torch.get_num_threads()} threads")
    maps, masks, _ = data(1)
    start = time.perf_counter()
    pixel_counts(maps, activation_thresholds(maps), masks)
    print(f"compilation, or reading it from the cache: {time.perf_counter() - start:.2f} s")
    whole_data_set()
    against_other_ways()
    print(f"peak memory with the other ways: {peak_gb():.2f} GB")


if __name__ == "__main__":
    main()
