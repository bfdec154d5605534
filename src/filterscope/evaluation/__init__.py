"""What a trained run does: measured over a test set, explained on an image."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.evaluation.explain import explain_images
    from filterscope.evaluation.explanation import Explanation
    from filterscope.evaluation.measure import evaluate_run
    from filterscope.evaluation.result import Evaluation

__all__ = ["Evaluation", "Explanation", "evaluate_run", "explain_images"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Evaluation": f"{__name__}.result",
        "Explanation": f"{__name__}.explanation",
        "evaluate_run": f"{__name__}.measure",
        "explain_images": f"{__name__}.explain",
    },
)
