"""A network frozen at its images: program, output, and the checks that the two belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.core.names import unknown_name
from filterscope.linear.capture import Recorder
from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.paths import module_paths
from filterscope.linear.program import Program
from filterscope.linear.rules import Affine, Call, Options

Select = str | int | Callable[[Any], Tensor] | None
Inspect = Callable[[Call, Affine], None] | None


def freeze(
    model: nn.Module,
    images: Tensor,
    options: Options,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    output: Select = None,
    inspect_step: Inspect = None,
) -> tuple[Program, Tensor]:
    """Run a network on images and record the affine steps that it took.

    Args:
        model: The network. It is put in eval mode meanwhile.
        images: (N, ...); not changed.
        options: How units are frozen.
        preprocess: Applied to the images first, as part of the network.
        output: Which part of the network's output is meant; see `LinearInterpreter`.
        inspect_step: Called with each call and its affine form.

    Returns:
        The program and the output (N, ...), detached.

    Raises:
        UnsupportedOperation: An operation without a rule, or one that is refused.
        ValueError: An output that cannot be taken for y, or that is not that of a plain pass.
    """

    def run(inputs: Tensor) -> Tensor:
        prepared = inputs if preprocess is None else preprocess(inputs)
        return select_output(model(prepared), output, len(images))

    with torch.inference_mode(False), evaluating(model):
        expected = run(images.clone())
        with module_paths(model) as running, _without_gradients(model), torch.enable_grad():
            recorder = Recorder(options, running.path, inspect_step)
            running.on_output = recorder.note
            inputs = images.detach().clone().requires_grad_()
            source = recorder.track(inputs)
            with recorder:
                found = run(inputs)
        program = Program(recorder.steps, source, recorder.finish(found), recorder.layers)
    _check_output(found.detach(), expected)
    return program, found.detach()


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Let no parameter ask for gradients, so that only the image's are followed."""
    asking = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def select_output(result: Any, output: Select, num_images: int) -> Tensor:
    """Take the tensor that is meant from what a network returned.

    Args:
        result: What the network returned.
        output: A key, a position or a function; None where the network returns one tensor.
        num_images: N, which the chosen tensor's first axis must have.

    Raises:
        TypeError: It is no tensor.
        ValueError: A choice that does not exist, or a tensor that is not one row an image.
    """
    chosen = result
    if callable(output):
        chosen = output(result)
    elif output is not None:
        chosen = _item(result, output)
    if not isinstance(chosen, Tensor):
        raise TypeError(
            f"`output` must choose a tensor of what the network returns ({_described(result)}), "
            f"{output!r} gives {type(chosen).__name__}"
        )
    if chosen.dim() < 2 or len(chosen) != num_images:
        raise ValueError(
            f"`output` must be ({num_images}, ...), one row for each of the images, "
            f"got {tuple(chosen.shape)}"
        )
    return chosen


def _item(result: Any, key: str | int) -> Any:
    if isinstance(result, Mapping):
        if key not in result:
            raise unknown_name("output of the network", str(key), map(str, result))
        return result[key]
    if isinstance(key, str) and hasattr(result, key):
        return getattr(result, key)
    if isinstance(key, str) or not isinstance(result, (tuple, list)):
        raise ValueError(f"`output` {key!r} is not in what the network returns, "
                         f"{_described(result)}")  # fmt: skip
    if not -len(result) <= key < len(result):
        raise ValueError(f"`output` {key} is not in what the network returns, {_described(result)}")
    return result[key]


def _described(result: Any) -> str:
    if isinstance(result, Mapping):
        return f"a mapping with {', '.join(map(repr, result))}"
    if isinstance(result, (tuple, list)):
        return f"a {type(result).__name__} of {len(result)}"
    return type(result).__name__


def _check_output(found: Tensor, expected: Tensor) -> None:
    """Refuse what is not finite, and a recorded pass that differs from a plain one."""
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the network's output has values that are not finite")
    gap = float((found - expected).abs().max())
    digits = torch.finfo(found.dtype).eps ** 0.75
    if gap > digits * max(1e-30, float(expected.abs().max())):
        raise ValueError(
            f"two passes of the network on the same images differ by {gap:.3g}: it draws at "
            "random, keeps a state, or changes tensors in ways that cannot be recorded"
        )


def unattributed(
    model: nn.Module, images: Tensor, options: Options, **settings: Any
) -> UnsupportedOperation | None:
    """Find the first operation whose rule does not meet its value, or is not linear.

    Args:
        model: The network.
        images: (N, ...).
        options: How units are frozen.
        settings: Of `freeze`.

    Returns:
        An error that names it; None where every rule is right to rounding.
    """
    found: list[UnsupportedOperation] = []

    def inspect_step(call: Call, affine: Affine) -> None:
        reason = _mismatch(call, affine)
        if reason and not found:
            found.append(call.refusal(reason))

    freeze(model, images, options, inspect_step=inspect_step, **settings)
    return found[0] if found else None


def _mismatch(call: Call, affine: Affine) -> str:
    inputs = call.inputs if affine.inputs is None else affine.inputs
    with torch.no_grad():
        once, turned = affine.linear(*inputs), affine.linear(*[-2 * value for value in inputs])
    if not isinstance(once, Tensor):
        return ""
    value = once if affine.offset is None else once + affine.offset
    output = call.output if isinstance(call.output, Tensor) else call.output[0]
    # batch norm and the like subtract large numbers, so the scale is that of the terms
    scale = max(float(output.abs().max()), float(once.abs().max()), 1e-30)
    digits = torch.finfo(output.dtype).eps ** 0.75 * scale
    if value.shape != output.shape or float((value - output).abs().max()) > digits:
        return "its rule does not give its value"
    if float((turned + 2 * once).abs().max()) > 2 * digits:
        return "its rule is not linear"
    return ""
