"""Numbers about filters: pure functions in `functional`, torchmetrics classes on top."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.metrics import functional
    from filterscope.metrics.class_means import ClassMeanFeatures
    from filterscope.metrics.mutual_information import MutualInformation

__all__ = ["ClassMeanFeatures", "MutualInformation", "functional"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ClassMeanFeatures": f"{__name__}.class_means",
        "MutualInformation": f"{__name__}.mutual_information",
        "functional": f"{__name__}.functional",
    },
)
