"""Where a filter looks: its activation map, its gradient map, and class activation maps.

Source: Liang et al., ECCV 2020, section 4.2 and appendices G and H; B. Zhou et al., CVPR 2016
(class activation maps).
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.maps.activation import activation_map
    from filterscope.maps.blur import gaussian_blur
    from filterscope.maps.class_activation import class_activation_map
    from filterscope.maps.gradient import (
        GRAD_MAP_PRESETS,
        GradMapPreset,
        grad_map,
        input_gradients,
    )
    from filterscope.maps.receptive_fields import ReceptiveField, receptive_field

__all__ = [
    "GRAD_MAP_PRESETS",
    "GradMapPreset",
    "ReceptiveField",
    "activation_map",
    "class_activation_map",
    "gaussian_blur",
    "grad_map",
    "input_gradients",
    "receptive_field",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "GRAD_MAP_PRESETS": f"{__name__}.gradient",
        "GradMapPreset": f"{__name__}.gradient",
        "ReceptiveField": f"{__name__}.receptive_fields",
        "activation_map": f"{__name__}.activation",
        "class_activation_map": f"{__name__}.class_activation",
        "gaussian_blur": f"{__name__}.blur",
        "grad_map": f"{__name__}.gradient",
        "input_gradients": f"{__name__}.gradient",
        "receptive_field": f"{__name__}.receptive_fields",
    },
)
