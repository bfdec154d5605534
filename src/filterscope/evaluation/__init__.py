"""What a trained run does: measured over a test set, explained on an image."""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.evaluation.attack_settings import AttackSettings, DetectSettings
    from filterscope.evaluation.attacks import AttackResult, attack_run
    from filterscope.evaluation.detection import detect_run
    from filterscope.evaluation.detection_result import Detection
    from filterscope.evaluation.distances import class_spread
    from filterscope.evaluation.explain import explain_images
    from filterscope.evaluation.explanation import Explanation
    from filterscope.evaluation.interpret import interpret_images, interpret_states
    from filterscope.evaluation.interpret_settings import InterpretSettings
    from filterscope.evaluation.interpretation import Interpretation
    from filterscope.evaluation.interpretation_summary import Summary, summarize
    from filterscope.evaluation.measure import assist_evaluation, evaluate_run
    from filterscope.evaluation.result import Evaluation

__all__ = [
    "AttackResult",
    "AttackSettings",
    "DetectSettings",
    "Detection",
    "Evaluation",
    "Explanation",
    "InterpretSettings",
    "Interpretation",
    "Summary",
    "assist_evaluation",
    "attack_run",
    "class_spread",
    "detect_run",
    "evaluate_run",
    "explain_images",
    "interpret_images",
    "interpret_states",
    "summarize",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "AttackResult": f"{__name__}.attacks",
        "AttackSettings": f"{__name__}.attack_settings",
        "DetectSettings": f"{__name__}.attack_settings",
        "Detection": f"{__name__}.detection_result",
        "Evaluation": f"{__name__}.result",
        "Explanation": f"{__name__}.explanation",
        "InterpretSettings": f"{__name__}.interpret_settings",
        "Interpretation": f"{__name__}.interpretation",
        "Summary": f"{__name__}.interpretation_summary",
        "assist_evaluation": f"{__name__}.measure",
        "attack_run": f"{__name__}.attacks",
        "class_spread": f"{__name__}.distances",
        "detect_run": f"{__name__}.detection",
        "evaluate_run": f"{__name__}.measure",
        "explain_images": f"{__name__}.explain",
        "interpret_images": f"{__name__}.interpret",
        "interpret_states": f"{__name__}.interpret",
        "summarize": f"{__name__}.interpretation_summary",
    },
)
