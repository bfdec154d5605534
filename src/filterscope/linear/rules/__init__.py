"""One small rule an operation: how it is frozen at an image into an affine step.

Importing this package fills the table.
"""

from filterscope.linear.rules import (
    activations,
    arithmetic,
    constants,
    gating,
    layers,
    normalization,
    pooling,
    selection,
    structure,
)
from filterscope.linear.rules.table import Affine, Call, Options, find_rule, rule

__all__ = [
    "Affine",
    "Call",
    "Options",
    "activations",
    "arithmetic",
    "constants",
    "find_rule",
    "gating",
    "layers",
    "normalization",
    "pooling",
    "rule",
    "selection",
    "structure",
]
