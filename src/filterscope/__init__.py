"""filterscope: train convolutional networks whose filters mean something; look inside any of them.

Nothing heavy is imported before it is used: ``import filterscope`` itself imports no torch.
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope import attacks, linear, maps, metrics
    from filterscope.gates import ClassGate, GatedClassifier, fixed_gate, gate_penalty
    from filterscope.linear import LinearInterpreter, pixel_discussion, pixel_votes
    from filterscope.parts import (
        PartTemplateConv2d,
        add_part_templates,
        part_losses,
        part_templates,
    )
    from filterscope.runs import (
        export_onnx,
        from_pretrained,
        load_pretrained,
        load_run,
        push_to_hub,
        save_pretrained,
    )

__version__ = "0.1.0"

__all__ = [
    "ClassGate",
    "GatedClassifier",
    "LinearInterpreter",
    "PartTemplateConv2d",
    "__version__",
    "add_part_templates",
    "attacks",
    "export_onnx",
    "fixed_gate",
    "from_pretrained",
    "gate_penalty",
    "linear",
    "load_pretrained",
    "load_run",
    "maps",
    "metrics",
    "part_losses",
    "part_templates",
    "pixel_discussion",
    "pixel_votes",
    "push_to_hub",
    "save_pretrained",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "ClassGate": f"{__name__}.gates.gate",
        "GatedClassifier": f"{__name__}.gates.classifier",
        "LinearInterpreter": f"{__name__}.linear.interpreter",
        "PartTemplateConv2d": f"{__name__}.parts.convolution",
        "add_part_templates": f"{__name__}.parts.surgery",
        "attacks": f"{__name__}.attacks",
        "export_onnx": f"{__name__}.runs",
        "fixed_gate": f"{__name__}.gates.fixed",
        "from_pretrained": f"{__name__}.runs",
        "gate_penalty": f"{__name__}.gates.penalty",
        "linear": f"{__name__}.linear",
        "load_pretrained": f"{__name__}.runs",
        "load_run": f"{__name__}.runs",
        "maps": f"{__name__}.maps",
        "metrics": f"{__name__}.metrics",
        "part_losses": f"{__name__}.parts.losses",
        "part_templates": f"{__name__}.parts.templates",
        "pixel_discussion": f"{__name__}.linear.discussion",
        "pixel_votes": f"{__name__}.linear.votes",
        "push_to_hub": f"{__name__}.runs",
        "save_pretrained": f"{__name__}.runs",
    },
)
