"""Which filters made a run say this about an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from filterscope.core.answers import class_probabilities, class_scores
from filterscope.core.contexts import evaluating, forward_hook, pool_features
from filterscope.core.heads import linear_head
from filterscope.core.layers import find_layer
from filterscope.data.image_files import image_files
from filterscope.evaluation.explanation import Explanation, FilterContribution, Pictures, Without
from filterscope.evaluation.removal import removing_filters
from filterscope.metrics import functional
from filterscope.runs import Run


def explain_images(
    run: Run, paths: Sequence[str | Path], top_filters: int = 5, top_classes: int = 3
) -> list[Explanation]:
    """Explain a run's predictions on its standard path.

    Args:
        run: Of `load_run`.
        paths: Image files, and folders that are searched for them.
        top_filters: Filters to name for each image.
        top_classes: Classes to name for each image.

    Returns:
        One explanation an image; an unreadable image has one with its `error`.

    Raises:
        FileNotFoundError: A path that does not exist, or a folder without images.
        ValueError: A number below 1.
    """
    for name, number in (("top_filters", top_filters), ("top_classes", top_classes)):
        if number < 1:
            raise ValueError(f"`{name}` must be at least 1, got {number}")
    owners = filter_owners(run)
    explanations = []
    for path in image_files([Path(path) for path in paths]):
        try:
            pixels = run.transform(path)
        except ValueError as error:
            explanations.append(Explanation(path, error=str(error).removeprefix(f"{path} is ")))
            continue
        explanations.append(_explain(run, path, pixels, owners, top_filters, top_classes))
    return explanations


def _explain(
    run: Run,
    path: Path,
    pixels: Tensor,
    owners: list[tuple[str, ...]],
    top_filters: int,
    top_classes: int,
) -> Explanation:
    answer = _answer(run, pixels[None])
    shares = answer.probabilities
    order = torch.argsort(shares, descending=True, stable=True)[:top_classes].tolist()
    best = torch.argsort(answer.contributions, descending=True, stable=True)[:top_filters].tolist()
    removals = _removals(run, order[0], best, len(answer.contributions))
    return Explanation(
        image=path,
        probabilities=tuple((run.classes[c], float(shares[c])) for c in order),
        logit=float(answer.logits[order[0]]),
        filters=tuple(
            FilterContribution(
                k,
                float(answer.contributions[k]),
                float(answer.activations[k]),
                owners[k] if owners else (),
            )
            for k in best
        ),
        without=_without(run, pixels[None], order[0], removals),
        pictures=_pictures(run, pixels, answer, best),
    )


@dataclass(frozen=True)
class _Answer:
    """One forward and one backward pass.

    Attributes:
        logits: Score of each class, (C,); half the logit and its negative for a single one.
        probabilities: (C,).
        contributions: Of each filter to the largest logit, (K,).
        activations: Pooled features, (K,).
        maps: Output of the studied layer, (K, ...).
        evidence: Contributions before they are summed over positions, (K, ...).
    """

    logits: Tensor
    probabilities: Tensor
    contributions: Tensor
    activations: Tensor
    maps: Tensor
    evidence: Tensor


def _answer(run: Run, images: Tensor) -> _Answer:
    seen: list[Tensor] = []

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output)
        return output.clone()  # a later in-place operation must not rewrite what is kept

    model = run.classifier
    layer = find_layer(model, run.layer)[1]
    with (
        torch.inference_mode(False),
        evaluating(model, grad=True),
        forward_hook(layer, hook),
    ):
        # a gradient path must exist even where every parameter is frozen
        output = model(images.clone().requires_grad_())
        logits = class_scores(output)[0]
        features = seen[0]
        (gradient,) = torch.autograd.grad(logits.max(), features)
    evidence = (features * gradient).detach()[0]
    features = features.detach()
    return _Answer(
        logits=logits.detach(),
        probabilities=class_probabilities(output.detach(), run.task_loss)[0],
        contributions=evidence.flatten(1).sum(1) if evidence.dim() > 1 else evidence,
        activations=pool_features(features, run.activation)[0],
        maps=features[0],
        evidence=evidence,
    )


def _removals(run: Run, predicted: int, best: Sequence[int], num_filters: int) -> dict[str, Tensor]:
    """In words, which filters are taken away, (K,) bool each."""
    name = run.classes[predicted]
    arrays = run.arrays or {}
    named = torch.zeros(num_filters, dtype=torch.bool)
    named[list(best)] = True
    removals = {"the filters shown": named}
    if run.gate is not None:
        opened = functional.gate_filters(run.gate.matrix.detach().cpu(), [predicted])
        removals[f"the gate's filters of {name}"] = opened
    elif "mean_features" in arrays and np.isfinite(arrays["mean_features"][predicted]).all():
        means = torch.from_numpy(arrays["mean_features"])
        strongest = functional.strongest_filters(means, [predicted])
        removals[f"the filters strongest on {name}"] = strongest
    return removals


def _without(
    run: Run, images: Tensor, predicted: int, removals: Mapping[str, Tensor]
) -> tuple[Without, ...]:
    """The answers with filters taken away, from one forward pass of the trunk."""
    removed = torch.stack(list(removals.values()))
    layer = find_layer(run.classifier, run.layer)[1]
    with evaluating(run.classifier), removing_filters(layer, removed):
        shares = class_probabilities(run.classifier(images), run.task_loss)
    return tuple(
        Without(
            removed=name,
            num_filters=int(filters.sum()),
            probability=float(share[predicted]),
            prediction=run.classes[int(share.argmax())],
            new_probability=float(share.max()),
        )
        for (name, filters), share in zip(removals.items(), shares, strict=True)
    )


def _pictures(run: Run, pixels: Tensor, answer: _Answer, best: Sequence[int]) -> Pictures | None:
    if answer.maps.dim() != 3:
        return None
    image = run.transform.denormalize(pixels[None])[0]
    rectified = answer.maps if run.activation is None else run.activation(answer.maps)
    cam = None
    if linear_head(run.classifier, find_layer(run.classifier, run.layer)[1]) is not None:
        # the gradient of a pooled linear head is its weight over the number of positions
        cam = _enlarged(answer.evidence.sum(0)[None] * answer.maps[0].numel(), image)[0]
    return Pictures(
        image=(image * 255).round().byte().permute(1, 2, 0).numpy(),
        filter_maps=_enlarged(rectified[list(best)], image),
        cam=cam,
    )


def _enlarged(maps: Tensor, image: Tensor) -> np.ndarray:
    size = image.shape[-2:]
    scaled = F.interpolate(maps[None], size=size, mode="bilinear", align_corners=False)
    return np.asarray(scaled[0].numpy())


def filter_owners(run: Run) -> list[tuple[str, ...]]:
    """For each filter the classes it stands for, by the gate, else by the MI matrix."""
    if run.gate is not None:
        is_open = run.gate.matrix.detach().cpu().numpy() > 0.5
    elif run.arrays is not None:
        mi = run.arrays["mi"]
        is_open = mi == np.maximum(mi.max(axis=0), 1e-12)
    else:
        return []
    return [
        tuple(run.classes[c] for c in np.flatnonzero(column)) for column in np.asarray(is_open).T
    ]
