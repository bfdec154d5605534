"""Pools that select: values, places and Jacobian of every form."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from filterscope.linear import LinearInterpreter

SIZES = {1: (9,), 2: (5, 6), 3: (4, 5, 4)}


class Pool(nn.Module):
    def __init__(self, name, arguments, settings) -> None:
        super().__init__()
        self.pool, self.arguments, self.settings = getattr(F, name), arguments, settings

    def forward(self, x):
        found = self.pool(1 * x, *self.arguments, **self.settings)
        return found[0] + 0 * found[1].sum() if isinstance(found, tuple) else found


@pytest.mark.parametrize("dims", SIZES)
@pytest.mark.parametrize("kind", ["max_pool{}d", "adaptive_max_pool{}d"])
@pytest.mark.parametrize("form", ["", "_with_indices", "asked"])
def test_pools_of_each_form(dims, kind, form, random_image) -> None:
    name = kind.format(dims) + (form if form != "asked" else "")
    settings = {"return_indices": True} if form == "asked" else {}
    arguments = (2, 1) if kind.startswith("max") else (3,)
    image = random_image(2, 2, *SIZES[dims])
    model = Pool(name, arguments, settings)
    interpreter = LinearInterpreter(model, image)
    expected = model(image)
    assert torch.equal(interpreter.output, expected)
    assert not interpreter.residual.any() and not interpreter.contributions([0, 0])[0].layers
    probe = random_image(2, 2, *SIZES[dims], seed=6)
    values = image.clone().requires_grad_()
    torch.testing.assert_close(
        interpreter.adjoint(torch.ones_like(expected)),
        torch.autograd.grad(model(values).sum(), values)[0],
    )
    moved = (model(image + 1e-7 * probe) - expected) / 1e-7
    torch.testing.assert_close(interpreter.apply(probe), moved, rtol=1e-6, atol=1e-6)


def test_places_are_those_of_the_pool(random_image) -> None:
    image = random_image(1, 1, 4, 4)
    model = Pool("max_pool2d", (2,), {"return_indices": True})
    kept = {}

    class Keeping(nn.Module):
        def forward(self, x):
            values, kept["places"] = model.pool(x, 2, return_indices=True)
            return values

    LinearInterpreter(Keeping(), image)
    assert torch.equal(kept["places"], F.max_pool2d(image, 2, return_indices=True)[1])
