"""Attacks by name, and the settings that libraries made common."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any

from torch import Tensor, nn

from filterscope.attacks.result import Attacked
from filterscope.core.names import unknown_name

# modules are imported on first use: only those along the gradient need foolbox
_ATTACKS = {
    "cw": ("adapter", "cw"),
    "fgsm": ("adapter", "fgsm"),
    "local-search": ("local_search", "local_search"),
    "one-pixel-de": ("differential_evolution", "one_pixel_evolution"),
    "pgd": ("adapter", "pgd"),
    "single-pixel": ("single_pixel", "single_pixel"),
}
_COMMON = ("model", "images", "labels", "normalize", "targets", "seed")

_SEARCH = {"factor": 1.5, "half_side": 5, "pixels_per_round": 5, "rank": 1, "start_share": 0.1}
ATTACK_PRESETS: Mapping[str, Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "foolbox": {
            "single-pixel": {"max_pixels": 1000},
            "local-search": {**_SEARCH, "probe": 10.0, "rounds": 150, "max_candidates": 128},
        },
        "advertorch": {
            "single-pixel": {"max_pixels": 100},
            "local-search": {**_SEARCH, "probe": 1.0, "rounds": 10, "max_candidates": 128},
        },
    }
)
"""Settings of the black-box attacks in foolbox 1 and 2 and in AdverTorch, for each attack.

The numbers are theirs, the algorithm is the same for both: AdverTorch's code also cuts tested
images to [0, 1], takes them as results, and starts every round at the clean image.
"""


def list_attacks() -> list[str]:
    """List the names that `attack` takes.

    Examples:
        >>> list_attacks()
        ['cw', 'fgsm', 'local-search', 'one-pixel-de', 'pgd', 'single-pixel']
    """
    return sorted(_ATTACKS)


def attack(
    name: str,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Callable[[Tensor], Tensor] | None = None,
    targets: Tensor | None = None,
    seed: int = 0,
    preset: str | None = None,
    **settings: Any,
) -> Attacked:
    """Change images so that a network errs.

    Images that the network misclassifies as they are count as excluded and stay unchanged.

    Args:
        name: One of `list_attacks`. "fgsm", "pgd" and "cw" follow the gradient and need foolbox
            (the extra `attacks`); "single-pixel", "one-pixel-de" and "local-search" look at nothing
            but the scores, many images and candidates in one forward pass.
        model: Gives logits (N, C) of images, or of what `normalize` makes of them; (N, 1) for one
            category against everything else. It runs in eval mode, and its train flags are
            restored; its parameters get no gradient.
        images: (N, channels, H, W), pixels in [0, 1], float32 or float64, on any device; not
            changed.
        labels: True classes, (N,) integers.
        normalize: What prepares pixels for the network, as mean and deviation; None: nothing.
        targets: The class that each answer is to become, as from `random_targets`; None: any wrong
            one.
        seed: Of everything random; the same on every device.
        preset: Of `ATTACK_PRESETS`, for "single-pixel" and "local-search".
        **settings: Those of the attack, in place of its defaults and of the preset's: see
            `filterscope.attacks.adapter`, `single_pixel`, `local_search` and
            `differential_evolution`.

    Returns:
        The images with what was reached and what it cost.

    Raises:
        ModuleNotFoundError: An attack along the gradient without foolbox.
        TypeError: Images that are no floating-point tensor, labels or targets that are no integers,
            settings that the attack does not have.
        ValueError: An unknown name or preset, shapes that do not fit, pixels outside [0, 1],
            classes out of range, targets that are the labels, settings out of range, logits that
            are not finite or do not depend on the images.

    Source: Liang et al., ECCV 2020, section 5.2 and appendices I and J.

    Examples:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        >>> images = torch.rand(4, 3, 2, 2)
        >>> labels = model(images).argmax(1)
        >>> attacked = attack("single-pixel", model, images, labels, seed=1, max_pixels=2)
        >>> attacked.images.shape, bool((attacked.queries <= 4).all())
        (torch.Size([4, 3, 2, 2]), True)
    """
    function = _function(name)
    _check_settings(name, function, settings)
    return function(
        model,
        images,
        labels,
        normalize=normalize,
        targets=targets,
        seed=seed,
        **{**_preset(preset, name), **settings},
    )


def check_attack(name: str) -> None:
    """Refuse an attack that cannot be made here, before anything is spent on another.

    Args:
        name: One of `list_attacks`.

    Raises:
        ModuleNotFoundError: An attack along the gradient without foolbox.
        ValueError: An unknown name.

    Examples:
        >>> check_attack("single-pixel")
    """
    _function(name)
    if _ATTACKS[name][0] == "adapter":
        _module("adapter").require_foolbox()


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__package__}.{name}")


def _function(name: str) -> Callable[..., Attacked]:
    if name not in _ATTACKS:
        raise unknown_name("attack", name, list_attacks())
    module, member = _ATTACKS[name]
    function: Callable[..., Attacked] = getattr(_module(module), member)
    return function


def _check_settings(
    name: str, function: Callable[..., Attacked], settings: Mapping[str, Any]
) -> None:
    known = [key for key in inspect.signature(function).parameters if key not in _COMMON]
    for setting in settings:
        if setting not in known:
            raise TypeError(f"{name} has no setting `{setting}`; it has {', '.join(known)}")


def _preset(preset: str | None, name: str) -> Mapping[str, float]:
    if preset is None:
        return {}
    if preset not in ATTACK_PRESETS:
        raise unknown_name("preset", preset, ATTACK_PRESETS)
    if name not in ATTACK_PRESETS[preset]:
        known = ", ".join(ATTACK_PRESETS[preset])
        raise ValueError(f"preset {preset!r} has nothing for {name!r}, only for {known}")
    return ATTACK_PRESETS[preset][name]
