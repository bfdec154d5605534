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
from filterscope.linear.rules.constants import LEAK, is_description, is_leak
from filterscope.linear.rules.table import (
    Affine,
    Call,
    Entry,
    Options,
    find_rule,
    is_linear,
    mismatch,
    rule,
)

__all__ = [
    "LEAK",
    "Affine",
    "Call",
    "Entry",
    "Options",
    "activations",
    "arithmetic",
    "constants",
    "find_rule",
    "gating",
    "is_description",
    "is_leak",
    "is_linear",
    "layers",
    "mismatch",
    "normalization",
    "pooling",
    "rule",
    "selection",
    "structure",
]
