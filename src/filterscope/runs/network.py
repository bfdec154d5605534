"""A trained network from anywhere, with what it needs to look at an image file."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.answers import TaskLoss, class_rows
from filterscope.core.brief import Brief
from filterscope.data import Transform
from filterscope.data.labels import imagenet_classes, read_classes
from filterscope.runs.load import load_run
from filterscope.runs.weighted import Weighted, check_name, from_file, published, randomly

# Their published weights want the normalisation that they were first trained with; torchvision
# turns ImageNet's into it inside the network.
_TRANSFORM_INPUT = ("inception_v3", "googlenet")


@dataclass(frozen=True, repr=False)
class Network(Brief):
    """A network that is ready to look at images.

    Attributes:
        name: For titles: the architecture's, or the run folder's.
        model: The classifier in eval mode, on CPU, its parameters without gradients; of a gated
            run the standard path; of a run with a single logit with a score for each class.
        classes: Class names in the order of the logits.
        transform: Turns an image (file or PIL) into the network's input.
        source: Where its weights come from, in words.
        task_loss: What the scores were trained with, which decides what probability they stand
            for, see `filterscope.core.answers.class_probabilities`; of an architecture "softmax".
    """

    name: str
    model: nn.Module
    classes: tuple[str, ...]
    transform: Transform
    source: str
    task_loss: TaskLoss = "softmax"


def load_network(
    run: str | Path | None = None,
    model: str | None = None,
    weights: str | Path | None = None,
    *,
    pretrained: str | None = None,
    random_weights: bool = False,
    seed: int = 0,
    classes: str | Path | None = None,
    image_size: int | None = None,
    resize: int | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
) -> Network:
    """Load a run, or an architecture with weights from a file or from its publisher.

    Args:
        run: A run folder; with its own classes and transform.
        model: Or an architecture of ``filterscope list models`` (``timm:NAME`` for timm's).
        weights: Its weights, see `load_weights`; the file tells the number of classes.
        pretrained: Or the publisher's weights, downloaded unless they lie in its cache: "default"
            for those it recommends, or the name of a set such as "IMAGENET1K_V1" (torchvision).
        random_weights: Or random weights, on purpose; for 1000 classes, 10 for the CIFAR networks,
            or as many as `classes` has.
        seed: Of random weights.
        classes: Text file with class names, one a line. Default: the run's; ImageNet's for 1000
            classes; numbers else.
        image_size: Side of the network's input. Default: the publisher's (224, Inception 299), 32
            for the CIFAR networks.
        resize: Shorter side before the central square is cut. Default: in the publisher's ratio
            to `image_size` (256 to 224, 342 to 299); none is cut off for the CIFAR networks.
        mean: Of each channel, in [0, 1]. Default: the publisher's, mostly ImageNet's.
        std: Of each channel.

    Returns:
        The network, in eval mode on CPU.

    Raises:
        FileNotFoundError: No such run, weights or classes.
        ValueError: Both or neither of `run` and `model`, not exactly one source of weights, a
            transform for a run, weights or classes that do not fit, an unknown name.
        ConnectionError: Published weights that could not be fetched.
        ModuleNotFoundError: A timm name without timm.

    Examples:
        >>> network = load_network(model="resnet20", random_weights=True)
        >>> len(network.classes), network.transform.image_size
        (10, 32)
    """
    given = {"image_size": image_size, "resize": resize, "mean": mean, "std": std}
    changed = {name: value for name, value in given.items() if value is not None}
    sources = {"weights": weights, "pretrained": pretrained, "random_weights": random_weights}
    named = [name for name, value in sources.items() if value]
    if (run is None) == (model is None):
        raise ValueError("give either `run`, a run folder, or `model`, an architecture")
    names = None if classes is None else read_classes(classes)
    if run is not None:
        if named or changed:
            raise ValueError(f"`{[*named, *changed][0]}` does not go with `run`, which has its own")
        return _network_of_run(run, names)
    assert model is not None
    seeded = (None if names is None else len(names), seed)
    return _network_of_model(model, _weighted(model, sources, seeded), names, changed)


def _weighted(name: str, sources: dict[str, Any], seeded: tuple[int | None, int]) -> Weighted:
    """The architecture with weights from the one source that was named."""
    check_name(name)  # told before what else is missing
    named = [source for source, value in sources.items() if value]
    if len(named) != 1:
        raise ValueError(
            "`model` needs its weights from one place: `weights` (a file), `pretrained` (default, "
            f"or a set's name), or `random_weights`; got {', '.join(named) or 'none'}"
        )
    with torch.random.fork_rng(devices=[]):  # the global generator is the caller's
        if named == ["weights"]:
            return from_file(name, sources["weights"])
        if named == ["pretrained"]:
            return published(name, sources["pretrained"])
        return randomly(name, *seeded)


def _network_of_model(
    name: str, found: Weighted, names: tuple[str, ...] | None, changed: dict[str, Any]
) -> Network:
    transform = _changed(found.transform, changed)
    if found.is_trained and name in _TRANSFORM_INPUT:
        _set_input_transform(found.model, name, by_hand=bool({"mean", "std"} & changed.keys()))
    return Network(
        name=name,
        model=found.model.eval().requires_grad_(False),
        classes=_class_names(names, _num_classes(found.model, transform)),
        transform=transform,
        source=found.source,
    )


def _network_of_run(path: str | Path, names: tuple[str, ...] | None) -> Network:
    run = load_run(path)
    if names is not None and len(names) != len(run.classes):
        raise ValueError(f"`classes` names {len(names)} classes, the run has {len(run.classes)}")
    model: nn.Module = run.parts or run.classifier
    if run.described.get("num_logits") == 1:
        # one score a class: half the logit, and its negative for "not it"
        pair = nn.Linear(1, 2, bias=False)
        pair.weight.data = class_rows(torch.ones(1, 1))
        model = nn.Sequential(model, pair)
    return Network(
        name=run.label,
        model=model.eval().requires_grad_(False),
        classes=names or run.classes,
        transform=run.transform,
        source=f"run {run.path}",
        # the pair of a single logit is read by softmax, which gives the logistic's probability
        task_loss="softmax" if run.described.get("num_logits") == 1 else run.task_loss,
    )


def _changed(transform: Transform, changed: dict[str, Any]) -> Transform:
    """Put in what the user asked for; the cut keeps its share where only its size is asked."""
    size = changed.get("image_size")
    if size is not None and "resize" not in changed and transform.resize is not None:
        changed = {**changed, "resize": round(size * transform.resize / transform.image_size)}
    return replace(transform, **changed)


def _set_input_transform(network: Any, name: str, *, by_hand: bool) -> None:
    """Read an architecture's weights as torchvision reads its own."""
    network.transform_input = not by_hand
    if not by_hand:
        warnings.warn(
            f"{name} turns ImageNet's normalisation into the one it was first trained with "
            "(transform_input), as torchvision's published weights want it; a `mean` and `std` of "
            "your own turn this off",
            stacklevel=3,
        )


@torch.no_grad()
def _num_classes(network: nn.Module, transform: Transform) -> int:
    """Width of the output, which also shows that the network takes images of this size."""
    side = transform.image_size
    try:
        logits = network.eval()(torch.zeros(1, 3, side, side))
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise ValueError(f"the network takes no images of {side} pixels: {first}") from error
    if not isinstance(logits, Tensor) or logits.dim() != 2:
        given = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the network must give logits (1, C), got {given}")
    return int(logits.shape[1])


def _class_names(names: tuple[str, ...] | None, num_classes: int) -> tuple[str, ...]:
    if names is not None:
        if len(names) != num_classes:
            raise ValueError(f"`classes` names {len(names)} classes, the network has {num_classes}")
        return names
    if num_classes == 1000:
        return imagenet_classes()
    return tuple(f"class {label}" for label in range(num_classes))
