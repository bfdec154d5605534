"""Every metric of a run."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric

from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset
from filterscope.evaluation.attack_images import check_classes
from filterscope.evaluation.attack_settings import least
from filterscope.evaluation.collect import Collected, collect
from filterscope.evaluation.contribution import contribution_part
from filterscope.evaluation.landmarks import landmark_part
from filterscope.evaluation.localization import localization_part
from filterscope.evaluation.part import Part, Subject
from filterscope.evaluation.redundancy import correlation_part
from filterscope.evaluation.result import Evaluation
from filterscope.evaluation.specificity import (
    cluster_part,
    entanglement_part,
    removal_part,
    similarity_part,
)
from filterscope.evaluation.top_images import top_filter_images
from filterscope.metrics import functional
from filterscope.runs import Run, load_run
from filterscope.runs.environment import describe_environment
from filterscope.runs.processes import launch, make_fabric, quiet, spawns

BALANCED_FROM = 100
"""Number of classes from which the mutual information is balanced by default."""

# Parts of an evaluation; each gives nothing where it does not apply.
_PARTS = (
    similarity_part,
    cluster_part,
    entanglement_part,
    correlation_part,
    contribution_part,
    localization_part,
    landmark_part,
    removal_part,  # last, for its arrays are the largest
)


def evaluate_run(
    run: Run,
    *,
    dataset: ImageDataset | None = None,
    device: str = "auto",
    devices: int = 1,
    batch_size: int = 256,
    balanced: bool | None = None,
    seed: int = 0,
) -> Evaluation:
    """Measure a run on its test images, on the standard path unless a name says gated.

    Args:
        run: Of `load_run`.
        dataset: The data, when it is loaded already; else the run's own.
        device: auto, cpu, cuda or mps.
        devices: Processes on this machine that share the images.
        batch_size: Images at once, in each process.
        balanced: Mutual information with as many negatives as positives; None: from 100 classes.
        seed: Of the estimator's noise and of every chance level.

    Returns:
        The evaluation; `Evaluation.save` writes it into the run's folder.

    Raises:
        FileNotFoundError: The run's data is not there.
        ValueError: Data of other classes than the run's, a device that is not there, or a number
            below 1.
    """
    dataset = dataset or run.dataset()
    collected, chosen = _collected(run, dataset, device, devices, batch_size)
    num_classes = len(run.classes)
    balanced = num_classes >= BALANCED_FROM if balanced is None else balanced
    mi = functional.mutual_information_matrix(
        collected.features, collected.labels, num_classes, balanced=balanced, random_state=seed
    )
    subject = Subject(
        run=run,
        dataset=dataset,
        collected=collected,
        mi=mi,
        mean_features=functional.class_mean_features(
            collected.features, collected.labels, num_classes
        ),
        batch_size=batch_size,
        device=chosen,
        seed=seed,
    )
    return _measure(subject, balanced)


def assist_evaluation(
    run: Run,
    *,
    dataset: ImageDataset | None = None,
    device: str = "auto",
    devices: int = 1,
    batch_size: int = 256,
) -> None:
    """Do what `evaluate_run` asks of the other processes that torchrun or SLURM started.

    Each runs the network over its share of the images; the first process alone goes on from
    there. (`evaluate_run` in all of them gives each the same evaluation, at the cost of one.)

    Args:
        run: As in `evaluate_run`, and so are the others.
        dataset: The data.
        device: Where to compute.
        devices: Processes on this machine.
        batch_size: Images at once, in each process.
    """
    _collected(run, dataset or run.dataset(), device, devices, batch_size)


def _collected(
    run: Run, dataset: ImageDataset, device: str, devices: int, batch_size: int
) -> tuple[Collected, torch.device]:
    """What all processes find, and this one's device."""
    check_classes(run, dataset)
    least("batch_size", batch_size, 1)
    fabric = make_fabric(device, devices)
    # other processes read the network from the folder again
    source = run.path if spawns(devices) else run
    share = partial(_collect, run=source, dataset=dataset, batch_size=batch_size)
    return Collected(*map(torch.from_numpy, launch(fabric, share, devices))), fabric.device


def _collect(
    fabric: Fabric, run: Run | Path, dataset: ImageDataset, batch_size: int
) -> tuple[np.ndarray, ...]:
    """One process's pass over its share; the fields of `Collected`, as what outlives a process."""
    quiet()
    run = run if isinstance(run, Run) else load_run(run)
    model = run.model.to(fabric.device)
    collected = collect(
        model,
        find_layer(run.classifier, run.layer)[1],
        run.activation,
        dataset.test,
        run.transform,
        batch_size=batch_size,
        device=fabric.device,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        workers=run.config["workers"],
        task_loss=run.task_loss,
    )
    model.cpu()
    return tuple(getattr(collected, field.name).numpy() for field in fields(Collected))


def _measure(subject: Subject, balanced: bool) -> Evaluation:
    run, mi = subject.run, subject.mi
    run.model.to(subject.device)
    try:
        part = _basic_part(subject, balanced) | _gate_part(subject)
        for measure in _PARTS:
            part |= measure(subject)
    finally:
        run.model.cpu()
    collected = subject.collected
    part.arrays.update(
        top_filter_images(mi, collected.features, collected.labels, subject.dataset.test)
    )
    settings = {
        "data": subject.dataset.name,
        "split": "test",
        "num_samples": len(collected.labels),
        "unreadable": len(subject.dataset.unreadable),
        "num_classes": mi.shape[0],
        "num_filters": mi.shape[1],
        "layer": run.layer,
        "task_loss": run.task_loss,
        "rectified": run.activation is not None,
        "estimator": "Ross 2014, scikit-learn's mutual_info_classif",
        "n_neighbors": 3,
        "balanced": balanced,
        "ties": "sklearn",
        "target": "labels",
        "seed": subject.seed,
        "epochs": len(run.history),
        "versions": describe_environment(str(subject.device))["versions"],
    }
    return Evaluation(settings, part.metrics, part.arrays)


def _basic_part(subject: Subject, balanced: bool) -> Part:
    """Accuracy and mutual information."""
    collected, mi = subject.collected, subject.mi
    labels, features, num_classes = collected.labels, collected.features, len(mi)
    confusion = functional.confusion_matrix(collected.predictions, labels, num_classes)
    return Part(
        {
            "accuracy": float((collected.predictions == labels).double().mean()),
            "loss": float(collected.losses.double().mean()),
            "error": float(collected.errors.double().mean()),
            "class_accuracy": (confusion.diagonal() / confusion.sum(1)).tolist(),
            "mis": functional.mutual_information_score(mi),
            "mis_floor": functional.mutual_information_floor(
                features, labels, num_classes, balanced=balanced, random_state=subject.seed
            ),
            "mis_bound": functional.mutual_information_bound(labels, num_classes, balanced),
            "dead_filters": int((features.amax(0) == features.amin(0)).sum()),
        },
        {
            "mi": mi.numpy(),
            "mean_features": subject.mean_features.numpy(),
            "confusion": confusion.numpy(),
        },
    )


def _gate_part(subject: Subject) -> Part:
    """What only a gated run has."""
    run, collected = subject.run, subject.collected
    if run.gate is None:
        return Part()
    matrix = run.gate.matrix.detach().cpu()
    correct = (collected.predictions == collected.labels).double().mean()
    gated = (collected.gated_predictions == collected.labels).double().mean()
    statistics = functional.gate_statistics(matrix)
    overlap = functional.gate_mi_overlap(subject.mi, matrix, random_state=subject.seed)
    return Part(
        {
            "gated_accuracy": float(gated),
            "gated_loss": float(collected.gated_losses.double().mean()),
            "gap": float(gated - correct),
            "density": statistics.density,
            "density_interval": [statistics.least_density, run.gate.density_bound],
            "overlap_argmax": overlap.argmax_agreement,
            "overlap_argmax_chance": overlap.argmax_chance,
            "overlap_jaccard": overlap.jaccard,
            "overlap_jaccard_chance": overlap.jaccard_chance,
            "monopolised": statistics.monopolised.tolist(),
            "shared_by": statistics.shared_by.tolist(),
        },
        {"gate": matrix.numpy(), "class_pairs": statistics.class_pairs.numpy()},
    )
