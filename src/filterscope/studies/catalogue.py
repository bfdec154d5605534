"""Every study by name; a module is imported when its study is asked for."""

from __future__ import annotations

import importlib

from filterscope.core.names import unknown_name
from filterscope.studies.study import Study

STUDIES = {
    "csg-table1": "accuracy, class-specificity and density of standard and gated networks",
    "csg-table2": "localisation of objects by gradient maps, activation maps and CAM",
    "csg-table3": "detection of adversarial samples, and where their features lie",
    "csg-table4": "success of attacks on single pixels, and how far classes lie apart",
    "csg-fig4": "gate, mutual information, and where they agree",
    "csg-fig5": "confusion matrices with the filters of classes removed",
    "csg-fig6": "similarity of class features and gate rows, rightly and wrongly classified",
    "csg-fig7": "correlation of filters, within and between classes",
    "csg-fig8": "redundancy of filters and correlation between classes",
    "csg-fig9": "class activation maps of standard and gated networks on the same images",
    "csg-fig10": "statistics of learned gates, and the fixed gate made after them",
    "csg-fig11": "k-means centres of the features beside the gate",
    "csg-schemes": "alternate and joint training, and the gradients of the two paths",
    "csg-backbones": "gates on ResNet-20, ResNet-50 and ResNet-101 for small images",
    "linear-table1": "share of the residual in the score of the top label, network by network",
    "linear-fig1": "what image and layers contribute to a score, clean and attacked",
    "linear-fig2": "pixel discussion and pixel votes, and the objects in the images",
    "linear-fig3": "pixel votes before and after an attack",
    "parts-table1": "location instability of ordinary networks and of those with L1 templates",
    "parts-table2": "accuracy of ordinary networks and of those with L1 templates",
    "parts-table3": "location instability with L2 and uniform templates",
    "parts-table4": "location instability of L1 against L2 templates",
    "parts-table5": "accuracy with every template",
    "parts-templates": "the templates as pictures, and what each lets through",
    "parts-fig6": "what filters respond to, by occlusion, with every template",
    "parts-fig7": "error against epochs with every template, and epochs until it settles",
    "parts-analysis": "pull of the filter loss, and whether steadier filters cost accuracy",
    "linear-fig4": "rows and columns of super-resolution: how local, and whether the image counts",
    "linear-fig5": "eigen-inputs and eigen-outputs of super-resolution: areas and frequencies",
    "linear-fig6": "rows and columns of image-to-image networks, beside super-resolution",
    "linear-fig7": "eigen-inputs and eigen-outputs of image-to-image networks",
    "linear-fig8": "residual and partial sums: super-resolution against image-to-image",
}
"""What each study shows, in a line."""


def find_study(name: str) -> Study:
    """Find a study.

    Args:
        name: As in ``filterscope list studies``.

    Raises:
        ValueError: An unknown name, with the near ones.

    Examples:
        >>> find_study("csg-fig5").source
        'Liang et al., ECCV 2020, figure 5'
    """
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES, "filterscope list studies")
    module = importlib.import_module(f"filterscope.studies.{name.replace('-', '_')}")
    study: Study = module.STUDY
    return study
