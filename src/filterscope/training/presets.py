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


@dataclass(frozen=True)
class Preset:
    """Settings under a name.

    Attributes:
        summary: Where the settings come from, in a line.
        common: Settings of both methods.
        standard: Settings of the standard baseline alone.
        gated: Settings of gated training alone.
    """

    summary: str
    common: Mapping[str, Any]
    standard: Mapping[str, Any] = field(default_factory=dict)
    gated: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, method: str | None = None) -> dict[str, Any]:
        """The settings of one method, as `TrainSettings` takes them."""
        method = method or self.common.get("method", "standard")
        own = self.gated if method == "gated" else self.standard
        return {**self.common, "method": method, **own}


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
}


def preset(name: str, method: str | None = None) -> dict[str, Any]:
    """Look up a preset's settings.

    Args:
        name: As in ``filterscope list presets``.
        method: "standard" gives the baseline of the same recipe; None the preset's own method.

    Returns:
        Settings by name, for ``TrainSettings(**...)``.

    Raises:
        ValueError: An unknown name, with the near ones.

    Example:
        >>> preset("csg-digits")["scheme"]
        'joint'
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, "filterscope list presets")
    return PRESETS[name].settings(method)
