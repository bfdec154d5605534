"""Pure functions behind the metrics. Matrices over classes and filters are (C, K)."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.metrics.functional.class_means import class_mean_features
    from filterscope.metrics.functional.correlation import (
        filter_correlation,
        inter_class_correlation,
        redundancy,
    )
    from filterscope.metrics.functional.gate import (
        GateStatistics,
        Overlap,
        gate_mi_overlap,
        gate_statistics,
        strongest_elements,
    )
    from filterscope.metrics.functional.mutual_information import (
        mutual_information_bound,
        mutual_information_floor,
        mutual_information_matrix,
        mutual_information_score,
    )

__all__ = [
    "GateStatistics",
    "Overlap",
    "class_mean_features",
    "filter_correlation",
    "gate_mi_overlap",
    "gate_statistics",
    "inter_class_correlation",
    "mutual_information_bound",
    "mutual_information_floor",
    "mutual_information_matrix",
    "mutual_information_score",
    "redundancy",
    "strongest_elements",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "GateStatistics": f"{__name__}.gate",
        "Overlap": f"{__name__}.gate",
        "class_mean_features": f"{__name__}.class_means",
        "filter_correlation": f"{__name__}.correlation",
        "gate_mi_overlap": f"{__name__}.gate",
        "gate_statistics": f"{__name__}.gate",
        "inter_class_correlation": f"{__name__}.correlation",
        "mutual_information_bound": f"{__name__}.mutual_information",
        "mutual_information_floor": f"{__name__}.mutual_information",
        "mutual_information_matrix": f"{__name__}.mutual_information",
        "mutual_information_score": f"{__name__}.mutual_information",
        "redundancy": f"{__name__}.correlation",
        "strongest_elements": f"{__name__}.gate",
    },
)
