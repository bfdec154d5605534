"""The table of rules: how each operation is frozen into an affine step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_unflatten

from filterscope.linear.errors import UnsupportedOperation

Smooth = Literal["gain", "chord", "tangent"]
NormFreeze = Literal["mean+var", "var", "none"]


@dataclass(frozen=True)
class Options:
    """How units are frozen where there is more than one way; see `LinearInterpreter`."""

    smooth: Smooth = "chord"
    norm_freeze: NormFreeze = "mean+var"
    freeze_gates: bool = False


@dataclass(frozen=True)
class Affine:
    """What an operation is at the image: y = L(inputs) + c.

    Attributes:
        linear: L. It takes the values of `inputs` and returns the value of each floating-point
            output, the one tensor or a tuple. It must not hold on to activations that it does not
            need, and must not write into what it is given.
        offset: c, broadcastable to the (only) output; None for zero.
        inputs: The input-dependent arguments that L takes; None for all, in order of appearance.
        is_gate: Whether the output is fit to be frozen where it multiplies another tensor.
        has_weights: Whether this is a layer with weights, which begins a stage.
    """

    linear: Callable[..., Any]
    offset: Tensor | None = None
    inputs: tuple[Tensor, ...] | None = None
    is_gate: bool = False
    has_weights: bool = False


@dataclass(frozen=True)
class Call:
    """One call of an operation while the network runs on the image.

    Attributes:
        name: The operation, as in ``"relu"``, whatever the form in which it was called.
        path: Path of the module that ran it.
        function: The operation in its form that leaves its arguments as they are.
        output: What it returned, detached.
        inputs: The input-dependent tensors among its arguments, detached, in order of appearance.
        gates: Whether each of them is fit to be frozen as a gate.
        options: How units are frozen.
        leaves: The flat list of its arguments.
        structure: How they are nested.
    """

    name: str
    path: str
    function: Callable[..., Any]
    output: Any
    inputs: tuple[Tensor, ...]
    gates: tuple[bool, ...]
    options: Options
    leaves: Sequence[Any]
    structure: TreeSpec

    def depends(self, value: Any) -> bool:
        """Whether an argument depends on the image."""
        return any(value is tensor for tensor in self.inputs)

    def only(self, *values: Any) -> None:
        """Refuse the call where another argument than these depends on the image."""
        if not all(any(tensor is value for value in values) for tensor in self.inputs):
            raise self.refusal("an argument that must be constant depends on the image")

    def refusal(self, reason: str) -> UnsupportedOperation:
        """An error that names this operation and its module."""
        return UnsupportedOperation(self.name, self.path, reason)

    def again(
        self,
        *,
        frozen: Sequence[Tensor] = (),
        function: Callable[..., Any] | None = None,
        without_constants: bool = False,
    ) -> Callable[..., Any]:
        """The same operation with the same settings on other values of its inputs.

        Args:
            frozen: Inputs that keep their value.
            function: Runs in place of the operation.
            without_constants: Whether floating-point tensors that do not depend on the image are
                set to zero.

        Returns:
            A function of the inputs that are not frozen, in order.
        """
        moving = [tensor for tensor in self.inputs if not any(tensor is f for f in frozen)]
        places = [
            place
            for place, leaf in enumerate(self.leaves)
            if any(leaf is tensor for tensor in moving)
        ]
        # the activations at the image are left out, so that they are not kept alive
        template = [None if place in places else leaf for place, leaf in enumerate(self.leaves)]
        if without_constants:
            template = [_without_value(leaf) for leaf in template]
        structure, run = self.structure, function or self.function

        def operation(*values: Tensor) -> Any:
            leaves = list(template)
            for place, value in zip(places, values, strict=True):
                leaves[place] = value
            args, kwargs = tree_unflatten(leaves, structure)
            return run(*args, **kwargs)

        return operation


# A rule gets the call and the call's own arguments. None says that the output, although computed
# from the image, is piecewise constant in it; an error that is returned, not raised, waits until
# the output turns out to be needed.
Rule = Callable[..., Affine | UnsupportedOperation | None]
AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True)
class Entry:
    """A rule and its signature, which is looked at once."""

    function: Rule
    signature: inspect.Signature


_RULES: dict[str, Entry] = {}


def rule(*names: str) -> Callable[[AnyRule], AnyRule]:
    """Register the rule of one or more operations; a later rule replaces an earlier one.

    Args:
        names: Names of the operations, without the underscores of in-place and operator forms:
            ``"relu"`` stands for ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` alike.

    Returns:
        A decorator for a function ``(call, *args, **kwargs) -> Affine | None``, which takes the
        arguments of the operation after the `Call`. None stands for an output that is piecewise
        constant in the image, such as a comparison.

    Example:
        >>> import torch
        >>> @rule("double_it")
        ... def _double(call, input):
        ...     return Affine(lambda x: 2 * x)
        >>> find_rule("double_it").function is _double
        True
        >>> _ = _RULES.pop("double_it")
    """

    def register(function: AnyRule) -> AnyRule:
        entry = Entry(function, inspect.signature(function))
        _RULES.update(dict.fromkeys(names, entry))
        return function

    return register


def find_rule(name: str) -> Entry | None:
    """The rule of an operation; None where there is none."""
    return _RULES.get(name)


def affine_operation(call: Call) -> Affine:
    """An operation that is affine in its inputs: its value at zero is the offset."""
    at_zero = call.again()(*[torch.zeros_like(tensor) for tensor in call.inputs])
    return Affine(call.again(without_constants=True), nonzero(at_zero), is_gate=all(call.gates))


def _without_value(leaf: Any) -> Any:
    constant = isinstance(leaf, Tensor) and leaf.is_floating_point()
    return torch.zeros_like(leaf) if constant else leaf


def nonzero(offset: Tensor) -> Tensor | None:
    """An offset, or None where it is zero everywhere."""
    return offset if bool(torch.any(offset != 0)) else None
