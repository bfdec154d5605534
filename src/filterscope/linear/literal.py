"""The label-independent part of the pixel discussion as it was printed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from filterscope.linear.graph import Graph
from filterscope.linear.program import Program, Step
from filterscope.linear.rules import activations, find_rule, normalization
from filterscope.linear.spread import Place


def backprojected_biases(
    program: Program, graph: Graph, images: Tensor, places: Mapping[int, Place]
) -> tuple[Tensor, Tensor]:
    """Send every layer's masked bias back to the image: B = sum of P_i bhat_i over i < n.

    A layer is a step with a constant, the norms on it and the activation on these: bhat_i is what
    its constants make of zero, at the activation's output. The last layer is what no layer with
    weights follows; linear steps behind it (a pool) are a part of it.

    Args:
        program: The frozen network.
        graph: Its graph.
        images: (1, C, H, W).
        places: Where each value lies.

    Returns:
        B, (C, H, W), and the last layer's bias bhat_n of each label, (L,).
    """
    offsets = program.offsets()
    followed = _followed_by_weights(program)
    last = {k for k in offsets if not followed[program.steps[k].outputs[0]]}
    with torch.no_grad():
        final = program.run(torch.zeros_like(images), offsets=last)[0]
    biases: dict[int, Tensor] = {}
    taken = set(last)
    for position in offsets:
        if position not in taken:
            layer = _layer(program, position)
            taken.update(layer)
            shape = places[program.steps[position].outputs[0]].shape
            biases[position] = _masked_twice(program, layer, shape)
    if not biases:
        return torch.zeros_like(images[0]), final
    parts = [
        biases.get(k, images.new_zeros(())).expand(places[program.steps[k].outputs[0]].shape)[None]
        for k in offsets
    ]
    return graph.backproject(parts)[0, 0], final


def _followed_by_weights(program: Program) -> dict[int, bool]:
    """Whether a value leads to a step with weights, by the value's number."""
    followed = {program.target: False}
    for step in reversed(program.steps):
        here = step.has_weights or any(followed.get(number, False) for number in step.outputs)
        for number in step.inputs:
            followed[number] = followed.get(number, False) or here
    return followed


def _layer(program: Program, position: int) -> list[int]:
    """The steps of the layer that begins with one that has a constant, by position."""
    steps = program.steps
    readers: dict[int, list[int]] = {program.target: [-1]}
    for k, step in enumerate(steps):
        for number in step.inputs:
            readers.setdefault(number, []).append(k)
    layer = [position]
    while not _is_activation(steps[layer[-1]]):
        following = readers[steps[layer[-1]].outputs[0]]
        if len(following) != 1 or following[0] < 0:
            break
        step = steps[following[0]]
        if len(step.inputs) != 1 or not (_is_norm(step) or _is_activation(step)):
            break
        layer.append(following[0])
    return layer


def _is_activation(step: Step) -> bool:
    return _comes_from(step, activations.__name__)


def _is_norm(step: Step) -> bool:
    return _comes_from(step, normalization.__name__)


def _comes_from(step: Step, module: str) -> bool:
    found = find_rule(step.name)
    return found is not None and found.function.__module__ == module


def _masked_twice(program: Program, layer: list[int], shape: tuple[int, ...]) -> Tensor:
    """What to pull back from where the layer begins: A^T bhat, bhat = A b + c at the layer's end.

    P_i ends with the layer's own masks A, which the graph has between the two places.
    """
    first, end = program.steps[layer[0]], program.steps[layer[-1]]
    assert first.offset is not None
    bias = first.offset.expand(shape)
    if first is end:
        return bias
    between = program.steps[layer[0] + 1 : layer[-1] + 1]
    inner = Program(between, first.outputs[0], end.outputs[0])
    with torch.no_grad():
        masked = inner.run(bias, offsets=inner.offsets())
    with torch.enable_grad():
        source = torch.zeros_like(bias).requires_grad_()
        (found,) = torch.autograd.grad(inner.run(source), source, masked)
    return found
