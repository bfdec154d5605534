"""Where a filter looks: activation, gradient and class activation maps, receptive fields.

Source: Liang et al., ECCV 2020, section 4.2 and appendices G and H; B. Zhou et al., CVPR 2016
(class activation maps); Zhang et al., CVPR 2018 (receptive fields).
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
    from filterscope.maps.occlusion import Occluder, occlusion_drops
    from filterscope.maps.occlusion_fields import FieldSettings, OcclusionField, occlusion_field
    from filterscope.maps.receptive_fields import ReceptiveField, receptive_field

__all__ = [
    "GRAD_MAP_PRESETS",
    "FieldSettings",
    "GradMapPreset",
    "Occluder",
    "OcclusionField",
    "ReceptiveField",
    "activation_map",
    "class_activation_map",
    "gaussian_blur",
    "grad_map",
    "input_gradients",
    "occlusion_drops",
    "occlusion_field",
    "receptive_field",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "GRAD_MAP_PRESETS": f"{__name__}.gradient",
        "FieldSettings": f"{__name__}.occlusion_fields",
        "GradMapPreset": f"{__name__}.gradient",
        "Occluder": f"{__name__}.occlusion",
        "OcclusionField": f"{__name__}.occlusion_fields",
        "ReceptiveField": f"{__name__}.receptive_fields",
        "activation_map": f"{__name__}.activation",
        "class_activation_map": f"{__name__}.class_activation",
        "gaussian_blur": f"{__name__}.blur",
        "grad_map": f"{__name__}.gradient",
        "input_gradients": f"{__name__}.gradient",
        "occlusion_drops": f"{__name__}.occlusion",
        "occlusion_field": f"{__name__}.occlusion_fields",
        "receptive_field": f"{__name__}.receptive_fields",
    },
)
