"""Settings under a name: the papers' recipes, and ours where the papers are silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from filterscope.core.names import unknown_name

_VOC: dict[str, Any] = {
    "data": "voc-animals",
    "model": "resnet152",
    "image_size": 128,
    "method": "gated",
    "epochs": 150,
    "batch_size": 32,
    "optimizer": "adam",
    "lr": 1e-5,
    "weight_decay": 0.0,
    "schedule": "multistep",
    "clock": "own",
    "warmup": 10,
    "period": 3,
    "density_bound": 0.2,
    "gate_lr": 1e-3,
    "freeze": ("conv1", "bn1", "layer1", "layer2"),
}
_VOC_GATED: dict[str, Any] = {"gated_lr": 1e-3, "gated_freeze": ("layer3",)}

# Part templates: what the authors' code says of training; their text is silent.
_ICNN: dict[str, Any] = {
    "data": "part-folder:voc-parts/bird",
    "model": "vgg16_parts",
    "method": "parts",
    "epochs": 50,
    "batch_size": 32,
    "lr": 1e-4,
    "optimizer": "sgd",
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "bias_rate": 2.0,
    "bias_decay": False,
    "schedule": "logspace",
    "decay_epochs": 10,
    "category_factors": "official",
    "test_fraction": 0.1,
}
_ICNN_OFFICIAL: dict[str, Any] = {
    "space": "normalized",
    "beta": 2.0,
    "learn_beta": True,
    "mu": "centroid",
    "second_mask": "after_pool",
    "filter_statistic": "peak",
    "filter_loss": "official",
    "filter_weight": 1e-6,
    "filter_schedule": "inverse",
}
_ICNN_MODELS: dict[str, dict[str, Any]] = {
    "alexnet_parts": {"batch_size": 512, "lr": 3e-3, "image_size": 227},
    "vgg_m_parts": {"batch_size": 196, "lr": 3e-3},
    "vgg_s_parts": {"batch_size": 128, "lr": 1e-3},
}


@dataclass(frozen=True)
class Preset:
    """Settings under a name.

    Attributes:
        summary: Where the settings come from, in a line.
        common: Settings of both methods.
        standard: Settings of the standard baseline alone.
        gated: Settings of gated training alone.
        models: Settings of other architectures than the preset's own.
    """

    summary: str
    common: Mapping[str, Any]
    standard: Mapping[str, Any] = field(default_factory=dict)
    gated: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings(self, method: str | None = None, model: str | None = None) -> dict[str, Any]:
        """The settings of one method and architecture, as `TrainSettings` takes them."""
        method = method or self.common.get("method", "standard")
        model = model or self.common["model"]
        own = {"standard": self.standard, "gated": self.gated}.get(method, {})
        return {
            **self.common,
            **self.models.get(model, {}),
            "method": method,
            "model": model,
            **own,
        }


PRESETS: dict[str, Preset] = {
    "csg-digits": Preset(
        "ResNet-20 on scikit-learn's digits at 16 x 16; what `filterscope demo` trains (ours)",
        {
            "data": "digits",
            "model": "resnet20",
            "method": "gated",
            "epochs": 30,
            "batch_size": 64,
            "lr": 0.1,
            "scheme": "joint",
            "warmup": 6,
            "gate_lr": 0.1,
            "lambda1": 3.0,
            "lambda2": 1e-2,
            "gated_freeze": ("head",),
        },
    ),
    "csg-cifar": Preset(
        "ResNet-20 on CIFAR-10: optimizer and length as printed, the gate's settings by our trials",
        {
            "data": "cifar10",
            "model": "resnet20",
            "method": "gated",
            "scheme": "joint",
            "epochs": 200,
            "batch_size": 256,
            "lr": 0.1,
            "warmup": 10,
            "lambda2": 1e-2,
            "gated_freeze": ("head",),
        },
    ),
    "csg-imagenet": Preset(
        "ResNet-18 on ImageNet: 120 epochs, density bound 0.1 (the paper; batch 256 assumed)",
        {
            "data": "imagenet",
            "model": "resnet18",
            "method": "gated",
            "epochs": 120,
            "batch_size": 256,
            "lr": 0.1,
            "schedule": "multistep",
            "warmup": 10,
            "period": 3,
            "gated_epochs": 1,
            "lambda2": 1e-3,
            "density_bound": 0.1,
            "workers": 8,
        },
    ),
    "csg-voc-paper": Preset(
        "ResNet-152 on PASCAL VOC animals as printed: 2 gated epochs in 3, equal freezing",
        {**_VOC, "gated_epochs": 2},
        gated=_VOC_GATED,
    ),
    "csg-voc-official": Preset(
        "ResNet-152 on PASCAL VOC animals as the authors' script: 1 gated epoch in 3; its "
        "baseline trains one stage more (layer2), which favours the baseline",
        {**_VOC, "gated_epochs": 1},
        standard={"freeze": ("conv1", "bn1", "layer1")},
        gated=_VOC_GATED,
    ),
    "icnn-small": Preset(
        "ResNet-20 on one animal at 48 x 48 from scratch, minutes on two cores (ours): centroids "
        "and the surrogate loss of the authors' code, slopes fixed so that every template fits",
        {
            "data": "part-folder:animal_parts/dog",
            "model": "resnet20",
            "method": "parts",
            "image_size": 48,
            "repeat": False,
            "epochs": 25,
            "batch_size": 32,
            "lr": 0.05,
            "weight_decay": 5e-4,
            "mu": "centroid",
            "filter_loss": "official",
            "filter_weight": 1e-6,
            "filter_schedule": "inverse",
        },
        models={"alexnet_cifar": {"lr": 0.02, "epochs": 15}},
    ),
    "icnn-paper": Preset(
        "Interpretable CNN of one category as printed: L1 templates of slope 4 at the largest "
        "unit, second mask before the pool; rates and batches of the code",
        {
            **_ICNN,
            "space": "index",
            "beta": 4.0,
            "mu": "argmax",
            "second_mask": "before_pool",
            "filter_statistic": "sum",
            "filter_loss": "paper",
            "filter_schedule": "magnitude",
        },
        models=_ICNN_MODELS,
    ),
    "icnn-official": Preset(
        "Interpretable CNN of one category as the authors' code: learned slopes, centroids, its "
        "surrogate loss of weight 1e-6 / epoch",
        {**_ICNN, **_ICNN_OFFICIAL},
        models=_ICNN_MODELS,
    ),
    "icnn-official-multi": Preset(
        "The same for several categories: 80 epochs, rates times their number, logistic loss",
        {
            **_ICNN,
            **_ICNN_OFFICIAL,
            "data": "part-folder:voc-parts",
            "task_loss": "logistic",
            "epochs": 80,
            "decay_epochs": 80,
        },
        models=_ICNN_MODELS,
    ),
}


def preset(name: str, method: str | None = None, model: str | None = None) -> dict[str, Any]:
    """Look up a preset's settings.

    Args:
        name: As in ``filterscope list presets``.
        method: "standard" gives the baseline of the same recipe; None the preset's own method.
        model: Another architecture, whose batches and rates may differ; None the preset's own.

    Returns:
        Settings by name, for ``TrainSettings(**...)``.

    Raises:
        ValueError: An unknown name, with the near ones.

    Examples:
        >>> preset("csg-digits")["scheme"]
        'joint'
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, "filterscope list presets")
    return PRESETS[name].settings(method, model)
