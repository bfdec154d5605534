"""Attacks: images changed so that a network errs, and telling them from clean ones."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.attacks.detector import (
        DetectionError,
        Detector,
        Draw,
        Pairs,
        detection_error,
        draw_samples,
    )
    from filterscope.attacks.features import ConvolutionLayer, convolution_features
    from filterscope.attacks.gradient_sign import fgsm
    from filterscope.attacks.presets import ATTACK_PRESETS, attack, list_attacks
    from filterscope.attacks.result import Attacked
    from filterscope.attacks.separation import (
        ClassDistances,
        class_cosines,
        class_distances,
        class_means,
    )
    from filterscope.attacks.targets import random_targets

__all__ = [
    "ATTACK_PRESETS",
    "Attacked",
    "ClassDistances",
    "ConvolutionLayer",
    "DetectionError",
    "Detector",
    "Draw",
    "Pairs",
    "attack",
    "class_cosines",
    "class_distances",
    "class_means",
    "convolution_features",
    "detection_error",
    "draw_samples",
    "fgsm",
    "list_attacks",
    "random_targets",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ATTACK_PRESETS": f"{__name__}.presets",
        "Attacked": f"{__name__}.result",
        "ClassDistances": f"{__name__}.separation",
        "ConvolutionLayer": f"{__name__}.features",
        "DetectionError": f"{__name__}.detector",
        "Detector": f"{__name__}.detector",
        "Draw": f"{__name__}.detector",
        "Pairs": f"{__name__}.detector",
        "attack": f"{__name__}.presets",
        "class_cosines": f"{__name__}.separation",
        "class_distances": f"{__name__}.separation",
        "class_means": f"{__name__}.separation",
        "convolution_features": f"{__name__}.features",
        "detection_error": f"{__name__}.detector",
        "draw_samples": f"{__name__}.detector",
        "fgsm": f"{__name__}.gradient_sign",
        "list_attacks": f"{__name__}.presets",
        "random_targets": f"{__name__}.targets",
    },
)
