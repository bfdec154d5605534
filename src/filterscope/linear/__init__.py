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
    from filterscope.linear.picture_numbers import (
        MapEnergy,
        energy_within,
        map_energy,
        matching_position,
        participation_ratio,
        radial_frequency,
        residual_ratio,
    )
    from filterscope.linear.probe_pictures import pixel_column, pixel_row
    from filterscope.linear.residual_share import ResidualShares, residual_shares
    from filterscope.linear.rows import iterate_rows
    from filterscope.linear.rules.table import Affine, Call, rule
    from filterscope.linear.singular import SingularTriplets
    from filterscope.linear.votes import PixelVotes, ShareInside, VoteCount, pixel_votes

__all__ = [
    "Affine",
    "Call",
    "ConservationError",
    "ContributionHistogram",
    "Contributions",
    "FilterContributions",
    "LinearInterpreter",
    "MapEnergy",
    "PixelVotes",
    "ResidualShares",
    "ShareInside",
    "SingularTriplets",
    "UnsupportedOperation",
    "VoteCount",
    "contribution_histogram",
    "energy_within",
    "iterate_rows",
    "map_energy",
    "matching_position",
    "participation_ratio",
    "pixel_column",
    "pixel_discussion",
    "pixel_row",
    "pixel_votes",
    "radial_frequency",
    "residual_ratio",
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
        "MapEnergy": f"{__name__}.picture_numbers",
        "PixelVotes": f"{__name__}.votes",
        "ResidualShares": f"{__name__}.residual_share",
        "ShareInside": f"{__name__}.votes",
        "SingularTriplets": f"{__name__}.singular",
        "UnsupportedOperation": f"{__name__}.errors",
        "VoteCount": f"{__name__}.votes",
        "contribution_histogram": f"{__name__}.histogram",
        "energy_within": f"{__name__}.picture_numbers",
        "iterate_rows": f"{__name__}.rows",
        "map_energy": f"{__name__}.picture_numbers",
        "matching_position": f"{__name__}.picture_numbers",
        "participation_ratio": f"{__name__}.picture_numbers",
        "pixel_column": f"{__name__}.probe_pictures",
        "pixel_discussion": f"{__name__}.discussion",
        "pixel_row": f"{__name__}.probe_pictures",
        "pixel_votes": f"{__name__}.votes",
        "radial_frequency": f"{__name__}.picture_numbers",
        "residual_ratio": f"{__name__}.picture_numbers",
        "residual_shares": f"{__name__}.residual_share",
        "rule": f"{__name__}.rules.table",
    },
)
