"""How the networks of a study are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from filterscope.core.names import unknown_name
from filterscope.models import model_info
from filterscope.studies.settings import StudySettings
from filterscope.training import TrainSettings, preset

# The recipe of a data set; any other has CIFAR's.
_RECIPES = {"digits": "csg-digits", "imagenet": "csg-imagenet", "voc-animals": "csg-voc-official"}
_OTHER = "csg-cifar"
# Of data with landmarks, by the study's preset.
_PART_RECIPES = {"paper": "icnn-official", "quick": "icnn-small", "smoke": "icnn-small"}

# Shorter recipes. Every side of a study has the same images, length and seeds.
_QUICK: dict[str, dict[str, Any]] = {
    "csg-digits": {},
    "csg-cifar": {"limit": 5000, "limit_test": 2000, "epochs": 20, "batch_size": 128, "warmup": 4},
    "csg-voc-official": {
        "model": "resnet18", "limit": 1000, "limit_test": 400, "epochs": 15, "warmup": 3,
        "lr": 1e-3, "gated_lr": None, "gated_freeze": (), "freeze": (),
    },
    "csg-imagenet": {"limit": 5000, "limit_test": 2000, "epochs": 5, "warmup": 1},
    "icnn-small": {},
}  # fmt: skip
# What our presets changed, as the paper has it.
_PAPER: dict[str, dict[str, Any]] = {
    "csg-cifar": {
        "scheme": "alternate", "period": 3, "gated_epochs": 1, "lambda2": 1e-3, "gated_freeze": (),
    },
}  # fmt: skip
_SMOKE = {"limit": 320, "limit_test": 60, "epochs": 6, "warmup": 2, "batch_size": 32}
_SMOKE_PARTS = {**_SMOKE, "limit": 160, "epochs": 3, "image_size": 16}

_PARTS = {"method": "parts"}
_UNIFORM = {**_PARTS, "learn_beta": False}  # as published; there is no slope to learn
_GATED = {"method": "gated"}
# As the paper says: the gated path trains the head, too, which our presets leave to the other path.
_PAPERS = {**_GATED, "gated_freeze": ()}
_ALTERNATE = {**_PAPERS, "scheme": "alternate", "period": 3}
_JOINT = {**_PAPERS, "scheme": "joint"}
_HEAD_KEPT = {**_JOINT, "gated_freeze": ("head",)}
SIDES: dict[str, Mapping[str, Any]] = {
    "standard": {"method": "standard"},
    "gated": _GATED,
    "fixed": {**_PAPERS, "lambda2": 0.0, "fixed_gate": "by size"},
    "alternate 1 in 3": {**_ALTERNATE, "gated_epochs": 1},
    "alternate 2 in 3": {**_ALTERNATE, "gated_epochs": 2},
    "joint, lambda1 0.3": {**_JOINT, "lambda1": 0.3},
    "joint, lambda1 1": {**_JOINT, "lambda1": 1.0},
    "joint, lambda1 3": {**_JOINT, "lambda1": 3.0},
    "joint, lambda1 1, head kept": {**_HEAD_KEPT, "lambda1": 1.0},
    "joint, lambda1 3, head kept": {**_HEAD_KEPT, "lambda1": 3.0},
    "L1": {**_PARTS, "template": "l1"},
    "L2": {**_PARTS, "template": "l2"},
    "uniform L1": {**_UNIFORM, "template": "uniform_l1"},
    "uniform L2": {**_UNIFORM, "template": "uniform_l2"},
    "uniform L1, index space": {**_UNIFORM, "template": "uniform_l1", "space": "index"},
    "uniform L2, index space": {**_UNIFORM, "template": "uniform_l2", "space": "index"},
    "L1, mask alone": {**_PARTS, "template": "l1", "filter_weight": 0.0},
    "L1, filter loss x 100": {**_PARTS, "template": "l1", "filter_weight": 1e-4},
    "L1, at the largest unit": {**_PARTS, "template": "l1", "mu": "argmax"},
}
"""What sets each side of a study apart; the rest of its settings is its recipe's."""

# Networks without the shortcuts of a ResNet do not learn at its rate.
_SGD_RATES = {"alexnet": 0.01, "alexnet_cifar": 0.01, "squeezenet1_0": 0.01, "vgg16": 0.01}

_SEEDS = {"paper": 3, "quick": 3, "smoke": 1}


def study_seeds(settings: StudySettings, least: int = 1) -> tuple[int, ...]:
    """The training seeds of a study: 0, 1, ..."""
    chosen = settings.seeds or _SEEDS[settings.preset]
    if settings.seeds is None and settings.preset != "smoke":
        chosen = max(chosen, least)
    return tuple(range(chosen))


def training_settings(
    settings: StudySettings,
    side: str,
    seed: int,
    *,
    data: str,
    num_classes: int,
    model: str | None = None,
    shorter: Mapping[str, Any] | None = None,
    longer: Mapping[str, Any] | None = None,
) -> TrainSettings:
    """Settings of one training run of a study.

    Args:
        settings: Of the study.
        side: One of `SIDES`.
        seed: Of the run.
        data: Of `study_data`.
        num_classes: C, for the size of a fixed gate.
        model: Architecture, where the study names one.
        shorter: What the study changes in the recipe where it is not the paper's.
        longer: What it changes in the preset paper.

    Raises:
        ValueError: An unknown side, or settings out of their range.

    Examples:
        >>> smoke = StudySettings("smoke")
        >>> made = training_settings(smoke, "fixed", 0, data="digits", num_classes=10)
        >>> made.fixed_gate, made.epochs
        ((6, 4), 6)
    """
    if side not in SIDES:
        raise unknown_name("side", side, SIDES)
    recipe = _recipe(settings, data)
    own = dict(SIDES[side])
    method = str(own["method"])
    values = {**preset(recipe, method, model or settings.model), "data": data}
    if settings.preset == "paper":
        values |= {**_PAPER.get(recipe, {}), **(longer or {})}
    elif settings.preset == "quick":
        values |= {**_QUICK[recipe], **(shorter or {})}
    elif settings.preset == "smoke":
        values |= {**(shorter or {}), **(_SMOKE if recipe.startswith("csg") else _SMOKE_PARTS)}
    values |= own
    values |= {"model": model} if model else {}
    values |= {name: getattr(settings, name) for name in settings.overridden}
    plain = recipe.startswith("csg") and values.get("optimizer", "sgd") == "sgd"
    if plain and values["model"] in _SGD_RATES:
        values["lr"] = _SGD_RATES[values["model"]]
    for name in ("data_root", "precision", "device", "devices", "workers", "download"):
        values[name] = getattr(settings, name)
    values["gradient_norms"] = method != "standard"
    values["warmup"] = min(values.get("warmup", 0), values["epochs"] - 1)
    if values.get("fixed_gate") == "by size":
        values["fixed_gate"] = _fixed_gate_size(values["model"], num_classes)
    return TrainSettings(**{**values, "seed": seed})


def _recipe(settings: StudySettings, data: str) -> str:
    if data == "digit-parts" or data.startswith("part-folder:"):
        return _PART_RECIPES[settings.preset]
    return _RECIPES.get(data, _OTHER)


def study_data(settings: StudySettings, paper_data: str, embedded: str = "digits") -> str:
    """Name the data of a study: what was asked for, else the paper's, else what is always there."""
    return settings.data or (paper_data if settings.preset == "paper" else embedded)


def _fixed_gate_size(model: str, num_classes: int) -> tuple[int, int]:
    """As many filters a class as there are, the rest shared: 6 and 4 of 64, 25 and 6 of 256."""
    point = model_info(model).gate_point
    if point is None:
        raise ValueError(f"the number of filters of {model} is not known; take another model")
    own = point.num_filters // num_classes
    if own < 1:
        raise ValueError(
            f"{model} has {point.num_filters} filters, fewer than {num_classes} classes: no fixed "
            "gate can give each class one"
        )
    return own, point.num_filters - own * num_classes
