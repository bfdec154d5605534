"""What makes two runs the same experiment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

# Settings that change where and how a run computes and what it notes, not what it trains.
_CIRCUMSTANCES = frozenset(
    {
        "device", "devices", "workers", "compile", "data_root", "download", "max_unreadable",
        "gradient_norms",
        "tensorboard",
    }
)  # fmt: skip

# Settings that standard training does not look at.
_GATE_ONLY = frozenset(
    {
        "scheme", "warmup", "period", "gated_epochs", "lambda1", "lambda2", "psi",
        "density_bound", "fixed_gate", "gate_lr", "gated_lr", "gated_freeze", "clock",
    }
)  # fmt: skip

# Settings that training without part templates does not look at.
_PARTS_ONLY = frozenset(
    {
        "template", "space", "beta", "gamma", "mu", "learn_beta", "beta_rate", "mask_layers",
        "second_mask", "filter_statistic", "filter_loss", "filter_weight", "filter_schedule",
    }
)  # fmt: skip

# Settings that came later, with the values that mean what was done before they were there: runs
# with and without them are the same experiment.
_CAME_LATER = {
    "repeat": True,
    "official_leaky_split": False,
    "task_loss": None,
    "category_factors": "none",
    "decay_epochs": None,
    "bias_rate": 1.0,
    "bias_decay": True,
}


def defining_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the settings that decide what is trained, all but the seed.

    Args:
        config: Every setting of a run by name, as in ``config.yaml``.

    Returns:
        Two runs with equal ones are two seeds of one experiment.

    Examples:
        >>> defining_settings({"method": "standard", "lambda1": 3, "seed": 1, "epochs": 2})
        {'method': 'standard', 'epochs': 2}
    """
    method = str(config.get("method"))
    left_out = _CIRCUMSTANCES | {"seed"}
    left_out |= frozenset(n for n, value in _CAME_LATER.items() if config.get(n) == value)
    if "gated" not in method:
        left_out |= _GATE_ONLY
    if "parts" not in method:
        left_out |= _PARTS_ONLY
    return {name: value for name, value in config.items() if name not in left_out}


def settings_digest(config: Mapping[str, Any]) -> str:
    """Eight hexadecimal digits of the defining settings, to tell folders apart."""
    text = json.dumps(defining_settings(config), sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def run_name(config: Mapping[str, Any]) -> str:
    """Name a run after its data, architecture and method, fit for a folder.

    Examples:
        >>> run_name({"data": "folder:my/photos", "model": "timm:resnet18", "method": "gated"})
        'photos-timm-resnet18-gated'
    """
    data = str(config["data"]).rsplit(":", 1)[-1].rstrip("/").rsplit("/", 1)[-1]
    model = str(config["model"]).replace(":", "-").replace("/", "-")
    return f"{data}-{model}-{config['method']}"
