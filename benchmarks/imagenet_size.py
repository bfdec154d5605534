"""Every part of an evaluation at ImageNet's size: 50,000 images, 512 filters, 1000 classes.

Features, labels and answers are synthetic; the network is a stem of one convolution, the studied
convolution (512 filters of 512 numbers each on maps of 7 x 7) and a linear head, so that the
evaluation is measured and not a trunk. Each part runs in a process of its own, on one thread, which
tells its processor time and its largest resident memory (that of Python, PyTorch and the features
included). The last, "whole", is all that `filterscope evaluate` does, in one process.

Run: python benchmarks/imagenet_size.py [PART ...] [--images 50000]
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from filterscope.core.files import read_json
from filterscope.core.gate_points import GatePoint
from filterscope.data import ImageDataset, Transform
from filterscope.data.augmentation import Augmentation
from filterscope.data.split import InMemory, Split
from filterscope.evaluation import Evaluation, measure
from filterscope.evaluation.collect import Collected
from filterscope.evaluation.contribution import contribution_part
from filterscope.evaluation.part import Part, Subject
from filterscope.evaluation.redundancy import correlation_part
from filterscope.evaluation.specificity import cluster_part, removal_part, similarity_part
from filterscope.evaluation.top_images import top_filter_images
from filterscope.gates import GatedClassifier
from filterscope.metrics import functional
from filterscope.report import compare_runs, write_report
from filterscope.runs import Run
from filterscope.training import TrainSettings
from timing import describe, peak_gb

LIMIT_GB = 2.0
SIDE = 7
CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True)
class Size:
    """Images, filters and classes."""

    images: int = 50_000
    filters: int = 512
    classes: int = 1000


def dataset(size: Size) -> ImageDataset:
    """Noise of 7 x 7 pixels, as many images of each class."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        0, 256, (size.images, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8
    )
    labels = torch.arange(size.images) % size.classes
    transform = Transform(image_size=SIDE)
    names = [f"image {i}" for i in range(size.images)]
    split = Split(labels, names, InMemory(pixels), transform)
    classes = tuple(f"class {c}" for c in range(size.classes))
    return ImageDataset("synthetic", classes, split, split, transform, Augmentation())


def run_of(size: Size) -> Run:
    """A gated network, each filter open for two classes."""
    torch.manual_seed(0)
    trunk = nn.Sequential(
        nn.Conv2d(3, 512, 3, padding=1), nn.ReLU(), nn.Conv2d(512, size.filters, 1), nn.ReLU()
    )
    pooled = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(size.filters, size.classes)
    classifier: Any = nn.Sequential(trunk, *pooled)
    classifier.filterscope_gate_point = GatePoint("0", size.filters, "relu", "gap-linear")
    model = GatedClassifier(classifier, "0", size.classes, size.filters, activation=torch.relu)
    with torch.no_grad():
        filters = torch.arange(size.filters)
        model.gate.matrix.zero_()
        for shift in (0, size.filters):
            model.gate.matrix[(filters + shift) % size.classes, filters] = 1
    classes = tuple(f"class {c}" for c in range(size.classes))
    config = TrainSettings(method="gated", data="synthetic", workers=0).to_dict()
    return Run(
        Path("synthetic"), config, model.eval(), classes, "0", torch.relu,
        Transform(image_size=SIDE), [], None, {"versions": {}},
    )  # fmt: skip


def subject_of(size: Size) -> Subject:
    """Features that are stronger on the classes of the gate, answers of which half are right."""
    generator = torch.Generator().manual_seed(1)
    run, data = run_of(size), dataset(size)
    labels = data.test.labels
    features = torch.randn(size.images, size.filters, generator=generator)
    gate = run.model.gate.matrix.detach()
    for places in torch.arange(size.images).split(4096):
        features[places] += 2 * gate[labels[places]]
    features.sub_(0.2).clamp_(min=0)
    wrong = torch.rand(size.images, generator=generator) < 0.5
    predictions = torch.where(wrong, labels.roll(1), labels)
    losses, errors = torch.rand(size.images, generator=generator), wrong.double()
    collected = Collected(
        torch.arange(size.images), labels, predictions, losses, errors,
        labels, losses, errors, features,
    )  # fmt: skip
    mi = torch.rand(size.classes, size.filters, generator=generator, dtype=torch.float64)
    means = functional.class_mean_features(features, labels, size.classes)
    return Subject(run, data, collected, mi, means, 256, CPU, 0)


def collecting(subject: Subject) -> object:
    """The pass over the images, without a trunk."""
    return measure._collected(subject.run, subject.dataset, "cpu", 1, 256)


def information(subject: Subject) -> object:
    """Mutual information of every filter and class."""
    features, labels = subject.collected.features, subject.collected.labels
    return functional.mutual_information_matrix(
        features, labels, len(subject.mi), balanced=True, random_state=subject.seed
    )


def information_floor(subject: Subject) -> object:
    """The same with permuted labels."""
    features, labels = subject.collected.features, subject.collected.labels
    return functional.mutual_information_floor(features, labels, len(subject.mi), balanced=True)


def top_images(subject: Subject) -> dict[str, np.ndarray]:
    """Images that fire the most class-specific filters."""
    collected = subject.collected
    return top_filter_images(subject.mi, collected.features, collected.labels, subject.dataset.test)


def entanglement(subject: Subject) -> object:
    """One gradient step of each fit and the losses; evaluation leaves it out at this size."""
    collected, head = subject.collected, subject.run.classifier[-1]
    return functional.filter_class_entanglement(
        collected.features, collected.labels, head.weight, head.bias, steps=1
    )


def writing(subject: Subject) -> str:
    """Files and report of an evaluation with all arrays."""
    part = measure._gate_part(subject) | similarity_part(subject) | contribution_part(subject)
    part.arrays.update(top_images(subject))
    classes = len(subject.mi)
    counts = torch.randint(0, 2, (21, classes, classes), dtype=torch.int32).numpy()
    part.arrays.update(
        mi=subject.mi.numpy(), mean_features=subject.mean_features.numpy(), confusion=counts[0],
        removal_gate=counts, removal_activation=counts,
        removed_classes=np.eye(21, classes, dtype=bool),
    )  # fmt: skip
    part.metrics.update(accuracy=0.5, mis=0.1, mis_floor=0.0, mis_bound=0.7)
    settings = {
        "data": "synthetic", "split": "test", "num_samples": len(subject.collected.labels),
        "num_classes": classes, "num_filters": subject.mi.shape[1], "layer": "0", "seed": 0,
        "task_loss": "softmax", "rectified": True, "balanced": True, "n_neighbors": 3,
        "estimator": "Ross 2014", "ties": "sklearn", "target": "labels", "epochs": 0,
        "versions": {},
    }  # fmt: skip
    return written(Evaluation(settings, part.metrics, part.arrays), subject.run)


def written(evaluation: Evaluation, run: Run) -> str:
    """Write an evaluation's files and report; how large they are."""
    with tempfile.TemporaryDirectory() as folder:
        evaluation.save(folder)
        measured = read_json(Path(folder) / "evaluation.json")
        run = dataclasses.replace(run, path=Path(folder), evaluation=measured)
        report = Path(folder) / "report.html"
        write_report(compare_runs([run]), report)
        sizes = [file.stat().st_size / 2**20 for file in (Path(folder) / "arrays.npz", report)]
    return f"{sizes[0]:.0f} MB of arrays, {sizes[1]:.1f} MB of report"


PARTS: dict[str, Callable[[Subject], object]] = {
    "collect": collecting,
    "mutual-information": information,
    "floor": information_floor,
    "gate": measure._gate_part,
    "removal": removal_part,
    "similarity": similarity_part,
    "clusters": cluster_part,
    "entanglement-step": entanglement,
    "correlation": correlation_part,
    "contribution": contribution_part,
    "top-images": top_images,
    "write": writing,
}
WHOLE = "whole"


def whole(size: Size) -> str:
    """Everything, from the pixels of the data to the report."""
    run = run_of(size)
    return written(measure.evaluate_run(run, dataset=dataset(size), device="cpu"), run)


def show(name: str, size: Size) -> None:
    """Run a part and print its line."""
    torch.set_num_threads(1)
    work = partial(whole, size) if name == WHOLE else partial(PARTS[name], subject_of(size))
    before = peak_gb()
    start, cpu = time.perf_counter(), time.process_time()
    found = work()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    note = found if isinstance(found, str) else ""
    if isinstance(found, Part):
        note = f"{len(found.metrics)} numbers, {len(found.arrays)} arrays"
    over = "" if peak_gb() <= LIMIT_GB else f"above {LIMIT_GB} GB"
    print(f"| {name} | {cpu:.1f} | {wall:.1f} | {before:.2f} | {peak_gb():.2f} | {note} {over} |",
          flush=True)  # fmt: skip


def main() -> None:
    names = [*PARTS, WHOLE]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(names)}; default: all")
    parser.add_argument("--images", type=int, default=50_000)
    arguments = parser.parse_args()
    if not set(arguments.parts) <= set(names):
        parser.error(f"no part {set(arguments.parts) - set(names)}; there are {', '.join(names)}")
    print(describe("filterscope", "numpy", "scikit-learn", "torch"), end="\n\n")
    print(
        "| part | CPU s | wall s | GB before | peak GB | |\n|---|---|---|---|---|---|", flush=True
    )
    for name in arguments.parts or names:
        words = name, Size(arguments.images)
        process = get_context("spawn").Process(target=show, args=words)
        process.start()
        process.join()
        if process.exitcode:
            print(f"| {name} | exit code {process.exitcode} |")


if __name__ == "__main__":
    main()
