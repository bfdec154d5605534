"""Names for the constants of a frozen network, and the layers that they are summed over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from torch import nn

from filterscope.linear.program import Program, Step
from filterscope.linear.rules import activations, find_rule, normalization

By = Literal["stage", "block", "op"] | Callable[[str], str] | Mapping[str, str]

# what acts as an activation, and what changes no value, within a stage
_CHOICES = {"where", "masked_fill", "maximum", "minimum", "fmax", "fmin"}
_SAME_VALUES = {
    "clone", "contiguous", "positive", "data", "detach", "alias", "dropout", "dropout1d",
    "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "to",
    "type", "float", "double",
}  # fmt: skip


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
        by: "op" for each constant by itself; "stage" for a layer with weights with its norm and
            activation, where these follow it at once, or for a norm that comes first; "block" for
            the outermost module around each constant that is no mere container; or a function or
            mapping from module path to layer.

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
        paths = [step.path for step in program.steps]
        return {k: _block(model, paths[k], paths[heads[k]]) for k in names}
    return {k: names.get(heads[k]) or program.steps[heads[k]].path or "forward" for k in names}


def _mapped(by: Mapping[str, str], path: str) -> str:
    if path not in by:
        raise ValueError(f"`by` has no layer for the module {path!r}")
    return by[path]


def _stage_heads(steps: Sequence[Step]) -> dict[int, int]:
    """For each step that adds a constant, the step that its stage begins with.

    A stage is a layer with weights, its norm, and its activation, in either order. A second norm,
    or one that comes first, as in a DenseNet, begins a stage of its own.
    """
    stage_of_value: dict[int, tuple[int | None, bool]] = {}
    heads = {}
    for position, step in enumerate(steps):
        read, kind = set(step.inputs), _kind(step)
        goes_on = len(read) == 1 and (kind is not None or step.name in _SAME_VALUES)
        head, normed = stage_of_value.get(next(iter(read)), (None, False))
        if not goes_on:
            head, normed = None, False
        is_norm = kind == normalization.__name__
        begins = is_norm and (normed or head is None)
        if step.has_weights or begins or (head is None and step.offset is not None):
            head, normed = position, False
        if step.offset is not None and head is not None:
            heads[position] = head
        stage_of_value.update(dict.fromkeys(step.outputs, (head, normed or is_norm)))
    return heads


def _kind(step: Step) -> str | None:
    """The module of the rules for norms or for activations, where a step is one of them."""
    if step.name in _CHOICES:
        return activations.__name__
    found = find_rule(step.name)
    kind = None if found is None else found.function.__module__
    return kind if kind in (normalization.__name__, activations.__name__) else None


def _block(model: nn.Module, own: str, head: str) -> str:
    """The block of a step, of which its path and that of its stage's head are known."""
    block, of_head = block_path(model, own), block_path(model, head)
    # a norm that lies in a container beside its convolution
    return of_head if (block, of_head) == (own, head) else block


def block_path(model: nn.Module, path: str) -> str:
    """The outermost module on a path that is no container such as `nn.Sequential`.

    Examples:
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
