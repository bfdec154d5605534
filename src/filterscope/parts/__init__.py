"""Part templates (interpretable convolutions): train filters that look at one part of the object.

Source: Zhang, Wu and Zhu, "Interpretable Convolutional Neural Networks", CVPR 2018; Ong and Liu,
"Experimenting with Part Templates in Interpretable CNNs".
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.parts.convolution import PartTemplateConv2d
    from filterscope.parts.coverage import TemplateCoverage, template_coverage
    from filterscope.parts.fitting import FittedTemplate, fit_template
    from filterscope.parts.losses import part_losses
    from filterscope.parts.masking import PartTemplates
    from filterscope.parts.network import PartTemplateNetwork
    from filterscope.parts.peaks import peak_units
    from filterscope.parts.surgery import add_part_templates
    from filterscope.parts.templates import part_templates

__all__ = [
    "FittedTemplate",
    "PartTemplateConv2d",
    "PartTemplateNetwork",
    "PartTemplates",
    "TemplateCoverage",
    "add_part_templates",
    "fit_template",
    "part_losses",
    "part_templates",
    "peak_units",
    "template_coverage",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "FittedTemplate": f"{__name__}.fitting",
        "PartTemplateConv2d": f"{__name__}.convolution",
        "PartTemplateNetwork": f"{__name__}.network",
        "PartTemplates": f"{__name__}.masking",
        "TemplateCoverage": f"{__name__}.coverage",
        "add_part_templates": f"{__name__}.surgery",
        "fit_template": f"{__name__}.fitting",
        "part_losses": f"{__name__}.losses",
        "part_templates": f"{__name__}.templates",
        "peak_units": f"{__name__}.peaks",
        "template_coverage": f"{__name__}.coverage",
    },
)
