"""A network at an image as the exact affine map y = F x + r.

Source: Navarrete Michelini, Liu, Lu, Jiang, "A Tour of Convolutional Networks Guided by Linear
Interpreters", ICCV 2019.
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.linear.contributions import Contributions
    from filterscope.linear.discussion import pixel_discussion
    from filterscope.linear.errors import ConservationError, UnsupportedOperation
    from filterscope.linear.filters import FilterContributions
    from filterscope.linear.histogram import ContributionHistogram, contribution_histogram
    from filterscope.linear.interpreter import LinearInterpreter
    from filterscope.linear.residual_share import ResidualShares, residual_shares
    from filterscope.linear.rows import iterate_rows
    from filterscope.linear.rules.table import Affine, Call, rule
    from filterscope.linear.votes import PixelVotes, ShareInside, VoteCount, pixel_votes

__all__ = [
    "Affine",
    "Call",
    "ConservationError",
    "ContributionHistogram",
    "Contributions",
    "FilterContributions",
    "LinearInterpreter",
    "PixelVotes",
    "ResidualShares",
    "ShareInside",
    "UnsupportedOperation",
    "VoteCount",
    "contribution_histogram",
    "iterate_rows",
    "pixel_discussion",
    "pixel_votes",
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
        "PixelVotes": f"{__name__}.votes",
        "ResidualShares": f"{__name__}.residual_share",
        "ShareInside": f"{__name__}.votes",
        "UnsupportedOperation": f"{__name__}.errors",
        "VoteCount": f"{__name__}.votes",
        "contribution_histogram": f"{__name__}.histogram",
        "iterate_rows": f"{__name__}.rows",
        "pixel_discussion": f"{__name__}.discussion",
        "pixel_votes": f"{__name__}.votes",
        "residual_shares": f"{__name__}.residual_share",
        "rule": f"{__name__}.rules.table",
    },
)
