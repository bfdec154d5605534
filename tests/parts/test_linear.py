"""Networks with part templates read as affine maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from filterscope.linear import LinearInterpreter
from filterscope.parts import PartTemplateConv2d, add_part_templates


def check(model: nn.Module, images: torch.Tensor) -> LinearInterpreter:
    """The map gives the network's output, and rows and columns belong together."""
    interpreter = LinearInterpreter(model, images)
    with torch.no_grad():
        expected = model.eval()(images)
    assert torch.allclose(interpreter.output, expected, rtol=1e-12, atol=1e-12)
    mapped = interpreter.apply(images) + interpreter.residual
    assert torch.allclose(mapped, expected, rtol=1e-10, atol=1e-10)
    for target in range(expected.shape[1]):
        parts = interpreter.contributions(target)
        assert parts.total == pytest.approx(float(expected[0, target]), rel=1e-10)
    v, u = torch.randn_like(images[0]), torch.randn_like(expected[0])
    left, right = (interpreter.apply(v) * u).sum(), (v * interpreter.adjoint(u)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-10)
    return interpreter


@pytest.mark.parametrize("mu", ["argmax", "centroid"])
def test_the_mask_is_frozen_where_it_lies(mu: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(),
        PartTemplateConv2d(5, 6, 3, padding=1, mu=mu),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    ).double()  # fmt: skip
    image = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    check(model, image)


def test_templates_that_were_added_by_name() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 2))
    network = add_part_templates(
        model, layers=["1"], categories=["bird"], shape="l2", example_input=torch.rand(1, 3, 8, 8)
    ).double()
    check(network, torch.randn(1, 3, 8, 8, dtype=torch.float64))
