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
    from filterscope.linear.interpreter import LinearInterpreter
    from filterscope.linear.rules.table import Affine, Call, rule

__all__ = [
    "Affine",
    "Call",
    "ConservationError",
    "Contributions",
    "FilterContributions",
    "LinearInterpreter",
    "UnsupportedOperation",
    "rule",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Affine": f"{__name__}.rules.table",
        "Call": f"{__name__}.rules.table",
        "ConservationError": f"{__name__}.errors",
        "Contributions": f"{__name__}.contributions",
        "FilterContributions": f"{__name__}.filters",
        "LinearInterpreter": f"{__name__}.interpreter",
        "UnsupportedOperation": f"{__name__}.errors",
        "rule": f"{__name__}.rules.table",
    },
)
