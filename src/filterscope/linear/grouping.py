"""Names for the constants of a frozen network, and the layers that they are summed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import nn

from filterscope.linear.program import Program, Step

By = Literal["stage", "block", "op"] | Callable[[str], str] | Mapping[str, str]


def constant_names(program: Program) -> dict[int, str]:
    """A name for each step that adds a constant, by position: its module, where that is enough.

    The operation follows where the module has parts of its own or adds constants by several
    operations, as in ``"layer1.0:relu6"``; a number follows the second time, as in ``"shared#2"``.
    """
    paths = {step.path for step in program.steps}
    chosen = program.offsets()
    steps = {position: program.steps[position] for position in chosen}
    operations = {
        path: {step.name for step in steps.values() if step.path == path}
        for path in {step.path for step in steps.values()}
    }
    seen: Counter[str] = Counter()
    names = {}
    for position, step in steps.items():
        base = step.path or "forward"
        has_parts = not step.path or any(path.startswith(step.path + ".") for path in paths)
        if has_parts or len(operations[step.path]) > 1:
            base = f"{base}:{step.name}"
        seen[base] += 1
        names[position] = base if seen[base] == 1 else f"{base}#{seen[base]}"
    return names


def layer_names(program: Program, model: nn.Module, by: By) -> dict[int, str]:
    """The layer that each constant counts for, by position of its step.

    Args:
        program: The frozen network.
        model: The network, whose containers are looked through for blocks.
        by: "op" for each constant by itself; "stage" for a layer with weights and what follows
            it one by one (norm, activation); "block" for the outermost module of each stage that
            is no mere container; or a function or mapping from module path to layer.

    Raises:
        ValueError: An unknown `by`, or a path that the mapping does not have.
    """
    names = constant_names(program)
    if callable(by):
        return {position: by(program.steps[position].path) for position in names}
    if isinstance(by, Mapping):
        return {k: _mapped(by, program.steps[k].path) for k in names}
    if by == "op":
        return names
    if by not in ("stage", "block"):
        raise ValueError(f'`by` must be "stage", "block", "op", a function or a mapping, got {by}')
    heads = _stage_heads(program.steps)
    if by == "block":
        return {k: block_path(model, program.steps[heads[k]].path) for k in names}
    return {k: names.get(heads[k]) or program.steps[heads[k]].path or "forward" for k in names}


def _mapped(by: Mapping[str, str], path: str) -> str:
    if path not in by:
        raise ValueError(f"`by` has no layer for the module {path!r}")
    return by[path]


def _stage_heads(steps: Sequence[Step]) -> dict[int, int]:
    """For each step that adds a constant, the step that its stage begins with."""
    head_of_value: dict[int, int | None] = {}
    heads = {}
    for position, step in enumerate(steps):
        read = set(step.inputs)
        head = head_of_value.get(next(iter(read))) if len(read) == 1 else None
        if step.has_weights or (head is None and step.offset is not None):
            head = position
        if step.offset is not None and head is not None:
            heads[position] = head
        head_of_value.update(dict.fromkeys(step.outputs, head))
    return heads


def block_path(model: nn.Module, path: str) -> str:
    """The outermost module on a path that is no container such as `nn.Sequential`.

    Example:
        >>> inner = nn.Sequential(nn.TransformerEncoderLayer(4, 2))
        >>> block_path(nn.Sequential(inner, nn.ReLU()), "0.0.self_attn.out_proj")
        '0.0'
    """
    parts = path.split(".")
    for depth in range(1, len(parts)):
        ancestor = ".".join(parts[:depth])
        if not isinstance(
            model.get_submodule(ancestor), (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        ):
            return ancestor
    return path or "forward"
