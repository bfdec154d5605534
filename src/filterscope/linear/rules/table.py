"""The table of rules: how each operation is frozen into an affine step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from filterscope.linear.arguments import Slot, filled, tensors_of, with_tensors
from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.rules.local import Local, Pointwise

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
        own_gradient: Whether the operation's own derivative is L at each image, so that the pass
            that records it serves for reading backwards, too.
        local: L on a part of the picture, for outputs (N, C, *positions); None where it needs all.
    """

    linear: Callable[..., Any]
    offset: Tensor | None = None
    inputs: tuple[Tensor, ...] | None = None
    is_gate: bool = False
    has_weights: bool = False
    own_gradient: bool = False
    local: Local | None = None


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
        args: Its arguments, tensors detached.
        kwargs: Its keyword arguments, tensors detached.
        extra: What the rule's own way of running the operation gave beside the output.
    """

    name: str
    path: str
    function: Callable[..., Any]
    output: Any
    inputs: tuple[Tensor, ...]
    gates: tuple[bool, ...]
    options: Options
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    extra: Any = None

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

    def constants(self) -> list[Tensor]:
        """The floating-point tensors among its arguments that do not depend on the image."""
        found = tensors_of((self.args, self.kwargs))
        return [one for one in found if one.is_floating_point() and not self.depends(one)]

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
        # slots take the place of the activations at the image, so that they are not kept alive
        exchanged: dict[int, Any] = {id(tensor): Slot(k) for k, tensor in enumerate(moving)}
        if without_constants:
            exchanged |= {id(tensor): torch.zeros_like(tensor) for tensor in self.constants()}
        args, kwargs = with_tensors((self.args, self.kwargs), lambda t: exchanged.get(id(t), t))
        return filled(function or self.function, args, kwargs)


# A rule gets the call and the call's own arguments. None says that the output, although computed
# from the image, is piecewise constant in it; an error that is returned, not raised, waits until
# the output turns out to be needed.
Rule = Callable[..., Affine | UnsupportedOperation | None]
AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True)
class Entry:
    """A rule, its signature, and its own way of running the operation, if it has one."""

    function: Rule
    signature: inspect.Signature
    run: Callable[..., tuple[Any, Any]] | None = None
    accepted: dict[tuple[Any, ...], str] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether the rule is this library's, which its tests hold for right."""
        return self.function.__module__.startswith("filterscope.")

    def complaint(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Why the rule cannot take these arguments; empty where it can."""
        key = (len(args), *kwargs)
        if key not in self.accepted:
            try:
                self.signature.bind(None, *args, **kwargs)
                self.accepted[key] = ""
            except TypeError as error:
                self.accepted[key] = str(error)
        return self.accepted[key]


_RULES: dict[str, Entry] = {}


def rule(
    *names: str, run: Callable[..., tuple[Any, Any]] | None = None
) -> Callable[[AnyRule], AnyRule]:
    """Register the rule of one or more operations; a later rule replaces an earlier one.

    Args:
        names: Names of the operations, without the underscores of in-place and operator forms:
            ``"relu"`` stands for ``F.relu``, ``torch.relu_`` and ``Tensor.relu`` alike.
        run: Runs the operation while it is recorded, where the rule wants more than its output:
            takes the `Operation` and its arguments, returns the output and `Call.extra`.

    Returns:
        A decorator for a function ``(call, *args, **kwargs) -> Affine | None``, which takes the
        arguments of the operation after the `Call`. None stands for an output that is piecewise
        constant in the image, such as a comparison.

    Examples:
        >>> import torch
        >>> @rule("double_it")
        ... def _double(call, input):
        ...     return Affine(lambda x: 2 * x)
        >>> find_rule("double_it").function is _double
        True
        >>> _ = _RULES.pop("double_it")
    """

    def register(function: AnyRule) -> AnyRule:
        entry = Entry(function, inspect.signature(function), run)
        _RULES.update(dict.fromkeys(names, entry))
        return function

    return register


def find_rule(name: str) -> Entry | None:
    """The rule of an operation; None where there is none."""
    return _RULES.get(name)


def affine_operation(call: Call) -> Affine:
    """An operation that is affine in its inputs: its value at zero is the offset."""
    gate = all(call.gates)
    if not call.constants():
        return Affine(call.again(), is_gate=gate, own_gradient=True)
    at_zero = call.again()(*[torch.zeros_like(tensor) for tensor in call.inputs])
    linear = call.again(without_constants=True)
    return Affine(linear, nonzero(at_zero), is_gate=gate, own_gradient=True)


def scaling(
    factor: Tensor | float,
    offset: Tensor | None = None,
    *,
    is_gate: bool = False,
    own_gradient: bool = False,
) -> Affine:
    """Each value of the input times a factor, plus an offset; the input has the output's shape."""
    return Affine(
        lambda x: x * factor,
        offset,
        is_gate=is_gate,
        own_gradient=own_gradient,
        local=Pointwise(factor),
    )


def nonzero(offset: Tensor) -> Tensor | None:
    """An offset, or None where it is zero everywhere."""
    return offset if bool(offset.any()) else None


def applied(entry: Entry, call: Call) -> Affine | UnsupportedOperation | None:
    """What an operation's rule says."""
    complaint = entry.complaint(call.args, call.kwargs)
    if complaint:
        raise call.refusal(f"its rule does not know these arguments ({complaint})")
    with torch.no_grad():
        affine = entry.function(call, *call.args, **call.kwargs)
    # that the values are met shows when contributions are summed, for any rule
    if isinstance(affine, Affine) and not (entry.is_own or is_linear(call, affine)):
        raise call.refusal("its rule is not linear")
    return affine


def mismatch(call: Call, affine: Affine) -> str:
    """Why an affine form is not that of its call; empty where it is."""
    inputs = call.inputs if affine.inputs is None else affine.inputs
    with torch.no_grad():
        once = affine.linear(*inputs)
    if not isinstance(once, Tensor):
        return ""
    value = once if affine.offset is None else once + affine.offset
    output = call.output if isinstance(call.output, Tensor) else call.output[0]
    # batch norm and the like subtract large numbers, so the scale is that of the terms
    scale = max(float(output.abs().max()), float(once.abs().max()), 1e-30)
    digits = torch.finfo(output.dtype).eps ** 0.75 * scale
    if value.shape != output.shape or not float((value - output).abs().max()) <= digits:
        return "its rule does not give its value"
    return "" if is_linear(call, affine, once) else "its rule is not linear"


def is_linear(call: Call, affine: Affine, once: Any = None) -> bool:
    """Whether L turns its sign and doubles with its inputs, to rounding.

    Args:
        call: The call.
        affine: Its affine form.
        once: L at the inputs, where it is known.
    """
    inputs = call.inputs if affine.inputs is None else affine.inputs
    with torch.no_grad():
        once = affine.linear(*inputs) if once is None else once
        turned = affine.linear(*[-2 * value for value in inputs])
    if not isinstance(once, Tensor):
        return True
    digits = torch.finfo(once.dtype).eps ** 0.75 * max(float(once.abs().max()), 1e-30)
    return bool(float((turned + 2 * once).abs().max()) <= 2 * digits)
