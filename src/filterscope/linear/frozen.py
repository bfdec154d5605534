"""A network frozen at its images: program, output, and the checks that the two belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import get_gradient_edge

from filterscope.core.names import unknown_name
from filterscope.linear.capture import Recorder
from filterscope.linear.errors import UnsupportedOperation
from filterscope.linear.graph import Recording
from filterscope.linear.network import Network, Snapshot
from filterscope.linear.paths import module_paths
from filterscope.linear.program import Program
from filterscope.linear.rules import Affine, Call, Options, mismatch

Select = str | int | Callable[[Any], Tensor] | None
Inspect = Callable[[Call, Affine], None] | None


@dataclass(frozen=True)
class Frozen:
    """A network frozen at its images.

    Attributes:
        program: Its affine steps.
        output: y, (N, ...), detached.
        recording: Autograd's record of the frozen network; None where it cannot be read.
    """

    program: Program
    output: Tensor
    recording: Recording | None


def freeze(
    network: Network,
    images: Tensor,
    options: Options,
    preprocess: Callable[[Tensor], Tensor] | None = None,
    output: Select = None,
    inspect_step: Inspect = None,
) -> Frozen:
    """Run a network on images and record the affine steps that it took.

    Args:
        network: The network. It is put in eval mode meanwhile.
        images: (N, ...); not changed.
        options: How units are frozen.
        preprocess: Applied to the images first, as part of the network.
        output: Which part of the network's output is meant; see `LinearInterpreter`.
        inspect_step: Called with each call and its affine form.

    Raises:
        UnsupportedOperation: An operation without a rule, or one that is refused.
        ValueError: An output that cannot be taken for y, or that is not that of a plain pass.
    """

    def run(inputs: Tensor) -> Tensor:
        prepared = inputs if preprocess is None else preprocess(inputs)
        return select_output(network.model(prepared), output, len(images))

    with torch.inference_mode(False), network.frozen(), torch.enable_grad():
        before = Snapshot(network, images.device)
        with module_paths(network.paths) as running:
            recorder = Recorder(options, running.path, inspect_step)
            running.on_output = recorder.note
            leaf = images.detach().clone().requires_grad_()
            inputs = leaf.clone()  # the network may write into it, which a leaf does not stand
            source = recorder.track(inputs)
            with recorder:
                found = run(inputs)
        target = recorder.finish(found)
        value = found.detach().clone() if found._base is not None else found.detach()
        if not bool(torch.isfinite(value).all()):
            raise ValueError("the network's output has values that are not finite")
        if recorder.is_doubtful or not before.is_current():
            with torch.no_grad():
                _check_output(value, run(images.clone()))
        program = Program(recorder.steps, source, target, recorder.layers)
        return Frozen(program, value, _recording(recorder, program, leaf, found))


def _recording(
    recorder: Recorder, program: Program, leaf: Tensor, found: Tensor
) -> Recording | None:
    """What autograd recorded along; None where it cannot be read."""
    if not (recorder.is_readable and found.requires_grad):
        return None
    watched = [recorder.made[program.steps[k].outputs[0]] for k in program.offsets()]
    return Recording(get_gradient_edge(leaf), get_gradient_edge(found), watched)


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
    """Refuse a recorded pass that differs from a plain one."""
    gap = float((found - expected).abs().max())
    digits = torch.finfo(found.dtype).eps ** 0.75
    if not gap <= digits * max(1e-30, float(expected.abs().max())):
        raise ValueError(
            f"two passes of the network on the same images differ by {gap:.3g}: it draws at "
            "random, keeps a state, or changes tensors in ways that cannot be recorded"
        )


def unattributed(
    network: Network, images: Tensor, options: Options, **settings: Any
) -> UnsupportedOperation | None:
    """Find the first operation whose rule does not meet its value, or is not linear.

    Args:
        network: The network.
        images: (N, ...).
        options: How units are frozen.
        settings: Of `freeze`.

    Returns:
        An error that names it; None where every rule is right to rounding.
    """
    found: list[UnsupportedOperation] = []

    def inspect_step(call: Call, affine: Affine) -> None:
        reason = mismatch(call, affine)
        if reason and not found:
            found.append(call.refusal(reason))

    freeze(network, images, options, inspect_step=inspect_step, **settings)
    return found[0] if found else None
