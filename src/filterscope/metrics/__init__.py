"""Numbers about filters: pure functions in `functional`, torchmetrics classes on top."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.metrics import functional
    from filterscope.metrics.class_means import ClassMeanFeatures
    from filterscope.metrics.localization import (
        ActivationLocalization,
        GradientLocalization,
        MapLocalization,
    )
    from filterscope.metrics.mutual_information import MutualInformation

__all__ = [
    "ActivationLocalization",
    "ClassMeanFeatures",
    "GradientLocalization",
    "MapLocalization",
    "MutualInformation",
    "functional",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ActivationLocalization": f"{__name__}.localization",
        "ClassMeanFeatures": f"{__name__}.class_means",
        "GradientLocalization": f"{__name__}.localization",
        "MapLocalization": f"{__name__}.localization",
        "MutualInformation": f"{__name__}.mutual_information",
        "functional": f"{__name__}.functional",
    },
)
