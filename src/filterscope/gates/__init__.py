"""Class-specific gates (CSG): train so that each filter answers to one or few classes.

Source: Liang et al., "Training Interpretable Convolutional Neural Networks by Differentiating
Class-specific Filters", ECCV 2020.
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.gates.classifier import GatedClassifier
    from filterscope.gates.fixed import fixed_gate
    from filterscope.gates.gate import ClassGate
    from filterscope.gates.penalty import gate_penalty

__all__ = ["ClassGate", "GatedClassifier", "fixed_gate", "gate_penalty"]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ClassGate": f"{__name__}.gate",
        "GatedClassifier": f"{__name__}.classifier",
        "fixed_gate": f"{__name__}.fixed",
        "gate_penalty": f"{__name__}.penalty",
    },
)
