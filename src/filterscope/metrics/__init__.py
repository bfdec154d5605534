"""Numbers about filters: pure functions in `functional`, torchmetrics classes on top."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.metrics import functional
    from filterscope.metrics.class_clusters import ClassClusters
    from filterscope.metrics.class_means import ClassMeanFeatures
    from filterscope.metrics.entanglement import FilterClassEntanglement
    from filterscope.metrics.gate_similarity import GateSimilarityScore
    from filterscope.metrics.localization import (
        ActivationLocalization,
        GradientLocalization,
        MapLocalization,
    )
    from filterscope.metrics.location_instability import LocationInstability
    from filterscope.metrics.masked_confusion import MaskedConfusion
    from filterscope.metrics.mutual_information import MutualInformation
    from filterscope.metrics.part_interpretability import PartInterpretability
    from filterscope.metrics.patch_moments import PatchMoments

__all__ = [
    "ActivationLocalization",
    "ClassClusters",
    "ClassMeanFeatures",
    "FilterClassEntanglement",
    "GateSimilarityScore",
    "GradientLocalization",
    "LocationInstability",
    "MapLocalization",
    "MaskedConfusion",
    "MutualInformation",
    "PartInterpretability",
    "PatchMoments",
    "functional",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ActivationLocalization": f"{__name__}.localization",
        "ClassClusters": f"{__name__}.class_clusters",
        "ClassMeanFeatures": f"{__name__}.class_means",
        "FilterClassEntanglement": f"{__name__}.entanglement",
        "GateSimilarityScore": f"{__name__}.gate_similarity",
        "GradientLocalization": f"{__name__}.localization",
        "LocationInstability": f"{__name__}.location_instability",
        "MapLocalization": f"{__name__}.localization",
        "MaskedConfusion": f"{__name__}.masked_confusion",
        "MutualInformation": f"{__name__}.mutual_information",
        "PartInterpretability": f"{__name__}.part_interpretability",
        "PatchMoments": f"{__name__}.patch_moments",
        "functional": f"{__name__}.functional",
    },
)
