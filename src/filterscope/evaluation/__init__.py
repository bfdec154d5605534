"""What a trained run does: measured over a test set, explained on an image."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.evaluation.explain import explain_images
    from filterscope.evaluation.explanation import Explanation
    from filterscope.evaluation.interpret import interpret_images
    from filterscope.evaluation.interpret_settings import InterpretSettings
    from filterscope.evaluation.interpretation import Interpretation
    from filterscope.evaluation.interpretation_summary import Summary, summarize
    from filterscope.evaluation.measure import evaluate_run
    from filterscope.evaluation.result import Evaluation

__all__ = [
    "Evaluation",
    "Explanation",
    "InterpretSettings",
    "Interpretation",
    "Summary",
    "evaluate_run",
    "explain_images",
    "interpret_images",
    "summarize",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Evaluation": f"{__name__}.result",
        "Explanation": f"{__name__}.explanation",
        "InterpretSettings": f"{__name__}.interpret_settings",
        "Interpretation": f"{__name__}.interpretation",
        "Summary": f"{__name__}.interpretation_summary",
        "evaluate_run": f"{__name__}.measure",
        "explain_images": f"{__name__}.explain",
        "interpret_images": f"{__name__}.interpret",
        "summarize": f"{__name__}.interpretation_summary",
    },
)
