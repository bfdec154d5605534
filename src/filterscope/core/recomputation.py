"""Recomputation of layers during the backward pass, noticed."""

from __future__ import annotations

import torch


def is_recomputed() -> bool:
    """Whether a layer runs inside a backward pass, as activation checkpointing makes it do.

    Examples:
        >>> is_recomputed()
        False
    """
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
