"""Runs side by side: numbers, figures, and one HTML page that opens offline."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.report.attacks import write_attacks
    from filterscope.report.comparison import Comparison, Side, compare_runs
    from filterscope.report.detection import write_detection
    from filterscope.report.explanations import write_explanations
    from filterscope.report.interpretations import write_interpretations
    from filterscope.report.page import write_report
    from filterscope.report.pareto import pareto_set

__all__ = [
    "Comparison",
    "Side",
    "compare_runs",
    "pareto_set",
    "write_attacks",
    "write_detection",
    "write_explanations",
    "write_interpretations",
    "write_report",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Comparison": f"{__name__}.comparison",
        "Side": f"{__name__}.comparison",
        "compare_runs": f"{__name__}.comparison",
        "pareto_set": f"{__name__}.pareto",
        "write_attacks": f"{__name__}.attacks",
        "write_detection": f"{__name__}.detection",
        "write_explanations": f"{__name__}.explanations",
        "write_interpretations": f"{__name__}.interpretations",
        "write_report": f"{__name__}.page",
    },
)
