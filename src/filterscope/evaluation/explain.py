"""Which filters made a run say this about an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from filterscope.core.contexts import evaluating, forward_hook, pool_features
from filterscope.core.layers import find_layer
from filterscope.data.decode import EXTENSIONS
from filterscope.runs import Run

COLUMNS = (
    "image",
    "prediction",
    "probability",
    "rank",
    "filter",
    "contribution",
    "activation",
    "filter_class",
    "error",
)


@dataclass(frozen=True)
class FilterContribution:
    """One filter's part in a logit.

    Attributes:
        index: Number of the filter, from 0.
        contribution: Sum over positions of activation times the gradient of the predicted logit;
            for a head of global average pooling and one linear layer exactly the filter's
            summand of the logit.
        activation: Pooled activation.
        classes: Names of the classes that the gate opens the filter for; without a gate the
            class of its largest MI; empty where neither is known.
    """

    index: int
    contribution: float
    activation: float
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """A run's answer about an image.

    Attributes:
        image: The file.
        probabilities: The most probable classes with their probabilities, in falling order.
        logit: Of the most probable class.
        filters: The filters with the largest contributions to that logit, in falling order.
        error: Why the image was not readable; None else.
    """

    image: Path
    probabilities: tuple[tuple[str, float], ...] = ()
    logit: float = float("nan")
    filters: tuple[FilterContribution, ...] = ()
    error: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the cells of `rows`."""
        return COLUMNS

    def rows(self) -> list[tuple[Any, ...]]:
        """One row a filter, for tables; one with the reason where the image was not readable."""
        if self.error is not None:
            return [(str(self.image), *[""] * 7, self.error)]
        name, probability = self.probabilities[0]
        return [
            (str(self.image), name, f"{probability:.6g}", rank, part.index,
             f"{part.contribution:.6g}", f"{part.activation:.6g}", "|".join(part.classes), "")
            for rank, part in enumerate(self.filters, start=1)
        ]  # fmt: skip

    def __str__(self) -> str:
        if self.error is not None:
            return f"{self.image}: {self.error}"
        answers = "  ".join(f"{name} {share:.1%}" for name, share in self.probabilities)
        lines = [f"{self.image}", f"  {answers}"]
        for part in self.filters:
            known = f"  ({', '.join(part.classes)})" if part.classes else ""
            lines.append(
                f"  filter {part.index:>4}  {part.contribution:+8.3f} of logit "
                f"{self.logit:.3f}{known}"
            )
        return "\n".join(lines)


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
    owners = _filter_owners(run)
    explanations = []
    for path in _image_files([Path(path) for path in paths]):
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
    logits, contributions, activations = _contributions(run, pixels[None])
    shares = logits.softmax(0)
    order = torch.argsort(shares, descending=True, stable=True)[:top_classes].tolist()
    best = torch.argsort(contributions, descending=True, stable=True)[:top_filters].tolist()
    return Explanation(
        image=path,
        probabilities=tuple((run.classes[c], float(shares[c])) for c in order),
        logit=float(logits[order[0]]),
        filters=tuple(
            FilterContribution(
                k,
                float(contributions[k]),
                float(activations[k]),
                owners[k] if owners else (),
            )
            for k in best
        ),
    )


def _contributions(run: Run, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (C,), contribution of each filter to the largest (K,), and pooled features (K,)."""
    seen: list[Tensor] = []

    def hook(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        seen.append(output)
        return output.clone()  # a later in-place operation must not rewrite what is kept

    model = run.classifier
    layer = find_layer(model, run.layer)[1]
    # a gradient path must exist even where every parameter is frozen
    images = images.requires_grad_()
    with evaluating(model, grad=True), forward_hook(layer, hook):
        logits = model(images)[0]
        features = seen[0]
        (gradient,) = torch.autograd.grad(logits.max(), features)
    products = (features * gradient).detach()[0]
    contributions = products.flatten(1).sum(1) if products.dim() > 1 else products
    return logits.detach(), contributions, pool_features(features.detach(), run.activation)[0]


def _filter_owners(run: Run) -> list[tuple[str, ...]]:
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


def _image_files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist; expected an image or a folder of them")
        if path.is_file():
            yield path
            continue
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not found:
            raise FileNotFoundError(f"{path} holds no image ({', '.join(EXTENSIONS)})")
        yield from found
