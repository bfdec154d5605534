"""Running a network on an image and recording it as a program of affine steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.overrides import TorchFunctionMode

from filterscope.linear.arguments import tensors_of, with_tensors
from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.operations import Operation, operation
from filterscope.linear.program import Step
from filterscope.linear.rules import (
    LEAK,
    Affine,
    Call,
    Entry,
    Options,
    find_rule,
    is_description,
    is_leak,
    is_linear,
)

_MARK = "_filterscope_value"


class Recorder(TorchFunctionMode):
    """Sees each operation on input-dependent tensors and freezes it by its rule.

    Values are numbered. A tensor stands for a value as long as nobody writes into its memory
    behind its back, which its version tells. What the network is given carries autograd's record
    of the frozen network. That serves for reading it backwards, and for a second opinion: a
    tensor that has a gradient function and no number comes from an operation that was not seen.

    Args:
        options: How units are frozen.
        path: Gives the path of the running module.
        inspect_step: Called with each call, its affine form and its input values.

    Attributes:
        steps: The affine steps so far.
        layers: Number of the value that each module returned last; None where that is no tensor
            that depends on the image.
        made: Where in autograd's record each value is that a constant is added to, by number.
        is_doubtful: Whether memory was written, or numbers were drawn, in ways that may not have
            been recorded rightly, so that a plain pass should be compared.
        is_readable: Whether autograd's record can be read backwards.
    """

    def __init__(
        self,
        options: Options,
        path: Callable[[], str],
        inspect_step: Callable[[Call, Affine], None] | None = None,
    ) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.layers: dict[str, int | None] = {}
        self.made: dict[int, GradientEdge] = {}
        self.is_doubtful = False
        self.is_readable = True
        self._options = options
        self._path = path
        self._inspect_step = inspect_step
        self._token = object()
        self._count = 0
        self._gates: set[int] = set()
        self._postponed: dict[int, UnsupportedOperation] = {}

    def track(self, tensor: Tensor) -> int:
        """Let a tensor stand for a new value; give the value's number."""
        self._count += 1
        self._mark(tensor, self._count)
        return self._count

    def _mark(self, tensor: Tensor, number: int) -> None:
        tensor.__dict__[_MARK] = (self._token, number, tensor._version)

    def value_of(self, tensor: Tensor, name: str = "output") -> int | None:
        """The number of the value that a tensor stands for; None for a constant."""
        token, number, version = tensor.__dict__.get(_MARK, (None, 0, 0))
        if token is not self._token:
            if tensor.grad_fn is not None:
                raise self._refusal(name, "it is given what an operation made that PyTorch's "
                                    "function mode does not see (compiled, scripted or custom "
                                    "code)")  # fmt: skip
            return None
        if version != tensor._version:
            raise self._refusal(name, "it is given a tensor that was changed in place through a "
                                "view of it; write the change as `x = ...`")  # fmt: skip
        return int(number)

    def note(self, path: str, output: Any) -> None:
        """Remember which value a module returned; None where it is no value of the program."""
        mark = output.__dict__.get(_MARK) if isinstance(output, Tensor) else None
        known = mark is not None and mark[0] is self._token
        self.layers[path] = mark[1] if mark is not None and known else None

    def finish(self, output: Tensor) -> int:
        """The number of the output; an error where it does not depend on the image."""
        number = self.value_of(output)
        if number is None:
            raise ValueError("the output does not depend on the image through what was seen")
        if number in self._postponed:
            raise self._postponed[number]
        return number

    def __torch_function__(
        self,
        function: Any,
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operation, and record it where it is given input-dependent tensors."""
        kwargs = kwargs or {}
        self.is_doubtful |= kwargs.get("generator") is not None
        tensors = tensors_of((args, kwargs))
        if not tensors:
            return function(*args, **kwargs)
        found = operation(function, kwargs)
        entry = find_rule(found.name)
        if is_description(entry):
            return function(*args, **kwargs)
        numbers = [self.value_of(tensor, found.name) for tensor in tensors]
        if all(number is None for number in numbers):
            with torch.no_grad():
                return function(*args, **kwargs)
        if found.function is None or kwargs.get("out") is not None:
            raise self._refusal(found.name, "it writes into a tensor that it is given")
        if entry is None:
            raise self._refusal(found.name, "it has no rule on input-dependent tensors; "
                                "`filterscope.linear.rule` adds one")  # fmt: skip
        if is_leak(entry):
            raise self._refusal(found.name, LEAK)
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        with torch.enable_grad():
            return self._recorded(found, entry, tuple(args), kwargs, tensors, numbers)

    def _recorded(
        self,
        found: Operation,
        entry: Entry,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tensors: Sequence[Tensor],
        numbers: Sequence[int | None],
    ) -> Any:
        """Run a call and freeze it; give what the network is to go on with."""
        assert found.function is not None
        if entry.run is None:
            output, extra = found.function(*args, **kwargs), None
        else:
            output, extra = entry.run(found, *args, **kwargs)
        read = [k for k, number in enumerate(numbers) if number is not None]
        waiting = [self._postponed[n] for n in numbers if n in self._postponed]
        if waiting and found.name != "softmax":
            return self._numbered(output, self._new_values(output, waiting[0]))
        call = self._call(found, args, kwargs, numbers, output, extra)
        affine = self._frozen(call, entry)
        if isinstance(affine, UnsupportedOperation):
            return self._numbered(output, self._new_values(output, affine))
        if affine is None and not found.writes:
            return with_tensors(output, Tensor.detach)
        affine = affine or Affine(lambda *values: values[0] * 0, call.output)
        if self._inspect_step is not None:
            self._inspect_step(call, affine)
        step, chosen = self._step(call, affine, [number for number in numbers if number])
        self.steps.append(step)
        if not affine.own_gradient:
            output = _carried(output, affine.linear(*[tensors[read[k]] for k in chosen]))
        if found.writes:
            output = self._written(args[0] if args else kwargs["input"], output)
        return self._numbered(output, step.outputs, watched=affine.offset is not None)

    def _written(self, target: Tensor, output: Tensor) -> Tensor:
        """Write a result where the network would have written it."""
        if target.storage_offset() or target._base is not None:
            self.is_doubtful = True
        try:
            target.copy_(output)
        except RuntimeError:
            # autograd follows no writing into one of several views of a tensor
            self.is_readable, self.is_doubtful = False, True
            with torch.no_grad():
                target.copy_(output)
        return target

    def _numbered(self, output: Any, made: tuple[int, ...], watched: bool = False) -> Any:
        """Let what an operation gives stand for these values from now on."""
        tensors = _floating(output)
        for number, tensor in zip(made, tensors, strict=True):
            self._mark(tensor, number)
        if watched:
            self.made[made[0]] = get_gradient_edge(tensors[0])
        return output

    def _step(self, call: Call, affine: Affine, read: Sequence[int]) -> tuple[Step, Sequence[int]]:
        """The step, and which of the values that were read it takes."""
        made = self._new_values(call.output)
        if affine.is_gate:
            self._gates.update(made)
        inputs = call.inputs if affine.inputs is None else affine.inputs
        chosen = [k for k, one in enumerate(call.inputs) if any(one is value for value in inputs)]
        step = Step(
            name=call.name,
            path=call.path,
            linear=affine.linear,
            offset=affine.offset,
            inputs=tuple(read[k] for k in chosen),
            outputs=made,
            has_weights=affine.has_weights,
            local=affine.local,
            shape=tuple(_floating(call.output)[0].shape),
        )
        return step, chosen

    def _call(
        self,
        found: Operation,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        numbers: Sequence[int | None],
        output: Any,
        extra: Any,
    ) -> Call:
        """Describe a call by detached tensors, a different one for each argument."""
        assert found.function is not None
        detached: list[Tensor] = []

        def described(tensor: Tensor) -> Tensor:
            detached.append(tensor.detach())
            return detached[-1]

        args, kwargs = with_tensors((args, kwargs), described)
        pairs = [(t, number) for t, number in zip(detached, numbers, strict=True) if number]
        return Call(
            name=found.name,
            path=self._path(),
            function=found.function,
            output=with_tensors(output, Tensor.detach),
            inputs=tuple(tensor for tensor, _ in pairs),
            gates=tuple(number in self._gates for _, number in pairs),
            options=self._options,
            args=args,
            kwargs=kwargs,
            extra=extra,
        )

    def _frozen(self, call: Call, entry: Entry) -> Affine | UnsupportedOperation | None:
        """What the operation's rule says."""
        complaint = entry.complaint(call.args, call.kwargs)
        if complaint:
            raise call.refusal(f"its rule does not know these arguments ({complaint})")
        with torch.no_grad():
            affine = entry.function(call, *call.args, **call.kwargs)
        # that the values are met shows when contributions are summed, for any rule
        if isinstance(affine, Affine) and not (entry.is_own or is_linear(call, affine)):
            raise call.refusal("its rule is not linear")
        return affine

    def _new_values(
        self, output: Any, postponed: UnsupportedOperation | None = None
    ) -> tuple[int, ...]:
        """Number what an operation makes; an error may wait for somebody to read it."""
        first = self._count + 1
        self._count += len(_floating(output))
        made = tuple(range(first, self._count + 1))
        if postponed is not None:
            self._postponed.update(dict.fromkeys(made, postponed))
        return made

    def _refusal(self, name: str, reason: str) -> UnsupportedOperation:
        return UnsupportedOperation(name, self._path(), reason)


def _carried(output: Any, linear: Any) -> Any:
    """The values that an operation gave, with the derivative of its frozen form."""
    if isinstance(output, Tensor):
        linear = linear if isinstance(linear, Tensor) else linear[0]
        value = output.detach()
        same = value.shape == linear.shape and value.stride() == linear.stride()
        if same and value.data_ptr() == linear.data_ptr():
            return linear  # the very memory, which the network may count on
        return linear.expand(value.shape) + (value - linear.detach())
    made = iter(linear if isinstance(linear, (tuple, list)) else [linear])
    return with_tensors(output, lambda one: _carried(one, next(made))
                        if one.is_floating_point() else one)  # fmt: skip


def _floating(output: Any) -> list[Tensor]:
    """The floating-point tensors of a result, in order."""
    return [tensor for tensor in tensors_of(output) if tensor.is_floating_point()]
