"""Every metric of a run."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from filterscope.core.layers import find_layer
from filterscope.data import ImageDataset
from filterscope.evaluation.collect import Collected, collect
from filterscope.evaluation.result import Evaluation
from filterscope.evaluation.top_images import top_filter_images
from filterscope.metrics import functional
from filterscope.metrics.functional.correlation import Variant
from filterscope.runs import Run, load_run
from filterscope.runs.environment import describe_environment
from filterscope.runs.processes import launch, make_fabric, quiet, spawns

BALANCED_FROM = 100
"""Number of classes from which the mutual information is balanced by default."""

_CURVE = np.round(np.arange(0, 1.0001, 0.02), 4)


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
        devices: Processes that share the images.
        batch_size: Images at once, over all processes.
        balanced: Mutual information with as many negatives as positives; None: from 100 classes.
        seed: Of the estimator's noise and of every chance level.

    Returns:
        The evaluation; `Evaluation.save` writes it into the run's folder.

    Raises:
        FileNotFoundError: The run's data is not there.
        ValueError: Data of other classes than the run's.
    """
    dataset = dataset or run.dataset()
    if dataset.classes != run.classes:
        raise ValueError(
            f"{dataset.name} has {len(dataset.classes)} classes ({', '.join(dataset.classes[:3])}, "
            f"...), the run was trained on {len(run.classes)} ({', '.join(run.classes[:3])}, ...)"
        )
    fabric = make_fabric(device, devices)
    # other processes read the network from the folder again
    source = run.path if spawns(devices) else run
    share = partial(_collect, run=source, dataset=dataset, batch_size=batch_size)
    collected = Collected(*map(torch.from_numpy, launch(fabric, share, devices)))
    return _measure(run, dataset, collected, balanced, seed, str(fabric.device))


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
    )
    model.cpu()
    return tuple(getattr(collected, field.name).numpy() for field in fields(Collected))


def _measure(
    run: Run,
    dataset: ImageDataset,
    collected: Collected,
    balanced: bool | None,
    seed: int,
    device: str,
) -> Evaluation:
    labels, features = collected.labels, collected.features
    num_classes, num_filters = len(run.classes), features.shape[1]
    balanced = num_classes >= BALANCED_FROM if balanced is None else balanced
    mi = functional.mutual_information_matrix(
        features, labels, num_classes, balanced=balanced, random_state=seed
    )
    mean_features = functional.class_mean_features(features, labels, num_classes)
    confusion = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    confusion.index_put_((labels, collected.predictions), torch.ones_like(labels), accumulate=True)
    metrics: dict[str, Any] = {
        "accuracy": float((collected.predictions == labels).double().mean()),
        "loss": float(collected.losses.double().mean()),
        "class_accuracy": (confusion.diagonal() / confusion.sum(1)).tolist(),
        "mis": functional.mutual_information_score(mi),
        "mis_floor": functional.mutual_information_floor(
            features, labels, num_classes, balanced=balanced, random_state=seed
        ),
        "mis_bound": functional.mutual_information_bound(labels, num_classes, balanced),
        "dead_filters": int((features.amax(0) == features.amin(0)).sum()),
    }
    arrays: dict[str, np.ndarray] = {
        "mi": mi.numpy(),
        "mean_features": mean_features.numpy(),
        "confusion": confusion.numpy(),
    }
    _add_gate(run, collected, mi, seed, metrics, arrays)
    _add_correlation(run, mean_features, metrics, arrays)
    arrays.update(top_filter_images(mi, features, labels, dataset.test))
    settings = {
        "data": dataset.name,
        "split": "test",
        "num_samples": len(labels),
        "num_classes": num_classes,
        "num_filters": num_filters,
        "layer": run.layer,
        "rectified": run.activation is not None,
        "estimator": "Ross 2014, scikit-learn's mutual_info_classif",
        "n_neighbors": 3,
        "balanced": balanced,
        "ties": "sklearn",
        "target": "labels",
        "seed": seed,
        "epochs": len(run.history),
        "versions": describe_environment(device)["versions"],
    }
    return Evaluation(settings, metrics, arrays)


def _add_gate(
    run: Run,
    collected: Collected,
    mi: Tensor,
    seed: int,
    metrics: dict[str, Any],
    arrays: dict[str, np.ndarray],
) -> None:
    """Add what only a gated run has."""
    if run.gate is None:
        return
    matrix = run.gate.matrix.detach().cpu()
    gated = float((collected.gated_predictions == collected.labels).double().mean())
    statistics = functional.gate_statistics(matrix)
    overlap = functional.gate_mi_overlap(mi, matrix, random_state=seed)
    metrics.update(
        gated_accuracy=gated,
        gated_loss=float(collected.gated_losses.double().mean()),
        gap=gated - metrics["accuracy"],
        density=statistics.density,
        density_interval=[statistics.least_density, run.gate.density_bound],
        overlap_argmax=overlap.argmax_agreement,
        overlap_argmax_chance=overlap.argmax_chance,
        overlap_jaccard=overlap.jaccard,
        overlap_jaccard_chance=overlap.jaccard_chance,
        monopolised=statistics.monopolised.tolist(),
        shared_by=statistics.shared_by.tolist(),
    )
    arrays.update(gate=matrix.numpy(), class_pairs=statistics.class_pairs.numpy())


def _add_correlation(
    run: Run, mean_features: Tensor, metrics: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Add how much the layer's filters repeat each other, where the layer ends in a convolution."""
    num_classes, num_filters = mean_features.shape
    convolution = last_convolution(run.classifier, run.layer, num_filters)
    if convolution is None:
        return
    correlation = functional.filter_correlation(convolution.weight.detach().cpu())
    thresholds = torch.from_numpy(_CURVE)
    variants: dict[str, Variant] = {
        "": "all",
        "_off_diagonal": "off_diagonal",
        "_absolute": "absolute",
    }
    for suffix, variant in variants.items():
        curve = functional.redundancy(correlation, thresholds, variant)
        arrays[f"redundancy_curve{suffix}"] = curve.numpy()
        at_tenth = functional.redundancy(correlation, 0.1, variant)
        metrics[f"redundancy_0_1{suffix}"] = float(at_tenth)
    per_class = max(1, num_filters // num_classes)
    if bool(torch.isfinite(mean_features).all()):
        metrics["inter_class_correlation"] = functional.inter_class_correlation(
            correlation, mean_features, per_class
        )
        metrics["inter_class_correlation_m"] = per_class
    arrays.update(correlation=correlation.numpy(), redundancy_thresholds=_CURVE)


def last_convolution(model: nn.Module, layer: str, num_filters: int) -> nn.Conv2d | None:
    """Find the convolution whose filters a layer's output shows: the last one of that width.

    Args:
        model: The plain classifier.
        layer: Name of the studied layer.
        num_filters: K.

    Returns:
        The convolution, or None where no convolution has K filters (as in DenseNet, whose map is
        put together from many).
    """
    found = None
    reached = False
    for name, module in model.named_modules():
        inside = name == layer or name.startswith(f"{layer}.")
        if reached and not inside:
            break
        reached |= inside
        if (
            isinstance(module, nn.Conv2d)
            and module.out_channels == num_filters
            and not {"downsample", "shortcut"} & set(name.split("."))
        ):
            found = module
    return found
