"""A network at an image as the exact affine map y = F x + r.

Source: Navarrete Michelini, Liu, Lu, Jiang, "A Tour of Convolutional Networks Guided by Linear
Interpreters", ICCV 2019.
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.linear.contributions import Contributions
    from filterscope.linear.errors import ConservationError, UnsupportedOperation
    from filterscope.linear.filters import FilterContributions
    from filterscope.linear.histogram import ContributionHistogram, contribution_histogram
    from filterscope.linear.interpreter import LinearInterpreter
    from filterscope.linear.residual_share import ResidualShares, residual_shares
    from filterscope.linear.rules.table import Affine, Call, rule

__all__ = [
    "Affine",
    "Call",
    "ConservationError",
    "ContributionHistogram",
    "Contributions",
    "FilterContributions",
    "LinearInterpreter",
    "ResidualShares",
    "UnsupportedOperation",
    "contribution_histogram",
    "residual_shares",
    "rule",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Affine": f"{__name__}.rules.table",
        "Call": f"{__name__}.rules.table",
        "ConservationError": f"{__name__}.errors",
        "ContributionHistogram": f"{__name__}.histogram",
        "Contributions": f"{__name__}.contributions",
        "FilterContributions": f"{__name__}.filters",
        "LinearInterpreter": f"{__name__}.interpreter",
        "ResidualShares": f"{__name__}.residual_share",
        "UnsupportedOperation": f"{__name__}.errors",
        "contribution_histogram": f"{__name__}.histogram",
        "residual_shares": f"{__name__}.residual_share",
        "rule": f"{__name__}.rules.table",
    },
)
