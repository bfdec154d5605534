"""Running a network on an image and recording it as a program of affine steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten
from torch.utils.weak import WeakTensorKeyDictionary

from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.operations import Operation, operation
from filterscope.linear.program import Step
from filterscope.linear.rules import Affine, Call, Options, find_rule


class Recorder(TorchFunctionMode):
    """Sees each operation on input-dependent tensors and freezes it by its rule.

    Values are numbered. A tensor stands for a value as long as nobody writes into its memory
    behind its back, which its version tells. Autograd runs along for a second opinion: a tensor
    that has a gradient function and no number comes from an operation that was not seen.

    Args:
        options: How units are frozen.
        path: Gives the path of the running module.
        inspect_step: Called with each call, its affine form and its input values.

    Attributes:
        steps: The affine steps so far.
        layers: Number of the value that each module returned last; None where that is no tensor
            that depends on the image.
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
        self._options = options
        self._path = path
        self._inspect_step = inspect_step
        self._known: MutableMapping[Tensor, tuple[int, int]] = WeakTensorKeyDictionary()
        self._count = 0
        self._gates: set[int] = set()
        self._postponed: dict[int, UnsupportedOperation] = {}

    def track(self, tensor: Tensor) -> int:
        """Let a tensor stand for a new value; give the value's number."""
        self._count += 1
        self._known[tensor] = (self._count, tensor._version)
        return self._count

    def value_of(self, tensor: Tensor, name: str = "output") -> int | None:
        """The number of the value that a tensor stands for; None for a constant."""
        known = self._known.get(tensor)
        if known is None:
            if tensor.grad_fn is not None:
                raise self._refusal(name, "it is given what an operation made that PyTorch's "
                                    "function mode does not see (compiled, scripted or custom "
                                    "code)")  # fmt: skip
            return None
        number, version = known
        if version != tensor._version:
            raise self._refusal(name, "it is given a tensor that was changed in place through a "
                                "view of it; write the change as `x = ...`")  # fmt: skip
        return number

    def note(self, path: str, output: Any) -> None:
        """Remember which value a module returned; None where it is no value of the program."""
        known = self._known.get(output) if isinstance(output, Tensor) else None
        self.layers[path] = None if known is None else known[0]

    def finish(self, output: Tensor) -> int:
        """The number of the output; an error where it does not depend on the image."""
        number = self.value_of(output)
        if number is None:
            raise ValueError(
                "the output does not depend on the image through any operation that was seen"
            )
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
        leaves = tree_leaves((args, kwargs))
        if not any(isinstance(leaf, Tensor) for leaf in leaves):
            return function(*args, **kwargs)
        found = operation(function, kwargs)
        numbers = [
            self.value_of(leaf, found.name) if isinstance(leaf, Tensor) else None for leaf in leaves
        ]
        if all(number is None for number in numbers):
            with torch.no_grad():
                return function(*args, **kwargs)
        if found.function is None or kwargs.get("out") is not None:
            raise self._refusal(found.name, "it writes into a tensor that it is given")
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        with torch.enable_grad():
            output = found.function(*args, **kwargs)
        made = self._record(found, args, kwargs, numbers, output)
        return self._delivered(found, output, made, args[0] if args else kwargs.get("input"))

    def _delivered(
        self, found: Operation, output: Any, made: tuple[int, ...] | None, target: Any
    ) -> Any:
        """Give the network what the operation would have given it; know its values from now on."""
        if made is None:
            return tree_map_only(Tensor, Tensor.detach, output)
        if found.writes:
            with torch.no_grad():
                target.copy_(output)
            output = target
        for number, tensor in zip(made, _floating(output), strict=True):
            self._known[tensor] = (number, tensor._version)
        return output

    def _record(
        self,
        found: Operation,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        numbers: Sequence[int | None],
        output: Any,
    ) -> tuple[int, ...] | None:
        """Freeze a call; give the numbers of what it makes, None where that is constant."""
        read = tuple(number for number in numbers if number is not None)
        postponed = next((self._postponed[n] for n in read if n in self._postponed), None)
        if postponed is not None and found.name != "softmax":
            return self._new_values(output, postponed)
        call = self._call(found, args, kwargs, numbers, output)
        affine = _frozen(call)
        if isinstance(affine, UnsupportedOperation):
            return self._new_values(output, affine)
        if affine is None:
            if not found.writes:
                return None
            affine = Affine(lambda *values: values[0] * 0, call.output)
        if self._inspect_step is not None:
            self._inspect_step(call, affine)
        return self._append(call, affine, read)

    def _append(self, call: Call, affine: Affine, read: tuple[int, ...]) -> tuple[int, ...]:
        """Add a step that reads these values; give the numbers of what it makes."""
        made = self._new_values(call.output)
        if affine.is_gate:
            self._gates.update(made)
        chosen = call.inputs if affine.inputs is None else affine.inputs
        inputs = tuple(
            number
            for number, tensor in zip(read, call.inputs, strict=True)
            if any(tensor is value for value in chosen)
        )
        step = Step(
            name=call.name,
            path=call.path,
            linear=affine.linear,
            offset=affine.offset,
            inputs=inputs,
            outputs=made,
            has_weights=affine.has_weights,
        )
        self.steps.append(step)
        return made

    def _call(
        self,
        found: Operation,
        args: Sequence[Any],
        kwargs: dict[str, Any],
        numbers: Sequence[int | None],
        output: Any,
    ) -> Call:
        """Describe a call by detached tensors, a different one for each argument."""
        leaves, structure = tree_flatten((args, kwargs))
        leaves = [leaf.detach() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        read = [place for place, number in enumerate(numbers) if number is not None]
        assert found.function is not None
        return Call(
            name=found.name,
            path=self._path(),
            function=found.function,
            output=tree_map_only(Tensor, Tensor.detach, output),
            inputs=tuple(leaves[place] for place in read),
            gates=tuple(numbers[place] in self._gates for place in read),
            options=self._options,
            leaves=leaves,
            structure=structure,
        )

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


def _frozen(call: Call) -> Affine | UnsupportedOperation | None:
    """What the operation's rule says."""
    found = find_rule(call.name)
    if found is None:
        raise call.refusal(
            "it has no rule on input-dependent tensors; `filterscope.linear.rule` adds one"
        )
    args, kwargs = tree_unflatten(call.leaves, call.structure)
    try:
        found.signature.bind(call, *args, **kwargs)
    except TypeError as error:
        raise call.refusal(f"its rule does not know these arguments ({error})") from error
    return found.function(call, *args, **kwargs)


def _floating(output: Any) -> list[Tensor]:
    """The floating-point tensors of a result, in order."""
    leaves = tree_leaves(output)
    return [leaf for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
